"""Studies of one field: rendering below its native size, optimisation of its tokens."""
