"""Which change to LAINR carries the gain of anchored tokens: rows of `python -m experiments.tables factorial`."""

from tokenfield.registry import MODELS

MODELS.add("lainr-anchored", "experiments.factorial.model:AnchoredLainr")
