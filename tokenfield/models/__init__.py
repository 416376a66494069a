"""One file per system, each with `encode` and `decode`; `tokenfield.registry` lists them by name."""

from tokenfield.registry import MODELS as MODELS
