"""Lattices: pictures of any size for models of any size.

A native-resolution model gives every cell of `cell` x `cell` pixels a token at its place: tokens are (rows, columns,
D) over the whole picture, and no tiles are needed. Both of its verbs are local, `model.halo` cells around a token and
`model.reach` cells around a coordinate, and that alone bounds the memory: pictures are encoded block by block with
`halo` cells of context, and decoded block by block from the tokens within `reach`. Neither changes the result.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.fields.axis import BlockAxis
from tokenfield.fields.domain import Pieces, Progress, at_least_float32
from tokenfield.models.base import FieldModel

BLOCK, PIXELS = 64, 256
"""Least cells, and least pixels, per side of a block: 512 x 512 at cells of 8 pixels, 256 x 256 at cells of one."""


@dataclass(frozen=True)
class Lattice(Pieces):
    """A picture of (height, width) `size` as one lattice of cells, continued by its last pixels to whole cells.

    `block` is the cells per side that are handled at once; it bounds the memory, never the result.
    """

    kind: ClassVar[str] = "lattice"
    size: tuple[int, int]
    cell: int
    block: int = BLOCK

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.cell < 1 or self.block < 1:
            raise UserError(f"a picture of {self.size} in cells of {self.cell} pixels, blocks of {self.block}; at "
                            "least 1")

    @classmethod
    def fit(cls, model: FieldModel, size: tuple[int, int]) -> "Lattice":
        """The lattice of a model of any size, for a picture of this (height, width)."""
        return cls((size[0], size[1]), model.cell, max(BLOCK, PIXELS // model.cell))

    @cached_property
    def axes(self) -> tuple[BlockAxis, BlockAxis]:
        y, x = (BlockAxis(n, self.cell, self.block) for n in self.size)
        return y, x

    def encode(self, model: FieldModel, picture: Tensor, progress: Progress | None = None) -> Tensor:
        """(C, H, W) -> (rows, columns, D), equal to `model.encode` of the whole padded picture.

        A block's outermost `halo` cells of tokens lack context and are thrown away; at the edges of the picture
        there is no such cell, since the block ends where the picture does.
        """
        device = next(model.parameters()).device
        y, x = self.axes
        tokens: Tensor | None = None
        for i in range(y.pieces):
            for j in range(x.pieces):
                (top, bottom), (left, right) = y.cells_of(i), x.cells_of(j)
                (up, down), (west, east) = y.widen(top, bottom, model.halo), x.widen(left, right, model.halo)
                image = picture[:, y.indices(up, down)[:, None], x.indices(west, east)]
                block = at_least_float32(model.encode(image[None].to(device)))[0]
                tokens = block.new_empty(*self.shape, *block.shape[2:]) if tokens is None else tokens
                tokens[top:bottom, left:right] = block[top - up : bottom - up, left - west : right - west]
                if progress:
                    progress(i * x.pieces + j + 1, y.pieces * x.pieces)
        assert tokens is not None, "a picture has at least one cell"
        return tokens

    def at_vmapped(self, model: FieldModel, tokens: Tensor, points: Tensor) -> Tensor:
        """From the whole lattice as one block."""
        local = [axis.local(self._pixels(i, points[:, i]), 0, axis.cells) for i, axis in enumerate(self.axes)]
        return model.decode(tokens[None], torch.stack(local, -1).to(tokens))[0]

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        if model.input_size is not None or model.cell != self.cell:
            takes = f"cells of {model.cell}" if model.input_size is None else f"an input of {model.input_size}"
            raise UserError(f"a lattice of cells of {self.cell} pixels, but the model has {takes}; use the model that "
                            "encoded the field")
        self.check_shape(tokens.shape, "cells")

    def __str__(self) -> str:
        return f"{self.shape[0]} x {self.shape[1]} cells of {self.cell} x {self.cell}"
