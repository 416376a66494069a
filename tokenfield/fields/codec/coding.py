"""Tokens to streams and back: stripe by stripe, quantised and coded with a model's tables."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tokenfield.errors import UserError
from tokenfield.fields.codec.contexts import Order, Walk
from tokenfield.fields.codec.entropy import Decoder, encode_stripe
from tokenfield.fields.codec.quantiser import Quantiser, Restorer
from tokenfield.fields.codec.tables import Ints, Tables

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
    for top in range(0, tokens.shape[0], stripe):
        values = in_steps(tables, tokens[top : top + stripe], step)
        walk = Walk(tables, level, values.shape[1:])
        quantiser = Quantiser(tables, level, values.reshape(len(values), -1).take(walk.order, 1))
        out.append(encode_stripe(tables, level, walk, quantiser))
    return out


def in_steps(tables: Tables, tokens: Floats, step: int) -> NDArray[np.float64]:
    """Tokens (..., w) as bands (D, ...) in units of their steps."""
    bands = tables.basis.bands(tokens) if tables.basis is not None else tokens.astype(np.float64)
    values = np.zeros((tables.bands, *tokens.shape[:-1]))
    unit = np.expand_dims(tables.scale.astype(np.float64) * (255 * 256 / step), list(range(1, tokens.ndim)))
    if tables.labels is not None:
        unit[0] = 1
    width = bands.shape[-1]
    np.multiply(np.moveaxis(bands, -1, 0), unit[:width], out=values[:width])
    return values


def decode_stripe(tables: Tables, level: int, streams: Iterable[bytes], grid: tuple[int, int]) -> tuple[Ints, Floats]:
    """Symbols, and values in steps, (D, rows, columns) each, of a stripe's leading streams; what is missing is 0."""
    walk, values = _walked(tables, level, streams, grid)
    return walk.on_grid(walk.symbols)[:, 0], walk.on_grid(values)[:, 0]


def _walked(tables: Tables, level: int, streams: Iterable[bytes], grid: tuple[int, int]) -> tuple[Walk, Floats]:
    """A walk that has read its symbols, and their values (D, cells) in coding order."""
    walk, restorer = Walk(tables, level, grid), Restorer(tables, level, grid[0] * grid[1])
    for layer, stream in enumerate(streams):
        if stream:
            restorer.symbols = Decoder(tables, level, stream)
            walk.layer(layer, restorer)
    return walk, restorer.values


def decode_tokens(tables: Tables, streams: Iterable[bytes], grid: tuple[int, int], step: int) -> Floats:
    """Tokens (rows, columns, D) of a stripe."""
    in_order = _walked(tables, tables.level(step), streams, grid)[1]  # the walk is several times as large, and goes
    values = Order(grid).on_grid(in_order)[:, 0]
    unit = (step / (255 * 256) / tables.scale.astype(np.float64)).astype(np.float32)
    if tables.labels is not None:
        unit[0] = 1
    bands = np.moveaxis(values, 0, -1) * unit
    return bands if tables.basis is None else tables.basis.tokens(bands)
