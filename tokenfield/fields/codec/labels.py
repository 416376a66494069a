"""Labels: the first number of a token where it names one of K codes, as the switched model's does.

A label is coded by those of its neighbours: how much more often than by chance it stands beside, above and diagonally
to each of them is a table. Of several neighbours the logarithms are added, times a share below one, for neighbours say
partly the same. All is arithmetic of whole numbers, and so every machine finds the same frequencies:

    log2 f(k) = base(k) + share sum_n pairs(axis of n, label of n, k)

The label also says how large the other numbers of its token usually are, which their contexts take into account.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LOG = 16
"""Logarithms are in 1/16."""
SHARES = 256
"""Shares are in 1/256."""
TOP = 20
"""The logarithm of the largest frequency."""
SCALE = 16
"""Usual sizes of symbols are in 1/16."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Frequencies = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Labels:
    """What both sides know of K labels and of D numbers in a token, the label among them."""

    base: NDArray[np.int16]
    """Logarithms of how often labels are, (K,)."""
    pairs: NDArray[np.int8]
    """Logarithms of how much more often neighbours have two labels than by chance: (3, K, K), the neighbour's first.

    Of neighbours in a row, in a column, and on a diagonal.
    """
    share: NDArray[np.int16]
    """Per pass over the cells."""
    spread: NDArray[np.uint16]
    """Mean magnitudes at a step of one 8-bit level, in 1/SCALE: (K, D)."""

    def frequencies(self, number: int, count: int, near: list[tuple[int, Ints, NDArray[np.bool]]]) -> Frequencies:
        """Frequencies (count, K) in a pass, given axes, labels and whether there are any, of every neighbour."""
        score = np.zeros((count, len(self.base)), np.int32)
        for axis, labels, inside in near:
            score += self.pairs[axis][labels] * inside[:, None]
        score = self.base + (score * np.int32(self.share[number]) // SHARES)
        below = score.max(1, keepdims=True) - score
        whole, part = below // LOG, below % LOG
        out: Frequencies = np.maximum((2 * LOG - part) << TOP >> np.minimum(whole, 30), 2 * LOG) // (2 * LOG)
        return out  # straight lines between the powers of two

    @lru_cache(maxsize=8)  # noqa: B019, a model's tables live as long as it does
    def usual(self, step: int) -> Floats:
        """Usual magnitudes of symbols at a step in 1/256 of an 8-bit level, in 1/SCALE: (D, K)."""
        return np.ascontiguousarray((self.spread.astype(np.int64) * 256 // step).T.astype(np.float64))
