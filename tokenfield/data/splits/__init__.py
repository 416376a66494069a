"""Splits that a data set's folder does not say: which of its pictures are for testing."""

from functools import cache
from pathlib import Path

import numpy as np

FFHQ = Path(__file__).parent / "ffhq_validation.bits"
"""One bit per picture of FFHQ's 70 000, in order, the first in a byte's highest bit; set: for testing."""


@cache
def ffhq_validation() -> frozenset[int]:
    """Numbers of the 10 000 pictures that ginr-ipc drew for validation, and the papers measure on (docs/papers.md)."""
    return frozenset(np.unpackbits(np.frombuffer(FFHQ.read_bytes(), np.uint8)).nonzero()[0].tolist())
