"""Tokens to streams and back: stripe by stripe, quantised and coded with a model's tables."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tokenfield.errors import UserError
from tokenfield.fields.codec.contexts import Ints, Tables, Walk
from tokenfield.fields.codec.entropy import Decoder, encode_stripe
from tokenfield.fields.codec.quantiser import Restorer, quantise

STRIPE = 512
"""Rows of pixels of a stripe, or one row of cells."""
Floats = NDArray[np.float32]


def step_of(quality: float | int) -> int:
    """The step of a quality, in 1/256 of an 8-bit level: 1 level at 100, 128 at 0, twice as much every 14."""
    return round(256 * 2 ** (7 * (100 - quality) / 100))


def encode_tokens(tables: Tables, tokens: Floats, step: int, stripe: int) -> list[list[bytes]]:
    """Streams by stripe and layer of tokens (rows, columns, w), w <= D, in stripes of so many rows.

    Raises UserError for more channels than the tables know.
    """
    if tokens.shape[2] > tables.bands:
        raise UserError(f"tokens of {tokens.shape[2]} channels, and tables for {tables.bands}; fit tables to the model")
    level, out = tables.level(step), []
    unit = tables.scale.astype(np.float64) * (255 * 256 / step)
    for top in range(0, tokens.shape[0], stripe):
        part = np.moveaxis(tokens[top : top + stripe].astype(np.float64), -1, 0)
        values = np.zeros((tables.bands, *part.shape[1:]))
        values[: len(part)] = part * unit[: len(part), None, None]
        out.append(encode_stripe(tables, level, quantise(tables, level, values)))
    return out


def decode_stripe(tables: Tables, level: int, streams: Iterable[bytes], grid: tuple[int, int]) -> tuple[Ints, Floats]:
    """Symbols, and values in steps, (D, rows, columns) each, of a stripe's leading streams; what is missing is 0."""
    walk, restorer = Walk(tables, level, grid), Restorer(tables, level, grid[0] * grid[1])
    for layer, stream in enumerate(streams):
        if stream:
            restorer.symbols_of = Decoder(tables, level, stream)
            walk.layer(layer, restorer)
    return walk.symbols.reshape(-1, *grid), restorer.values.reshape(-1, *grid)


def decode_tokens(tables: Tables, streams: Iterable[bytes], grid: tuple[int, int], step: int) -> Floats:
    """Tokens (rows, columns, D) of a stripe."""
    _, values = decode_stripe(tables, tables.level(step), streams, grid)
    unit = (step / (255 * 256) / tables.scale.astype(np.float64)).astype(np.float32)
    return np.moveaxis(values, 0, -1) * unit
