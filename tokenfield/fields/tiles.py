"""Tiles: pictures of any size for models that take one size.

The picture is covered by overlapping tiles, each encoded to a set of tokens of its own, and the fields of the tiles
are blended by a partition of unity (`axis.TileAxis`): the sum of their values, weighted by smooth functions that add
up to 1 everywhere. What comes out is one continuous function, with a continuous derivative where the model's own is,
and equals the model's field wherever one tile is alone. Tokens are (tile rows, tile columns, R, D).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.fields.axis import TileAxis
from tokenfield.fields.domain import Pieces, Progress, at_least_float32, corner, crossed
from tokenfield.models.base import FieldModel

OVERLAP = 1 / 8
"""Smallest fraction of a tile that neighbours share: a quarter more tokens per pixel buys seamless borders."""

BATCH_PIXELS = 1 << 18
"""Pixels encoded at once, a batch of tiles: 8 of 178 x 178, 64 of 64 x 64."""


class Cover(Pieces):
    """A signal along any number of axes as overlapping tiles of one size each; base of `Tiles`.

    Attributes:
        extent: a tile's samples along each axis, the model's input.
        overlap: the smallest fraction of a tile that neighbours share, above 0 and at most 1/3.
    """

    overlap: float

    @property
    def extent(self) -> tuple[int, ...]:
        raise NotImplementedError(f"{type(self).__name__}.extent")

    def check_overlap(self, tiles: str = "tiles") -> None:
        """Raises UserError for another overlap."""
        if not 0 < self.overlap <= 1 / 3:
            raise UserError(f"overlap {self.overlap} of {tiles}; it must be above 0 and at most 1/3 of one")

    @cached_property
    def axes(self) -> tuple[TileAxis, ...]:
        return tuple(TileAxis(n, tile, self.overlap) for n, tile in zip(self.size, self.extent, strict=True))

    def encode(self, model: FieldModel, picture: Tensor, progress: Progress | None = None) -> Tensor:
        """(C, H, W) -> (rows, columns, ...): `model.encode` of every tile, a few at a time."""
        device = next(model.parameters()).device
        tiles = list(product(*(range(axis.pieces) for axis in self.axes)))
        batch = max(1, BATCH_PIXELS // prod(self.extent))
        tokens: Tensor | None = None
        for start in range(0, len(tiles), batch):
            images = torch.stack([self.cut(picture, tile) for tile in tiles[start : start + batch]])
            part = at_least_float32(model.encode(images.to(device)))
            # One tensor from the start: joining the parts at the end would hold all tokens twice.
            tokens = part.new_empty(len(tiles), *part.shape[1:]) if tokens is None else tokens
            tokens[start : start + batch] = part
            if progress:
                progress(min(start + batch, len(tiles)), len(tiles))
        assert tokens is not None, "a picture has at least one tile"
        lattice: Tensor = tokens.unflatten(0, self.shape)
        return lattice

    def cut(self, picture: Tensor, tile: tuple[int, ...]) -> Tensor:
        """The samples (C, ...) of one tile, continued by the last ones."""
        indices = [axis.indices(i) for axis, i in zip(self.axes, tile, strict=True)]
        return picture[crossed(indices)]

    def at_vmapped(self, model: FieldModel, tokens: Tensor, points: Tensor) -> Tensor:
        """Of every point all tiles that it can belong to, four of a picture, gathered, with weights that may be 0."""
        at = [self._pixels(i, points[:, i]) for i in range(len(self.axes))]
        covers = [axis.cover(one) for axis, one in zip(self.axes, at, strict=True)]
        out = torch.zeros(len(points), model.channels, dtype=tokens.dtype, device=tokens.device)
        for later in product((0, 1), repeat=len(covers)):
            tile = [(first + step).clamp(max=axis.pieces - 1)
                    for (first, _), step, axis in zip(covers, later, self.axes, strict=True)]
            starts = (torch.tensor(axis.starts)[i] for axis, i in zip(self.axes, tile, strict=True))
            local = [(one - start) * (2 / n) - 1 for one, start, n in zip(at, starts, self.extent, strict=True)]
            near = tokens[tuple(i.to(tokens.device) for i in tile)]  # (Q, R, D)
            values = model.decode(near, torch.stack(local, -1)[:, None].to(tokens))[:, 0]
            out = out + corner(covers, later)[:, None].to(out) * values.to(out.dtype)
        return out


@dataclass(frozen=True)
class Tiles(Cover):
    """A picture of (height, width) `size` as a grid of overlapping tiles of (height, width) `tile`, the model's input.

    `overlap` is the smallest fraction of a tile that neighbours share, above 0 and at most 1/3.
    """

    kind: ClassVar[str] = "tiles"
    size: tuple[int, int]
    tile: tuple[int, int]
    overlap: float = OVERLAP

    def __post_init__(self) -> None:
        self.check_overlap()
        if min(self.size) < 1 or min(self.tile) < 4:
            raise UserError(f"a picture of {self.size} in tiles of {self.tile} pixels; at least (1, 1) and (4, 4)")

    @classmethod
    def fit(cls, model: FieldModel, size: tuple[int, int], overlap: float = OVERLAP) -> "Tiles":
        """The tiles of a model of one input size, for a picture of this (height, width)."""
        assert model.input_size is not None, "a model of any size needs no tiles"
        height, width = model.input_size
        return cls((size[0], size[1]), (height, width), overlap)

    @property
    def extent(self) -> tuple[int, int]:
        return self.tile

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        if model.input_size is None or tuple(model.input_size) != tuple(self.tile):
            raise UserError(f"tiles of {self.tile} pixels, but the model takes {model.input_size or 'any size'}; "
                            "use the model that encoded the field")
        self.check_shape(tokens.shape, "tiles")

    def __str__(self) -> str:
        rows, columns = self.shape
        return f"{rows} x {columns} tiles of {self.tile[0]} x {self.tile[1]}"
