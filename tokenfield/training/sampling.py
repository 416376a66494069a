"""Which coordinates a training step asks for.

A decision of its own, apart from the loss: `draw` makes it from a generator and the size of the picture, and what it
returns holds for a whole batch, so that everything that depends on coordinates alone is computed once. Two kinds of
draw exist because they cost differently:

- points, (Q, 2): noise of its own for every pixel, or any random subset of the pixels, as in the papers;
- a grid: noise per row and per column, or a random choice of rows and of columns. It stays a tensor product, for
  which frequency features are sums of one table per axis.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Coordinates, Grid, centers
from tokenfield.errors import UserError


@dataclass(frozen=True)
class CoordinateConfig:
    """Which coordinates of a picture a training step asks for."""

    jitter: Literal["none", "pixel", "axis", "normal"] = "pixel"
    """Noise within the pixel: none; uniform, for every pixel (LAINR); uniform, for every row and every column; normal,
    for every pixel, 0.15 pixels wide and clipped at 0.25 (ANR's variational coordinates)."""
    fraction: float = 1.0
    """Share of the picture's coordinates per step, in (0, 1]; the same ones for the whole batch."""
    subset: Literal["points", "grid"] = "points"
    """How the share is chosen: random points (the papers), or random rows times random columns."""
    row_blocks: int = 1
    """Above 1: decode and differentiate in so many blocks of rows. The same gradient in less memory."""
    average: Literal["errors", "decibels"] = "errors"
    """Over the pictures of a batch: the mean of their errors (Eq. 1), or of their PSNR, in which an easy picture counts
    as much as a hard one."""
    zoom: int = 1
    """Above 1: training pictures are so many times larger than what is encoded; the field must also answer in between
    the pixels it saw. `data.size` is the larger size."""
    zoom_weight: float = 0.1
    """Weight of the answers in between."""

    def __post_init__(self):
        if not 0 < self.fraction <= 1:
            raise UserError(f"coordinates.fraction {self.fraction} is not in (0, 1]; 1 asks for every pixel")
        if self.row_blocks < 1:
            raise UserError(f"coordinates.row_blocks {self.row_blocks} is below 1; 1 decodes all rows at once")
        if self.zoom < 1:
            raise UserError(f"coordinates.zoom {self.zoom} is below 1; 1 encodes the pictures as they are")
        if self.row_blocks > 1 and (self.average != "errors" or self.zoom > 1):
            raise UserError("coordinates.row_blocks works with average errors and zoom 1; set row_blocks to 1")


@dataclass(frozen=True)
class Sampling:
    """Coordinates to ask for and the pixels that answer them.

    Attributes:
        coords: points (Q, 2) or a `Grid`, shared by the batch, over [-1, 1] of the picture (y, x).
        rows, columns: indices of the pixel behind every coordinate: (Q,) each for points; (h, 1) and (w,) for a grid.
    """

    coords: Coordinates
    rows: Tensor
    columns: Tensor

    def gather(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b q c"]:
        """The values of the pixels, in the order of the coordinates (row-major for a grid)."""
        picked = images[:, :, self.rows, self.columns]  # (B, C, h, w) or (B, C, Q)
        return picked.flatten(2).transpose(1, 2)  # (B, Q, C)

    def to(self, device: torch.device) -> "Sampling":
        """The same on another device."""
        return Sampling(self.coords.to(device), self.rows.to(device), self.columns.to(device))

    def split(self, blocks: int) -> Iterator["Sampling"]:
        """At most `blocks` consecutive parts of nearly equal size: blocks of whole rows for a grid."""
        if not isinstance(self.coords, Grid):
            parts = (part.chunk(blocks) for part in (self.coords, self.rows, self.columns))
            yield from (Sampling(*part) for part in zip(*parts, strict=True))
            return
        y, x = self.coords.axes
        for block, rows in zip(y.chunk(blocks), self.rows.chunk(blocks), strict=True):
            yield Sampling(Grid((block, x)), rows, self.columns)


def draw(config: CoordinateConfig, height: int, width: int, generator: torch.Generator) -> Sampling:
    """The coordinates of one step.

    Args:
        config: what to draw.
        height, width: of the pictures, in pixels.
        generator: a CPU generator, the only source of randomness; the result lies on the CPU.
    Returns:
        A `Grid` where the draw is a tensor product, else points. Every coordinate lies inside the pixel whose value
        answers it.
    """
    if config.subset == "grid" or config.fraction == 1:
        rows = _choose(height, config.fraction**0.5, generator)  # a share f of the area is sqrt(f) of each side
        columns = _choose(width, config.fraction**0.5, generator)
        if config.jitter in ("none", "axis"):
            axes = tuple(_place(i, n, generator, config.jitter) for i, n in ((rows, height), (columns, width)))
            return Sampling(Grid(axes), rows[:, None], columns)
        flat = (rows[:, None] * width + columns).flatten()
    else:
        flat = _choose(height * width, config.fraction, generator)
    rows, columns = flat // width, flat % width
    if config.jitter == "axis":  # one offset per row and one per column, seen through the chosen points
        y, x = (_place(torch.arange(n), n, generator, "axis") for n in (height, width))
        return Sampling(torch.stack([y[rows], x[columns]], -1), rows, columns)
    y, x = (_place(i, n, generator, config.jitter) for i, n in ((rows, height), (columns, width)))
    return Sampling(torch.stack([y, x], -1), rows, columns)


def _choose(n: int, fraction: float, generator: torch.Generator) -> Tensor:
    """A random share of 0 .. n-1, at least one, ascending so that neighbours stay neighbours in memory."""
    if fraction == 1:
        return torch.arange(n)
    return torch.randperm(n, generator=generator)[: max(1, round(n * fraction))].sort().values


def _place(index: Tensor, n: int, generator: torch.Generator, jitter: str) -> Tensor:
    """Coordinates of cells `index` out of `n`: their centres, or elsewhere within them."""
    if jitter == "none":
        return centers(n)[index]
    if jitter == "normal":
        offset = 0.5 + (0.15 * torch.randn(index.shape, generator=generator)).clamp(-0.25, 0.25)
    else:
        offset = torch.rand(index.shape, generator=generator)
    return -1 + 2 * (index + offset) / n  # x_i = -1 + 2 (i + u) / n
