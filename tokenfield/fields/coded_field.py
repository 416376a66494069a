"""A field's tokens as a file of version 2, and back: a model's tables, a picture's stripes, a file's header."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tokenfield._version import __version__
from tokenfield.errors import UserError
from tokenfield.fields.axis import BlockAxis, shares
from tokenfield.fields.codec import container
from tokenfield.fields.codec.coding import STRIPE, decode_tokens, encode_tokens, step_of
from tokenfield.fields.codec.tables import tables_of
from tokenfield.fields.domain import Domain, Pieces
from tokenfield.models.base import FieldModel
from tokenfield.models.folder import ModelId


@dataclass(frozen=True)
class Part:
    """What of a file is decoded: rows from one y in [-1, 1] to another, layers; what is there of a cut one."""

    rows: tuple[float, float] | None = None
    layers: int | None = None
    partial: bool = False


def pack(model: FieldModel, identity: ModelId, tokens: Tensor, domain: Domain, quality: float | int) -> bytes:
    """The bytes of a file: tokens (rows, columns, ..., w) quantised as finely as the quality, 0 to 100, says.

    Raises UserError for another quality, tokens that are not finite, and a model without tables.
    """
    if not 0 <= quality <= 100:
        raise UserError(f"quality {quality:g}; give a number from 0 to 100")
    if not torch.isfinite(tokens).all():
        raise UserError("tokens that are not finite numbers cannot be coded")
    tables, name = tables_of(model)
    stripe, step = stripe_of(model), step_of(quality)
    rows, _ = side_by_side(tokens.shape)
    streams = encode_tokens(tables, arranged(tokens), step, stripe * rows)
    header = container.Header(identity, name, step, __version__, tuple(tokens.shape), stripe, len(tables.layers) - 1,
                              domain.to_dict())
    return container.pack(header, streams)


def unpack(source: Path | bytes, model: FieldModel, domain: Domain, part: Part) -> Tensor:
    """The tokens of a file, 0 outside the part that was decoded. Raises UserError for a damaged or a cut file."""
    tables, name = tables_of(model)
    with container.opened(source) as file:
        path, header = file.path, file.header
        if header.tables != name:
            raise UserError(f"{path} was coded with other tables than those of {model.origin}; install the version "
                            f"that wrote it, tokenfield {header.library}")
        if header.shape[-1] > tables.bands:
            raise UserError(f"{path} is damaged: tokens of {header.shape[-1]} numbers; the model's tables are for "
                            f"{tables.bands}")
        if header.layers != len(tables.layers) - 1:
            raise UserError(f"{path} is damaged: {header.layers} layers; the model's tables have "
                            f"{len(tables.layers) - 1}")
        if header.stripe > stripe_of(model):  # a stripe is decoded at once
            raise UserError(f"{path} is damaged: stripes of {header.stripe} rows; the model's have {stripe_of(model)}")
        first, after = rows_of(model, domain, header, part)
        if not part.partial and (first, after) == (0, header.shape[0]):
            file.check_whole()
        tokens, most = np.zeros(header.shape, np.float32), 0
        down, across = side_by_side(header.shape)
        for stripe in range(header.stripes):
            top, bottom = header.rows(stripe)
            if top < after and bottom > first:
                streams = file.streams(stripe, partial=part.partial)[: part.layers]
                most = max(most, len(streams))
                grid = (bottom - top) * down, header.shape[1] * across
                try:
                    whole = decode_tokens(tables, streams, grid, header.step)[..., : header.shape[-1]]
                except UserError as error:
                    raise UserError(f"{path} is damaged: {error}; get it again") from error
                apart = whole.reshape(bottom - top, down, header.shape[1], across, -1).swapaxes(1, 2)
                tokens[top:bottom] = apart.reshape(tokens[top:bottom].shape)
    width = int(tables.starts[tables.layers[most]])  # a model of several rates is told which one this is
    return torch.from_numpy(np.ascontiguousarray(tokens[..., :width]) if width in model.prefixes else tokens)


def stripe_of(model: FieldModel) -> int:
    """Rows of cells or tiles that are coded together."""
    return max(1, STRIPE // (model.cell if model.input_size is None else model.input_size[0]))


def side_by_side(shape: Sequence[int]) -> tuple[int, int]:
    """How the R tokens of a tile, (rows, columns, R, D) of all, lie beside each other: r x R / r, as nearly square."""
    count = prod(shape[2:-1])
    down = max(d for d in range(1, isqrt(count) + 1) if count % d == 0)
    return down, count // down


def arranged(tokens: Tensor) -> NDArray[np.float32]:
    """Tokens (rows, columns, ..., D) as one lattice (rows', columns', D), a tile's R tokens side by side.

    Where they have places, neighbours in the lattice are neighbours in the picture.
    """
    down, across = side_by_side(tokens.shape)
    rows, columns, width = *tokens.shape[:2], tokens.shape[-1]
    apart = tokens.detach().cpu().float().reshape(rows, columns, down, across, width).transpose(1, 2)
    lattice: NDArray[np.float32] = apart.reshape(rows * down, columns * across, width).numpy()
    return lattice


def rows_of(model: FieldModel, domain: Domain, header: container.Header, part: Part) -> tuple[int, int]:
    """First row of tokens that a part needs, and the first after it."""
    if part.rows is None or not isinstance(domain, Pieces):
        return 0, header.shape[0]
    axis, at = domain.axes[0], (torch.tensor(part.rows, dtype=torch.float64) + 1) * (domain.size[0] / 2)
    if isinstance(axis, BlockAxis):
        return axis.cells_near(at, model.reach)
    pieces = shares(axis, at)[0]
    return int(pieces.min()), int(pieces.max()) + 1
