"""`tokenfield latents`, `tokenfield generate`, `tokenfield score`."""
