"""The order in which the cells of a grid are coded: two passes, or ever finer lattices."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

COARSEST = 16
"""Cells between the points of the first lattice; a power of two."""
LATTICES = 1 + 2 * (COARSEST.bit_length() - 1)
"""How many there are."""

Ints = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)


class Order:
    """Cells of a `grid`, (rows, columns), or (stripes, rows, columns) of several at once.

    The passes are the colours of a chessboard. Cells stand in coding order, those of the first pass before those of
    the second, so that a pass is a slice; lattices name cells by their numbers in the grid.
    """

    def __init__(self, grid: tuple[int, ...]):
        self.grid = (1, *grid)[-3:]
        _, self.y, self.x = np.indices(self.grid).reshape(3, -1)
        color = (self.y + self.x) % 2
        self.order = np.argsort(color, kind="stable")
        """Numbers in the grid, of cells in coding order."""
        self.place = np.argsort(self.order)
        """Places in coding order, of the grid's cells."""
        first = int((color == 0).sum())
        self.passes = slice(0, first), slice(first, len(color))

    def on_grid(self, values: NDArray[T]) -> NDArray[T]:
        """Values (N, cells) in coding order as (N, stripes, rows, columns)."""
        return values.take(self.place, 1).reshape(len(values), *self.grid)

    def lattices(self) -> Iterator[tuple[Ints, list[tuple[int, int]]]]:
        """Cells of ever finer lattices, with the offsets of the neighbours that coarser ones brought."""
        y, x = self.y, self.x
        yield np.flatnonzero((y % COARSEST == 0) & (x % COARSEST == 0)), []
        gap = COARSEST // 2
        while gap:
            odd_y, odd_x = y % (2 * gap) == gap, x % (2 * gap) == gap
            on = (y % gap == 0) & (x % gap == 0)
            yield np.flatnonzero(odd_y & odd_x), [(-gap, -gap), (-gap, gap), (gap, -gap), (gap, gap)]
            yield np.flatnonzero(on & (odd_y ^ odd_x)), [(-gap, 0), (gap, 0), (0, -gap), (0, gap)]
            gap //= 2

    def around(self, cells: Ints, offsets: list[tuple[int, int]]) -> Iterator[tuple[int, Ints, NDArray[np.bool]]]:
        """Per offset: 0 for the same row, 1 for the same column, 2 for neither; the cells there; which exist."""
        _, rows, columns = self.grid
        y, x = self.y[cells], self.x[cells]
        for down, right in offsets:
            inside = (y + down >= 0) & (y + down < rows) & (x + right >= 0) & (x + right < columns)
            axis = 2 if down and right else 1 if down else 0
            yield axis, np.where(inside, cells + down * columns + right, 0), inside


def neighbours(planes: NDArray[T], axis: int) -> NDArray[T]:
    """The sum of the two neighbours along an axis, 0 beyond the edge."""
    out = np.zeros_like(planes)
    low, high = [slice(None)] * planes.ndim, [slice(None)] * planes.ndim
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    out[tuple(high)] += planes[tuple(low)]
    out[tuple(low)] += planes[tuple(high)]
    return out
