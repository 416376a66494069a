"""Tokens to whole numbers and back: uniform steps, each symbol decided by what it costs.

A symbol is the whole number, nearest or one nearer to zero or zero, with the least

    (error in steps)^2 + price x bits,

the bits being those of its class's table, in coding order, so that contexts are those the decoder will have. The
decoder gives every symbol the mean of what was quantised to it, which lies nearer to zero than the middle.
"""

import numpy as np
from numpy.typing import NDArray

from tokenfield.fields.codec.contexts import Visitor
from tokenfield.fields.codec.entropy import LARGEST, Known, bucket_of, code_lengths
from tokenfield.fields.codec.tables import Frequencies, Ints, Tables

PRICE = 0.13
"""Of a bit, in squared steps; fixed on training pictures."""


class Quantiser:
    """A visitor that decides symbols for values in steps (D, cells), and adds up the `bits` they will cost.

    Cells are in coding order; of a token with a label the first value is that.
    """

    def __init__(self, tables: Tables, level: int, values: NDArray[np.float64], *, price: float = PRICE):
        self.values = values.clip(-LARGEST / 2, LARGEST / 2)
        self.price, self.lengths = price, code_lengths(tables, level)
        self.shift = np.concatenate([np.zeros((len(self.lengths), 1)), tables.shift[level] / 256], 1)
        self.bits = 0.0

    def rounded(self, bands: slice) -> Ints:
        """The nearest symbols, rounded somewhat towards zero where a price is asked."""
        values = self.values[bands]
        nearest: Ints = (np.sign(values) * np.floor(np.abs(values) + (0.38 if self.price else 0.5))).astype(np.int64)
        return nearest

    def label(self, cells: Ints, frequencies: Frequencies) -> Ints:
        labels: Ints = self.values[0, cells].astype(np.int64)
        share = np.take_along_axis(frequencies, labels[:, None], 1)[:, 0] / frequencies.sum(1)
        self.bits -= float(np.log2(share).sum())
        return labels

    def __call__(self, bands: slice, cells: slice | Ints, classes: Ints, prediction: Ints) -> Ints:
        values = self.values[bands, cells]
        if np.ndim(prediction):
            symbols: Ints = np.floor(values + 0.5).astype(np.int64)
            self.bits += self.lengths[classes, bucket_of(np.abs(symbols - prediction))].sum()
            return symbols
        symbols, size = np.zeros(values.shape, np.int64), np.abs(values)
        self.bits += self.lengths[:, 0][classes].sum()
        some = np.nonzero(size >= 0.5)                       # all others are zero, nearest and cheapest
        size, classes, negative = size[some], classes[some], values[some] < 0
        nearest = np.floor(size + 0.5).astype(np.int64)
        best, least, cost = nearest, np.full(size.shape, np.inf), np.zeros(size.shape)
        for candidate in (nearest, np.maximum(nearest - 1, 0), np.zeros_like(nearest)):
            bits = self.lengths[classes, bucket_of(candidate)]
            error = size - candidate - self.shift[classes, np.minimum(candidate, 3)]
            total = error * error + self.price * bits
            better = total < least
            best, least = np.where(better, candidate, best), np.where(better, total, least)
            cost = np.where(better, bits, cost)
        self.bits += (cost - self.lengths[:, 0][classes]).sum()
        symbols[some] = np.where(negative, -best, best)
        return symbols


class Restorer:
    """A visitor that notes the `values` (D, cells), in steps, of the symbols that another visitor has."""

    def __init__(self, tables: Tables, level: int, cells: int):
        self.values = np.zeros((tables.bands, cells), np.float32)
        self.shift = np.concatenate([np.zeros((tables.shift.shape[1], 1)), tables.shift[level] / 256], 1)
        self.symbols: Visitor = Known(np.zeros((0, 0), np.int64))

    def __call__(self, bands: slice, cells: slice | Ints, classes: Ints, prediction: Ints) -> Ints:
        symbols = self.symbols(bands, cells, classes, prediction)
        if np.ndim(prediction):
            self.values[bands, cells] = symbols
            return symbols
        some = np.nonzero(symbols)
        found, moved = symbols[some], np.zeros(symbols.shape, np.float32)
        moved[some] = found + np.sign(found) * self.shift[classes[some], np.minimum(np.abs(found), 3)]
        self.values[bands, cells] = moved
        return symbols

    def label(self, cells: Ints, frequencies: Frequencies) -> Ints:
        labels = self.symbols.label(cells, frequencies)
        self.values[0, cells] = labels
        return labels
