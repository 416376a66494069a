"""Files that are whole or absent, and progress on long work."""
