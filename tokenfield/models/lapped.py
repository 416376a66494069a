"""Overlapping cells: one linear code per cell of 16 x 16 pixels, whose functions reach half into its neighbours.

encode: colours to three uncorrelated axes; a lapped transform per axis (`tokenfield.nn.lapped`). A token is the
    coefficients of a cell, from coarse to fine, so that a prefix of a token is a token of a lower rate.
decode: value(v) = sum_j f_j(v - p_j) over the four nearest anchors, each f_j a sum of separable functions that end
    where their support does: continuous at every coordinate, linear in the tokens, with no seams between cells.

The system that files are small with: the transform is nearly orthonormal, so the error of a picture is that of its
quantised tokens, and overlapping cells need fewer bits than a block transform's (docs/results.md). This project's own,
of parts that are others'.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.nn.anchors import neighbours
from tokenfield.nn.lapped import LappedFunctions, fit_lapped, lapped_pair


@dataclass(frozen=True)
class LappedConfig(Sizes):
    """Sizes of the model; the defaults are those of the packaged `photos-codec`."""

    cell: int = 16
    """Side of a cell in pixels, even; every cell is one token."""
    channels: int = 3
    """Values per pixel."""
    prefixes: tuple[int, ...] = (3, 30, 108, 768)
    """Widths of a token, rising; the last one is the whole token, as many values as the cell has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = all(a < b for a, b in zip(self.prefixes, self.prefixes[1:], strict=False))
        whole = self.channels * self.cell**2
        if self.cell % 2 or not rising or not self.prefixes or self.prefixes[-1] != whole:
            raise UserError(f"cell {self.cell}, prefixes {self.prefixes}; give an even side, and rising widths that "
                            f"end with {whole}")

    def build(self) -> "Lapped":
        """The model with a plain DCT of every cell: `initialize` fits the overlap and the colours."""
        return Lapped(self)


class Located(NamedTuple):
    """Functions of the cells at coordinates, per axis.

    Points: (Q, 2, p) of the two neighbours, whose lower one, counted with the border, is `first` (Q,). A grid: (Y, m p)
    of the m cells from `first` on.
    """

    y: Tensor
    x: Tensor
    first: tuple[Tensor, Tensor] | tuple[int, int]
    grid: bool


class Lapped(FieldModel):
    """One token per cell of a picture of any size. Tokens are (B, rows, columns, C p^2), or a prefix of that."""

    name = "lapped"
    token = "the coefficients of one cell of the picture, from coarse to fine"
    default_recipe: ClassVar[RecipeFields | None] = None
    halo = reach = 1
    initial_pictures = 2048
    order: Tensor
    mirror: Tensor

    def __init__(self, config: LappedConfig):
        super().__init__()
        self.config, self.cell, self.channels, self.prefixes = config, config.cell, config.channels, config.prefixes
        self.largest_span = float(config.cell)
        self.chunk = 1 << 15
        analysis, synthesis = lapped_pair(torch.eye(self.cell // 2, dtype=torch.float64))
        self.analysis, self.synthesis = nn.Parameter(analysis.float()), nn.Parameter(synthesis.float())
        self.colors = nn.Parameter(torch.eye(self.channels))  # orthonormal rows
        self.functions = LappedFunctions(self.cell)
        channel, k, n = torch.meshgrid(*map(torch.arange, (self.channels, self.cell, self.cell)), indexing="ij")
        coarseness = ((k + n) * 8 + (channel > 0) * 4).flatten()  # the first colour axis before the others
        self.register_buffer("order", coarseness.argsort(stable=True), persistent=False)
        sign = (-1.0) ** torch.arange(self.cell)
        self.register_buffer("mirror", sign, persistent=False)

    def bands(self) -> tuple[list[int], list[int], int]:
        """What a codec asks: first bands of groups alike in coarseness, first groups of layers, predicted bands."""
        sizes = [min(s, 2 * self.cell - 2 - s) + 1 for s in range(2 * self.cell - 1)]
        counts = [size * colors for size in sizes for colors in (1, self.channels - 1) if colors]
        starts = [0, *accumulate(counts)]
        return starts, [0, *(starts.index(width) for width in self.prefixes)], self.channels

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n d"]:
        """Pictures in [0, 1], sides multiples of `cell` -> one token per cell."""
        x = torch.einsum("dc,bchw->bdhw", self.colors, images.to(self.colors.dtype) - 0.5)
        half = self.cell // 2
        for axis in (2, 3):
            low, high = x.narrow(axis, 0, half).flip(axis), x.narrow(axis, x.shape[axis] - half, half).flip(axis)
            x = torch.cat([low, x, high], axis)
        x = x.unfold(2, 2 * self.cell, self.cell) @ self.analysis.T        # (B, C, M, W + p, k)
        x = x.unfold(3, 2 * self.cell, self.cell) @ self.analysis.T        # (B, C, M, N, k, l)
        return x.permute(0, 2, 3, 1, 4, 5).flatten(3)[..., self.order][..., : self.width]

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Located:
        """The functions of the cells near the coordinates, on a lattice of (rows, columns)."""
        grid = isinstance(coords, Grid)
        axes = coords.axes if isinstance(coords, Grid) else coords.unbind(-1)
        spans = coords.span or (1.0, 1.0) if isinstance(coords, Grid) else (1.0, 1.0)
        near = [neighbours(axis, cells) for axis, cells in zip(axes, lattice, strict=True)]
        values = [self.functions(n.relative, self.synthesis, span) for n, span in zip(near, spans, strict=True)]
        if not grid:
            return Located(values[0], values[1], (near[0].lower + 1, near[1].lower + 1), False)
        first = [int(n.lower.min()) + 1 for n in near]
        dense = [self._dense(v, n.lower + 1 - at) for v, n, at in zip(values, near, first, strict=True)]
        return Located(dense[0], dense[1], (first[0], first[1]), True)

    def _dense(self, values: Float[Tensor, "q two p"], lower: Tensor) -> Float[Tensor, "q mp"]:
        """The two neighbours' functions at their places among all cells that a grid touches."""
        cells = int(lower.max()) + 2
        out = values.new_zeros(len(values), cells, self.cell)
        place = torch.stack([lower, lower + 1], 1)[..., None].expand_as(values)
        return out.scatter(1, place, values).flatten(1)

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> Float[Tensor, "b m2 n2 c k k"]:
        """Coefficients in the channels of the picture, within a border of mirrored cells."""
        whole = tokens.new_zeros(*tokens.shape[:3], len(self.order))
        whole[..., self.order[: tokens.shape[-1]]] = tokens
        cells = whole.unflatten(-1, (self.channels, self.cell, self.cell))
        cells = torch.einsum("dc,bmndkl->bmnckl", self.colors.to(cells), cells)
        mirror = self.mirror.to(cells)
        cells = torch.cat([cells[:, :1] * mirror[:, None], cells, cells[:, -1:] * mirror[:, None]], 1)
        return torch.cat([cells[:, :, :1] * mirror, cells, cells[:, :, -1:] * mirror], 2)

    def combine(self, located: Located, prepared: Float[Tensor, "b m n c k k"]) -> Float[Tensor, "b q c"]:
        """The sum of the four neighbours' functions."""
        if located.grid:
            (top, left), p = located.first, self.cell
            part = prepared[:, top : top + located.y.shape[1] // p, left : left + located.x.shape[1] // p]
            plane = part.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)           # (B, C, m k, n l)
            values: Tensor = located.y.to(plane) @ plane @ located.x.to(plane).T      # (B, C, Y, X)
            return values.flatten(2).transpose(1, 2) + 0.5
        batch = torch.arange(prepared.shape[0], device=prepared.device)[:, None]  # `len` would fix it in a graph
        values = prepared.new_zeros(())
        for i in (0, 1):
            for j in (0, 1):
                near = prepared[batch, located.first[0] + i, located.first[1] + j]   # (B, Q, C, k, l)
                y, x = located.y[..., i, :].to(near), located.x[..., j, :].to(near)
                y, x = (axis.expand(near.shape[0], -1, -1) for axis in (y, x))
                values = values + torch.einsum("bqckl,bqk,bql->bqc", near, y, x)
        return values + 0.5

    @torch.no_grad()
    def initialize(self, images: Float[Tensor, "b c h w"]) -> None:
        """Fit the colours and the overlap to training pictures.

        Colours are the principal axes of the differences between neighbouring pixels, where most bits go; the overlap
        maximises the coding gain for the first of them.
        """
        x = images.double().cpu() - images.double().cpu().mean((2, 3), keepdim=True)
        difference = (x[..., 1:] - x[..., :-1]).movedim(1, -1).flatten(0, 2)
        axes = torch.linalg.eigh(difference.T @ difference)[1].flip(1).T           # rows, the largest first
        axes = axes * axes.sum(1, keepdim=True).sign()
        first = torch.einsum("c,bchw->bhw", axes[0], x)
        lags = range(2 * self.cell)
        correlation = torch.stack([
            (first[..., : first.shape[-1] - d] * first[..., d:]).mean()
            + (first[:, : first.shape[-2] - d] * first[:, d:]).mean() for d in lags])
        analysis, synthesis = lapped_pair(fit_lapped(correlation / correlation[0], self.cell))
        for parameter, value in ((self.colors, axes), (self.analysis, analysis), (self.synthesis, synthesis)):
            parameter.copy_(value)
