"""The order in which the symbols of a stripe are coded, and how large each is expected to be.

A stripe is D bands (channels of tokens) of symbols, whole numbers, on a grid of cells. Bands are coded in groups from
coarse to fine, and a group in two passes, the cells of a chessboard's two colours. The expected magnitude of a symbol
is a weighted sum of magnitudes that the decoder has already:

    in earlier groups: of P parent bands in the same cell, and in the four cells around it; of all bands together, ditto
    in its own band:   of the cells left and right, and above and below, which the first pass brought

It is sorted into one of K classes, and each class has a table of frequencies (`tokenfield.fields.codec.entropy`): a
mixture of scales whose scale is known to both sides. The first bands of smooth signals are predicted instead, from the
mean of neighbours on ever finer lattices of cells, and how far these differ is their context.

All of this is arithmetic of whole numbers, so that every machine finds the same classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

UNIT = 1 << 20
"""Of expected magnitudes: fixed-point numbers."""
FINER = 1 << 8
"""A weight times this is in units of `UNIT`."""
CLIP = 1 << 15
"""Largest magnitude that counts in a context: sums stay far below 2^63."""
COARSEST = 16
"""Cells between the points of the first lattice of predicted bands; a power of two."""

Ints = NDArray[np.int64]
UNPREDICTED: Ints = np.array(0, np.int64)
Visit = Callable[[Ints, Ints, Ints, Ints], Ints]
"""Given bands (N,), cells (M,), classes (N, M) and predictions (N, M), or `UNPREDICTED`: the symbols (N, M) there."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What encoder and decoder know beforehand, fitted on training pictures and stored beside a model's weights.

    L levels are fits at L steps; K classes; P parents; F = 2 P + 4 features of a band; G groups.
    """

    starts: NDArray[np.int32]
    """First band of every group, and D: (G + 1,)."""
    layers: NDArray[np.int32]
    """First group of every layer, and G. A layer is what a prefix of a file may end with."""
    predicted: NDArray[np.int32]
    """How many bands, the whole of the first groups, are predicted: (1,)."""
    parents: NDArray[np.int32]
    """Bands of earlier groups, D for none: (D, P)."""
    constants: NDArray[np.int64]
    """(L, 2, D), in 1 / UNIT, per pass."""
    weights: NDArray[np.int32]
    """(L, 2, D, F), in FINER / UNIT."""
    spreads: NDArray[np.int64]
    """Of predicted bands: constant, and weight of the neighbours' spread, per pass: (L, passes, bands, 2)."""
    thresholds: NDArray[np.int64]
    """Between classes, rising, in 1 / UNIT: (K - 1,)."""
    frequencies: NDArray[np.int32]
    """Of magnitudes' buckets: (L, K, buckets)."""
    shift: NDArray[np.int16]
    """Mean of what quantisation to 1, to 2, and to more took away, in 1/256 of a step: (L, K, 3)."""
    steps: NDArray[np.int32]
    """The step of every level, in 1/256 of an 8-bit level."""
    scale: NDArray[np.float32]
    """Of every band: how far its unit is from moving a picture by 1 in the Euclidean norm, (D,); its step is divided
    by this."""

    @property
    def bands(self) -> int:
        """D."""
        return int(self.starts[-1])

    def level(self, step: int) -> int:
        """The level fitted at the nearest step, by ratio: 2 a b against a^2 + b^2 in whole numbers."""
        larger = [max(int(s), step) * 1000 // min(int(s), step) for s in self.steps]
        return larger.index(min(larger))

    def groups(self, layer: int) -> range:
        """The groups of a layer."""
        return range(int(self.layers[layer]), int(self.layers[layer + 1]))


TABLES = tuple(field.name for field in fields(Tables))


class Walk:
    """Goes over the symbols of a stripe in coding order. `symbols` (D, cells) fill up on the way.

    A visitor says what a symbol is: the encoder knows, the decoder reads, the quantiser decides. `grid` is (rows,
    columns), or (stripes, rows, columns) for several at once.
    """

    def __init__(self, tables: Tables, level: int, grid: tuple[int, ...]):
        self.tables, self.level = tables, level
        self.grid = (1, *grid)[-3:]
        count = int(np.prod(self.grid))
        self.symbols = np.zeros((tables.bands, count), np.int64)
        self.near = np.zeros((tables.bands + 1, count), np.int64)    # magnitudes; the last row is no band's
        self.around = np.zeros((tables.bands + 1, count), np.int64)  # summed over the four cells around
        self.all_near, self.all_around = np.zeros(count, np.int64), np.zeros(count, np.int64)
        _, y, x = np.indices(self.grid).reshape(3, -1)
        self.passes = [np.flatnonzero((y + x) % 2 == color) for color in (0, 1)]
        self.y, self.x = y, x

    def layer(self, number: int, visit: Visit) -> None:
        """Visit the symbols of one layer; the layers before it come first."""
        for group in self.tables.groups(number):
            bands = np.arange(self.tables.starts[group], self.tables.starts[group + 1])
            if bands[-1] < self.tables.predicted[0]:
                self._predicted(bands, visit)
            else:
                self._in_context(bands, visit)

    def _in_context(self, bands: Ints, visit: Visit) -> None:
        for color, cells in enumerate(self.passes):
            expected = np.repeat(self.tables.constants[self.level, color, bands][:, None], len(cells), 1)
            for weight, feature in zip(self.tables.weights[self.level, color, bands].T, self.features(bands, cells),
                                       strict=True):
                expected += (weight.astype(np.int64) * FINER)[:, None] * feature
            self.symbols[bands[:, None], cells] = visit(bands, cells, self.classes(expected), UNPREDICTED)
            self.near[bands[:, None], cells] = np.minimum(np.abs(self.symbols[bands[:, None], cells]), CLIP)
        self._finish(bands)

    def features(self, bands: Ints, cells: Ints) -> Iterator[Ints]:
        """What the expected magnitude is a weighted sum of, each (N, M) or (M,); own neighbours come last."""
        for parent in self.tables.parents[bands].T:
            yield self.near[parent[:, None], cells]
            yield self.around[parent[:, None], cells]
        yield self.all_near[cells]
        yield self.all_around[cells]
        own = self.near[bands].reshape(-1, *self.grid)
        for axis in (2, 3):
            yield neighbours(own, axis).reshape(len(bands), -1)[:, cells]

    def classes(self, expected: Ints) -> Ints:
        """Expected magnitudes -> classes 0 .. K - 1."""
        return np.searchsorted(self.tables.thresholds, expected, side="right")

    def _finish(self, bands: Ints) -> None:
        """The group is known as a whole: bring what later groups look at up to date."""
        own = self.near[bands].reshape(-1, *self.grid)
        self.around[bands] = (neighbours(own, 2) + neighbours(own, 3)).reshape(len(bands), -1)
        self.all_near += self.near[bands].sum(0)
        self.all_around += self.around[bands].sum(0)

    def _predicted(self, bands: Ints, visit: Visit) -> None:
        for number, (cells, offsets) in enumerate(self.lattices()):
            if not len(cells):
                continue
            mean, spread = self._neighbourhood(bands, cells, offsets)
            constant, weight = np.moveaxis(self.tables.spreads[self.level, number, bands], -1, 0)
            classes = self.classes(constant[:, None] + weight[:, None] * spread)
            values = visit(bands, cells, classes, mean)
            self.symbols[bands[:, None], cells] = values
            self.near[bands[:, None], cells] = np.minimum(np.abs(values - mean), CLIP)
        self._finish(bands)

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

    def _neighbourhood(self, bands: Ints, cells: Ints, offsets: list[tuple[int, int]]) -> tuple[Ints, Ints]:
        """Mean of the neighbours inside the grid, rounded, and how far they lie from it, four of them."""
        _, rows, columns = self.grid
        y, x = self.y[cells], self.x[cells]
        total, count = np.zeros((len(bands), len(cells)), np.int64), np.zeros(len(cells), np.int64)
        around = []
        for down, right in offsets:
            inside = (y + down >= 0) & (y + down < rows) & (x + right >= 0) & (x + right < columns)
            values = self.symbols[bands[:, None], np.where(inside, cells + down * columns + right, 0)] * inside
            around.append((values, inside))
            total, count = total + values, count + inside
        some = np.maximum(count, 1)
        mean = (2 * total + some) // (2 * some)
        spread = np.zeros_like(total)
        for values, inside in around:
            spread += np.minimum(np.abs(values - mean), CLIP) * inside
        return mean, spread * 4 // some


def neighbours(planes: Ints, axis: int) -> Ints:
    """The sum of the two neighbours along an axis, 0 beyond the edge."""
    out = np.zeros_like(planes)
    low, high = [slice(None)] * planes.ndim, [slice(None)] * planes.ndim
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    out[tuple(high)] += planes[tuple(low)]
    out[tuple(low)] += planes[tuple(high)]
    return out
