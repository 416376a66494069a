"""`tokenfield compare`: systems trained alike on the same pictures within the same budget, and measured alike."""
