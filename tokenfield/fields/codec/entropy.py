"""Symbols to bytes and back: a range coder whose tables are whole numbers (the coder is `constriction`'s).

A magnitude is a bucket, by the table of the symbol's class, and within a large bucket further bits; then comes the
sign. Buckets are 0 .. 15 and above that four to the octave.
"""

from functools import lru_cache

import constriction
import numpy as np
from numpy.typing import NDArray

from tokenfield.errors import UserError
from tokenfield.fields.codec.contexts import Ints, Tables, Walk

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


class Encoder:
    """A visitor that writes symbols it knows, (D, cells)."""

    def __init__(self, tables: Tables, level: int, symbols: Ints):
        self.tables, self.level, self.symbols = tables, level, symbols
        self.coder = constriction.stream.queue.RangeEncoder()

    def __call__(self, bands: Ints, cells: Ints, classes: Ints, prediction: Ints) -> Ints:
        values = self.symbols[bands[:, None], cells]
        residual = (values - prediction).ravel()
        magnitude = np.abs(residual)
        bucket = bucket_of(magnitude)
        flat = classes.ravel()
        for kind, places in _by(flat):
            self.coder.encode(bucket[places].astype(np.int32), _table(self.tables, self.level, kind))
        low, bits = span_of(bucket)
        for width, places in _by(bits):
            if width:
                self._write_bits((magnitude - low)[places], width)
        signs = residual[residual != 0] < 0
        if len(signs):
            self.coder.encode(signs.astype(np.int32), _bit())
        return values

    def _write_bits(self, values: Ints, width: int) -> None:
        for start in range(0, width, 8):  # at most a byte at a time, the lowest first
            part = min(8, width - start)
            self.coder.encode(((values >> start) & ((1 << part) - 1)).astype(np.int32), _uniform(part))

    def bytes(self) -> bytes:
        """What was written, without the zeros at its end; never empty."""
        return self.coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0") or b"\0"


class Decoder:
    """A visitor that reads symbols. Raises UserError where the bytes are no stream of symbols."""

    def __init__(self, tables: Tables, level: int, data: bytes):
        self.tables, self.level = tables, level
        words = np.frombuffer(data + bytes(8 + -len(data) % 4), "<u4").astype(np.uint32)
        self.coder = constriction.stream.queue.RangeDecoder(words)

    def __call__(self, bands: Ints, cells: Ints, classes: Ints, prediction: Ints) -> Ints:
        flat = classes.ravel()
        bucket = np.empty(len(flat), np.int64)
        try:
            for kind, places in _by(flat):
                bucket[places] = self.coder.decode(_table(self.tables, self.level, kind), len(places))
            magnitude, bits = span_of(bucket)
            for width, places in _by(bits):
                if width:
                    magnitude[places] += self._read_bits(len(places), width)
            some = np.flatnonzero(magnitude)
            if len(some):
                magnitude[some] *= 1 - 2 * self.coder.decode(_bit(), len(some)).astype(np.int64)
        except (AssertionError, ValueError) as error:
            raise UserError("the stream is damaged: it holds no such symbols") from error
        return magnitude.reshape(classes.shape) + prediction

    def _read_bits(self, count: int, width: int) -> Ints:
        values = np.zeros(count, np.int64)
        for start in range(0, width, 8):
            values |= self.coder.decode(_uniform(min(8, width - start)), count).astype(np.int64) << start
        return values


def encode_stripe(tables: Tables, level: int, symbols: Ints) -> list[bytes]:
    """The symbols (D, rows, columns) of a stripe as one stream per layer; a layer of zeros alone is empty."""
    walk = Walk(tables, level, symbols.shape[1:])
    flat = symbols.reshape(len(symbols), -1)
    streams = []
    for layer in range(len(tables.layers) - 1):
        bands = slice(tables.starts[tables.layers[layer]], tables.starts[tables.layers[layer + 1]])
        if flat[bands].any():
            encoder = Encoder(tables, level, flat)
            walk.layer(layer, encoder)
            streams.append(encoder.bytes())
        else:
            streams.append(b"")
    return streams


def code_lengths(tables: Tables, level: int) -> NDArray[np.float64]:
    """Bits that a magnitude of every bucket costs in every class, its sign included: (K, buckets)."""
    frequencies = tables.frequencies[level].astype(np.float64)
    bits: NDArray[np.float64] = -np.log2(frequencies / frequencies.sum(1, keepdims=True))
    return bits + span_of(np.arange(BUCKETS))[1] + (np.arange(BUCKETS) > 0)


def _by(kinds: Ints) -> list[tuple[int, Ints]]:
    """Every kind that occurs, rising, with its places in their order."""
    if not len(kinds):
        return []
    order = np.argsort(kinds, kind="stable")
    which, first = np.unique(kinds[order], return_index=True)
    return list(zip(which.tolist(), np.split(order, first[1:]), strict=True))


@lru_cache(maxsize=1024)
def _table(tables: Tables, level: int, kind: int) -> constriction.stream.model.Categorical:
    """The coder's table of a class: frequencies are whole numbers, which floats hold exactly."""
    return constriction.stream.model.Categorical(tables.frequencies[level, kind].astype(np.float64), perfect=False)


def _bit() -> constriction.stream.model.Uniform:
    return _uniform(1)


@lru_cache(maxsize=8)
def _uniform(bits: int) -> constriction.stream.model.Uniform:
    return constriction.stream.model.Uniform(1 << bits)
