"""`tokenfield views` and `tokenfield data`."""
