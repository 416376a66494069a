"""A field's tokens as a file of version 2, and back: a model's tables, a picture's stripes, a file's header."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenfield._version import __version__
from tokenfield.errors import UserError
from tokenfield.fields.axis import BlockAxis
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
    stripe, step = max(1, STRIPE // (model.cell if model.input_size is None else STRIPE)), step_of(quality)
    flat = tokens.detach().cpu().float().flatten(2).numpy()
    streams = encode_tokens(tables, flat, step, stripe)
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
        if header.layers != len(tables.layers) - 1:
            raise UserError(f"{path} is damaged: {header.layers} layers; the model's tables have "
                            f"{len(tables.layers) - 1}")
        first, after = rows_of(model, domain, header, part)
        if not part.partial and (first, after) == (0, header.shape[0]):
            file.check_whole()
        tokens = np.zeros((*header.shape[:2], int(np.prod(header.shape[2:]))), np.float32)
        for stripe in range(header.stripes):
            top, bottom = header.rows(stripe)
            if top < after and bottom > first:
                streams = file.streams(stripe, partial=part.partial)[: part.layers]
                whole = decode_tokens(tables, streams, (bottom - top, header.shape[1]), header.step)
                tokens[top:bottom] = whole[..., : tokens.shape[-1]]
    out: Tensor = torch.from_numpy(tokens).unflatten(2, header.shape[2:])
    return out


def rows_of(model: FieldModel, domain: Domain, header: container.Header, part: Part) -> tuple[int, int]:
    """First row of tokens that a part needs, and the first after it."""
    if part.rows is None or not isinstance(domain, Pieces) or not isinstance(axis := domain.axes[0], BlockAxis):
        return 0, header.shape[0]
    return axis.cells_near((torch.tensor(part.rows, dtype=torch.float64) + 1) * (axis.length / 2), model.reach)
