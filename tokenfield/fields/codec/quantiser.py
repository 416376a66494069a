"""Tokens to whole numbers and back: uniform steps, each symbol decided by what it costs.

A symbol is the whole number, nearest or one nearer to zero or zero, with the least

    (error in steps)^2 + price x bits,

the bits being those of its class's table, in coding order, so that contexts are those the decoder will have. The
decoder gives every symbol the mean of what was quantised to it, which lies nearer to zero than the middle.
"""

import numpy as np
from numpy.typing import NDArray

from tokenfield.fields.codec.contexts import Ints, Tables, Visit, Walk
from tokenfield.fields.codec.entropy import LARGEST, bucket_of, code_lengths

PRICE = 0.13
"""Of a bit, in squared steps; fixed on training pictures."""


class Quantiser:
    """A visitor that decides symbols for values in steps (D, cells), and adds up the `bits` they will cost."""

    def __init__(self, tables: Tables, level: int, values: NDArray[np.float64], *, price: float = PRICE):
        self.values = values.clip(-LARGEST / 2, LARGEST / 2)
        self.price, self.lengths = price, code_lengths(tables, level)
        self.shift = np.concatenate([np.zeros((len(self.lengths), 1)), tables.shift[level] / 256], 1)
        self.bits = 0.0

    def rounded(self, bands: Ints) -> Ints:
        """The nearest symbols, rounded somewhat towards zero where a price is asked."""
        values = self.values[bands]
        nearest: Ints = (np.sign(values) * np.floor(np.abs(values) + (0.38 if self.price else 0.5))).astype(np.int64)
        return nearest

    def __call__(self, bands: Ints, cells: Ints, classes: Ints, prediction: Ints) -> Ints:
        values = self.values[bands[:, None], cells]
        if np.ndim(prediction):
            symbols: Ints = np.floor(values + 0.5).astype(np.int64)
            self.bits += self.lengths[classes, bucket_of(np.abs(symbols - prediction))].sum()
            return symbols
        size = np.abs(values)
        nearest = np.floor(size + 0.5).astype(np.int64)
        best, least, cost = nearest, np.full(size.shape, np.inf), np.zeros(size.shape)
        for candidate in (nearest, np.maximum(nearest - 1, 0), np.zeros_like(nearest)):
            bits = self.lengths[classes, bucket_of(candidate)]
            error = size - candidate - self.shift[classes, np.minimum(candidate, 3)]
            total = error * error + self.price * bits
            better = total < least
            best, least = np.where(better, candidate, best), np.where(better, total, least)
            cost = np.where(better, bits, cost)
        self.bits += cost.sum()
        symbols = np.where(values < 0, -best, best)
        return symbols


class Restorer:
    """A visitor that notes the `values` (D, cells), in steps, of the symbols that another visitor has."""

    def __init__(self, tables: Tables, level: int, cells: int):
        self.values = np.zeros((tables.bands, cells), np.float32)
        self.shift = np.concatenate([np.zeros((tables.shift.shape[1], 1)), tables.shift[level] / 256], 1)
        self.symbols_of: Visit = _nothing

    def __call__(self, bands: Ints, cells: Ints, classes: Ints, prediction: Ints) -> Ints:
        symbols = self.symbols_of(bands, cells, classes, prediction)
        shift = 0 if np.ndim(prediction) else self.shift[classes, np.minimum(np.abs(symbols), 3)]
        self.values[bands[:, None], cells] = symbols + np.sign(symbols) * shift
        return symbols


def _nothing(bands: Ints, cells: Ints, classes: Ints, prediction: Ints) -> Ints:
    return np.zeros_like(classes)


def quantise(tables: Tables, level: int, values: NDArray[np.float64]) -> Ints:
    """Symbols (D, rows, columns) of a stripe's values in steps."""
    quantiser = Quantiser(tables, level, values.reshape(len(values), -1))
    walk = Walk(tables, level, values.shape[1:])
    for layer in range(len(tables.layers) - 1):
        walk.layer(layer, quantiser)
    return walk.symbols.reshape(values.shape)
