"""Which change to LAINR carries the gain of anchored tokens: rows of `python -m experiments.tables factorial`."""
