"""Studies of one field: rendering below its native size and above it, optimisation of its tokens."""
