"""Symbols to bytes and back: a range coder whose tables are whole numbers (the coder is `constriction`'s).

A magnitude is a bucket, by the table of the symbol's class, and within a large bucket further bits; then comes the
sign. Buckets are 0 .. 15 and above that four to the octave.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import constriction
import numpy as np
from numpy.typing import NDArray

from tokenfield.errors import UserError
from tokenfield.fields.codec.contexts import Visitor, Walk
from tokenfield.fields.codec.tables import Frequencies, Ints, Tables

EXACT, PARTS, OCTAVES = 16, 4, 14
"""Magnitudes with a bucket of their own; buckets of an octave above them; octaves."""
BUCKETS = EXACT + PARTS * OCTAVES
LARGEST = (1 << (OCTAVES + 4)) - 1
"""The largest magnitude that has a bucket."""


def bucket_of(magnitude: Ints) -> Ints:
    """Buckets of magnitudes from 0 to `LARGEST`."""
    shift = np.frexp(np.maximum(magnitude, EXACT))[1].astype(np.int64) - 3  # exact: whole numbers below 2^53
    above = EXACT + (shift - 2) * PARTS + (magnitude >> shift) - PARTS
    return np.where(magnitude < EXACT, magnitude, above)


def span_of(bucket: Ints) -> tuple[Ints, Ints]:
    """The smallest magnitude of buckets, and how many bits tell its magnitudes apart."""
    octave, part = np.divmod(np.maximum(bucket - EXACT, 0), PARTS)
    large = bucket >= EXACT
    return np.where(large, (PARTS + part) << (octave + 2), bucket), np.where(large, octave + 2, 0)


class Known:
    """A visitor that knows its symbols, (D, cells) in coding order."""

    def __init__(self, symbols: Ints):
        self.symbols = symbols

    def __call__(self, bands: slice, cells: slice | Ints, classes: Ints, prediction: Ints) -> Ints:
        symbols: Ints = self.symbols[bands, cells]
        return symbols

    def label(self, cells: Ints, frequencies: Frequencies) -> Ints:
        labels: Ints = self.symbols[0, cells]
        return labels


class Encoder:
    """A visitor that writes the symbols that another one decides."""

    def __init__(self, tables: Tables, level: int, symbols: Visitor):
        self.tables, self.level, self.symbols = tables, level, symbols
        self.coder, self.zeros = constriction.stream.queue.RangeEncoder(), True

    def __call__(self, bands: slice, cells: slice | Ints, classes: Ints, prediction: Ints) -> Ints:
        values = self.symbols(bands, cells, classes, prediction)
        self.zeros = self.zeros and not values.any()
        residual = (values - prediction).ravel()
        magnitude = np.abs(residual)
        bucket = bucket_of(magnitude)
        for kind, places in _by(classes.ravel()):
            self.coder.encode(bucket[places].astype(np.int32), _table(self.tables, self.level, kind))
        large = np.flatnonzero(bucket >= EXACT)
        low, bits = span_of(bucket[large])
        for width, places in _by(bits):
            self._write_bits((magnitude[large] - low)[places], width)
        signs = residual[residual != 0] < 0
        if len(signs):
            self.coder.encode(signs.astype(np.int32), _bit())
        return values

    def label(self, cells: Ints, frequencies: Frequencies) -> Ints:
        values = self.symbols.label(cells, frequencies)
        self.zeros = False
        self.coder.encode(values.astype(np.int32), _family(), frequencies.astype(np.float32))
        return values

    def _write_bits(self, values: Ints, width: int) -> None:
        for start in range(0, width, 8):  # at most a byte at a time, the lowest first
            part = min(8, width - start)
            self.coder.encode(((values >> start) & ((1 << part) - 1)).astype(np.int32), _uniform(part))

    def bytes(self) -> bytes:
        """What was written, without the zeros at its end; nothing where all symbols are zero."""
        if self.zeros:
            return b""
        return self.coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0") or b"\0"


class Decoder:
    """A visitor that reads symbols. Raises UserError where the bytes are no stream of symbols."""

    def __init__(self, tables: Tables, level: int, data: bytes):
        self.tables, self.level = tables, level
        words = np.frombuffer(data + bytes(8 + -len(data) % 4), "<u4").astype(np.uint32)
        self.coder = constriction.stream.queue.RangeDecoder(words)

    def __call__(self, bands: slice, cells: slice | Ints, classes: Ints, prediction: Ints) -> Ints:
        magnitude = np.empty(classes.size, np.int64)
        with clean():
            for kind, places in _by(classes.ravel()):
                magnitude[places] = self.coder.decode(_table(self.tables, self.level, kind), len(places))
            large = np.flatnonzero(magnitude >= EXACT)
            low, bits = span_of(magnitude[large])
            for width, places in _by(bits):
                low[places] += self._read_bits(len(places), width)
            magnitude[large] = low
            some = np.flatnonzero(magnitude)
            if len(some):
                magnitude[some] *= 1 - 2 * self.coder.decode(_bit(), len(some)).astype(np.int64)
        return magnitude.reshape(classes.shape) + prediction

    def label(self, cells: Ints, frequencies: Frequencies) -> Ints:
        with clean():
            labels: Ints = self.coder.decode(_family(), frequencies.astype(np.float32)).astype(np.int64)
        return labels

    def _read_bits(self, count: int, width: int) -> Ints:
        values = np.zeros(count, np.int64)
        for start in range(0, width, 8):
            values |= self.coder.decode(_uniform(min(8, width - start)), count).astype(np.int64) << start
        return values


@contextmanager
def clean() -> Iterator[None]:
    """What the coder says of bytes that it cannot have written, as one line."""
    try:
        yield
    except (AssertionError, ValueError) as error:
        raise UserError("a stream holds no such symbols") from error


def encode_stripe(tables: Tables, level: int, walk: Walk, symbols: Visitor) -> list[bytes]:
    """The symbols that a visitor decides on a walk over a stripe, one stream per layer; a layer of zeros is empty."""
    streams = []
    for layer in range(len(tables.layers) - 1):
        encoder = Encoder(tables, level, symbols)
        walk.layer(layer, encoder)
        streams.append(encoder.bytes())
    return streams


def code_lengths(tables: Tables, level: int) -> NDArray[np.float64]:
    """Bits that a magnitude of every bucket costs in every class, its sign included: (K, buckets)."""
    frequencies = tables.frequencies[level].astype(np.float64)
    bits: NDArray[np.float64] = -np.log2(frequencies / frequencies.sum(1, keepdims=True))
    return bits + span_of(np.arange(BUCKETS))[1] + (np.arange(BUCKETS) > 0)


def _by(kinds: Ints) -> list[tuple[int, Ints]]:
    """Every kind that occurs, rising, with its places in their order."""
    order = np.argsort(kinds.astype(np.uint8), kind="stable")  # of bytes: in linear time
    counts = np.bincount(kinds)
    which = np.flatnonzero(counts)
    return list(zip(which.tolist(), np.split(order, np.cumsum(counts[which])[:-1]), strict=True)) if len(kinds) else []


@lru_cache(maxsize=1024)
def _table(tables: Tables, level: int, kind: int) -> constriction.stream.model.Categorical:
    """The coder's table of a class: frequencies are whole numbers, which floats hold exactly."""
    return constriction.stream.model.Categorical(tables.frequencies[level, kind].astype(np.float64), perfect=False)


@lru_cache(maxsize=1)
def _family() -> constriction.stream.model.Categorical:
    """A table of its own for every symbol."""
    return constriction.stream.model.Categorical(perfect=False)


def _bit() -> constriction.stream.model.Uniform:
    return _uniform(1)


@lru_cache(maxsize=8)
def _uniform(bits: int) -> constriction.stream.model.Uniform:
    return constriction.stream.model.Uniform(1 << bits)
