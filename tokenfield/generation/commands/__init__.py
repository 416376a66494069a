"""`tokenfield latents`, `generate` and `score`."""
