"""The order in which the symbols of a stripe are coded, and how large each is expected to be.

A stripe is D bands (channels of tokens) of symbols, whole numbers, on a grid of cells. Bands are coded in groups from
coarse to fine, and a group in two passes, the cells of a chessboard's two colours. The expected magnitude of a symbol
is a weighted sum of magnitudes that the decoder has already:

    in earlier groups: of P parent bands in the same cell, and in the four cells around it; of all bands together, ditto
    in its own band:   of the cells left and right, and above and below, which the first pass brought
    by the cell's label, where tokens have one (`tokenfield.fields.codec.tables`): as it usually is

It is sorted into one of K classes, and each class has a table of frequencies (`tokenfield.fields.codec.entropy`): a
mixture of scales whose scale is known to both sides. The first bands of smooth signals are predicted instead, from the
mean of neighbours on ever finer lattices of cells, and how far these differ is their context.

All of this is arithmetic of whole numbers, so that every machine finds the same classes.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tokenfield.fields.codec.tables import Floats, Frequencies, Ints, Labels, Tables

UNIT = 1 << 20
"""Of expected magnitudes: fixed-point numbers."""
FINER = 1 << 8
"""A weight times this is in units of `UNIT`."""
CLIP = 1 << 15
"""Largest magnitude that counts in a context: sums stay far below 2^63."""

COARSEST = 16
"""Cells between the points of the first lattice; a power of two."""
LATTICES = 1 + 2 * (COARSEST.bit_length() - 1)
"""How many there are."""

UNPREDICTED: Ints = np.array(0, np.int64)
T = TypeVar("T", bound=np.generic)


@runtime_checkable
class Visitor(Protocol):
    """Says what a symbol is: the encoder knows, the decoder reads, the quantiser decides.

    Bands are a slice, cells a slice or their numbers, both in coding order.
    """

    def __call__(self, bands: slice, cells: slice | Ints, classes: Ints, prediction: Ints) -> Ints:
        """The symbols (N, M) of N bands in M cells, of these classes and predictions (N, M), or `UNPREDICTED`."""

    def label(self, cells: Ints, frequencies: Frequencies) -> Ints:
        """The labels (M,) of cells, whose frequencies are (M, K)."""


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


class Walk(Order):
    """Goes over the symbols of a stripe. `symbols` (D, cells), cells in coding order, fill up on the way.

    Sums of contexts are whole numbers below 2^53, so that float64 has them exactly, in whatever order they are added.
    """

    def __init__(self, tables: Tables, level: int, grid: tuple[int, ...]):
        super().__init__(grid)
        self.tables, self.level = tables, level
        self.symbols = np.zeros((tables.bands, len(self.order)), np.int64)
        # Per pass, what is known: magnitudes of all bands together in the cell and around it, then of every band.
        self.known = [np.zeros((2 + 2 * tables.bands, cells.stop - cells.start)) for cells in self.passes]

    def layer(self, number: int, visit: Visitor) -> None:
        """Visit the symbols of one layer; the layers before it come first."""
        for group in self.tables.groups(number):
            bands = slice(int(self.tables.starts[group]), int(self.tables.starts[group + 1]))
            if self.tables.labels is not None and bands.start == 0:
                self._labelled(self.tables.labels, visit)
            elif bands.stop <= self.tables.predicted[0]:
                self._predicted(bands, visit)
            else:
                self._in_context(bands, visit)

    def _in_context(self, bands: slice, visit: Visitor) -> None:
        mixing = mixings(self.tables, self.level, bands.start, bands.stop)
        near = np.zeros((bands.stop - bands.start, len(self.order)))
        for color, cells in enumerate(self.passes):
            expected = mixing[color].sums @ self.known[color][: 2 + 2 * bands.start]
            expected += mixing[color].constants
            if self.tables.labels is not None:
                expected += mixing[color].labels * self.usual(bands, cells)
            if color:
                for weight, own in zip(mixing[color].own, self.own(near), strict=True):
                    expected += weight * own
            self.symbols[bands, cells] = visit(bands, cells, self.classes(expected), UNPREDICTED)
            near[:, cells] = np.minimum(np.abs(self.symbols[bands, cells]), CLIP)
        self._finish(bands, near)

    def own(self, near: Floats) -> tuple[Floats, Floats]:
        """Sums of a group's magnitudes left and right, and above and below, in the cells of the second pass."""
        grid, cells = self.on_grid(near), self.order[self.passes[1]]
        vertical, horizontal = (neighbours(grid, axis).reshape(len(near), -1).take(cells, 1) for axis in (2, 3))
        return vertical, horizontal

    def usual(self, bands: slice, cells: slice) -> Floats:
        """How large symbols usually are in the cells of their labels, (N, M)."""
        assert self.tables.labels is not None
        usual = self.tables.labels.usual(int(self.tables.steps[self.level]))
        return usual[bands].take(self.symbols[0, cells], 1)

    def classes(self, expected: Floats) -> Ints:
        """Expected magnitudes -> classes 0 .. K - 1."""
        return np.searchsorted(self.tables.edges, expected, side="right")

    def _finish(self, bands: slice, near: Floats) -> None:
        """The group is known as a whole: bring what later groups look at up to date."""
        grid = self.on_grid(near)
        around = (neighbours(grid, 2) + neighbours(grid, 3)).reshape(len(near), -1)
        for known, cells in zip(self.known, self.passes, strict=True):
            own = slice(2 + 2 * bands.start, 2 + 2 * bands.stop)
            known[own][::2], known[own][1::2] = near[:, cells], around.take(self.order[cells], 1)
            known[0] += known[own][::2].sum(0)
            known[1] += known[own][1::2].sum(0)

    def _labelled(self, labels: Labels, visit: Visitor) -> None:
        for number, (cells, offsets) in enumerate(self.lattices()):
            if len(cells):
                near = [(axis, self.symbols[0, self.place[at]], inside) for axis, at, inside in
                        self.around(cells, offsets)]
                places = self.place[cells]
                self.symbols[0, places] = visit.label(places, labels.frequencies(number, len(cells), near))

    def _predicted(self, bands: slice, visit: Visitor) -> None:
        near = np.zeros((bands.stop - bands.start, len(self.order)))
        for number, (cells, offsets) in enumerate(self.lattices()):
            if not len(cells):
                continue
            mean, spread = self._neighbourhood(bands, cells, offsets)
            constant, weight = np.moveaxis(self.tables.spreads[self.level, number, bands], -1, 0)
            classes = self.classes((constant[:, None] + weight[:, None] * spread).astype(np.float64))
            places = self.place[cells]
            values = visit(bands, places, classes, mean)
            self.symbols[bands, places] = values
            near[:, places] = np.minimum(np.abs(values - mean), CLIP)
        self._finish(bands, near)

    def _neighbourhood(self, bands: slice, cells: Ints, offsets: list[tuple[int, int]]) -> tuple[Ints, Ints]:
        """Mean of the neighbours inside the grid, rounded, and how far they lie from it, four of them."""
        total = np.zeros((bands.stop - bands.start, len(cells)), np.int64)
        count = np.zeros(len(cells), np.int64)
        around = []
        for _, at, inside in self.around(cells, offsets):
            values = self.symbols[bands, self.place[at]] * inside
            around.append((values, inside))
            total, count = total + values, count + inside
        some = np.maximum(count, 1)
        mean = (2 * total + some) // (2 * some)
        spread = np.zeros_like(total)
        for values, inside in around:
            spread += np.minimum(np.abs(values - mean), CLIP) * inside
        return mean, spread * 4 // some


class Mixing(NamedTuple):
    """What a pass adds up for a group of N bands, of the 2 + 2 D rows that a walk knows."""

    sums: csr_array
    constants: Floats
    labels: Floats
    own: tuple[Floats, Floats]


@lru_cache(maxsize=1024)
def mixings(tables: Tables, level: int, first: int, after: int) -> tuple[Mixing, Mixing]:
    """The weights of a group, for both passes."""
    parents, count = tables.parents[first:after], after - first
    rows = np.repeat(np.arange(count), 2 * parents.shape[1] + 2)
    columns = np.stack([2 + 2 * parents, 3 + 2 * parents], -1).reshape(count, -1)
    columns = np.concatenate([columns, np.broadcast_to([0, 1], (count, 2))], 1)
    there = (columns < 2 + 2 * first).ravel()                               # a parent that is none is beyond
    out = []
    for color in (0, 1):
        weights = tables.weights[level, color, first:after].astype(np.float64) * FINER
        data = weights[:, : 2 * parents.shape[1] + 2].ravel()
        matrix = csr_array((data[there], (rows[there], columns.ravel()[there])), (count, 2 + 2 * first))
        constants = tables.constants[level, color, first:after].astype(np.float64)
        out.append(Mixing(matrix, constants[:, None], weights[:, -3:-2], (weights[:, -2:-1], weights[:, -1:])))
    return out[0], out[1]
