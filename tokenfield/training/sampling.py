"""Which coordinates a training step decodes at.

A decision of its own, apart from the loss: `draw` makes it from a generator and the size of the picture. Three kinds of
draw exist because they cost differently:

- a grid: noise per row and per column, or a random choice of rows and of columns. It stays a tensor product, for
  which frequency features are sums of one table per axis;
- points, (Q, 2), for the whole batch: noise of its own for every pixel, or any random subset of the pixels. What
  depends on coordinates alone is computed once;
- points, (B, Q, 2), of their own for every picture of the batch: ANR's way, in which nothing is shared.

Noise is what ANR calls variational coordinates: a value is the mean over some area, and a field that is
decoded at the area's centre alone is free to do anything in between.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Coordinates, Grid, centers
from tokenfield.errors import UserError
from tokenfield.training.seeding import mix

DEVIATION, CLIP = 0.3, 0.5
"""Of ANR's noise, in units of p = 1 / max(H, W), which is half a pixel: e ~ N(0, (0.3 p)^2), clipped to +-0.5 p."""

Jitter = Literal["none", "pixel", "axis", "normal", "normal-axis"]


@dataclass(frozen=True)
class CoordinateConfig:
    """Which coordinates of a picture a training step decodes at."""

    jitter: Jitter = "pixel"
    """Noise within the pixel: none; pixel, uniform for every pixel (LAINR); axis, uniform for every row and every
    column; normal, for every pixel, of deviation 0.15 pixels of the longer side and clipped at 0.25 (ANR's variational
    coordinates); normal-axis, the same for every row and every column."""
    noise: Literal["batch", "instance"] = "batch"
    """Whether the pictures of a batch share a draw of the noise, or each has its own (ANR; jitter pixel or normal)."""
    fraction: float = 1.0
    """Share of the picture's coordinates per step, in (0, 1]."""
    subset: Literal["points", "grid", "own"] = "points"
    """How the share is chosen: random points, or random rows times random columns, for the whole batch; own: random
    points of every picture's own (ginr-ipc's code)."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UserError(f"objective.fraction {self.fraction} is not in (0, 1]; 1 takes every pixel")
        if self.subset == "own" and self.jitter.endswith("axis"):
            raise UserError(f"objective.subset own with objective.jitter {self.jitter}; rows and columns are shared, "
                            "so give jitter none, pixel or normal, or subset points")
        if self.noise == "instance" and self.jitter not in ("pixel", "normal"):
            raise UserError(f"objective.noise instance with objective.jitter {self.jitter}; only jitter pixel and "
                            "normal can differ between pictures, rows and columns are shared")


@dataclass(frozen=True)
class Sampling:
    """Coordinates to decode at and the pixels that lie there.

    Attributes:
        coords: points (Q, 2) or a `Grid`, shared by the batch, or points (B, Q, 2) of every picture's own; (y, x) over
            [-1, 1] of the picture.
        rows, columns: indices of the pixel behind every coordinate: (Q,) each for points, (B, Q) where every picture
            has its own; (h, 1) and (w,) for a grid.
    """

    coords: Coordinates
    rows: Tensor
    columns: Tensor

    def gather(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b q c"]:
        """The values of the pixels, in the order of the coordinates (row-major for a grid)."""
        if self.columns.ndim == 2:
            return images[torch.arange(len(images), device=images.device)[:, None], :, self.rows, self.columns]
        pixels = images[:, :, self.rows, self.columns]  # (B, C, h, w) or (B, C, Q)
        return pixels.flatten(2).transpose(1, 2)  # (B, Q, C)

    def to(self, device: torch.device) -> "Sampling":
        """The same on another device."""
        return Sampling(self.coords.to(device), self.rows.to(device), self.columns.to(device))

    def split(self, blocks: int) -> Iterator["Sampling"]:
        """At most `blocks` consecutive parts of nearly equal size: blocks of whole rows for a grid."""
        if not isinstance(self.coords, Grid):
            parts = self.coords.chunk(blocks, -2), self.rows.chunk(blocks, -1), self.columns.chunk(blocks, -1)
            yield from (Sampling(*part) for part in zip(*parts, strict=True))
            return
        y, x = self.coords.axes
        for block, rows in zip(y.chunk(blocks), self.rows.chunk(blocks), strict=True):
            yield Sampling(Grid((block, x)), rows, self.columns)


def draw(config: CoordinateConfig, height: int, width: int, generator: torch.Generator,
         images: Float[Tensor, "b c h w"] | None = None) -> Sampling:
    """The coordinates of one step.

    Args:
        generator: a CPU generator, the only source of randomness; the result lies on the CPU.
        images: the pictures of the batch, or of any part of it: needed for noise of their own, see `own_generators`.
    Returns:
        A `Grid` where the draw is a tensor product, else points. Every coordinate lies inside its pixel. Which
        pixels are taken is the same for the whole batch, whatever the noise.
    """
    if config.subset == "own" and config.fraction < 1:
        assert images is not None, "points of every picture's own need the pictures"
        alone = replace(config, subset="points", noise="batch")
        parts = [draw(alone, height, width, g) for g in own_generators(images, generator)]
        points = torch.stack([part.coords for part in parts if isinstance(part.coords, Tensor)])  # (B, Q, 2)
        return Sampling(points, torch.stack([p.rows for p in parts]), torch.stack([p.columns for p in parts]))
    sizes, each = (height, width), config.jitter in ("pixel", "normal")  # noise for each pixel, not per row and column
    if config.subset == "grid" or config.fraction == 1:
        rows = _choose(height, config.fraction**0.5, generator)  # a share f of the area is sqrt(f) of each side
        columns = _choose(width, config.fraction**0.5, generator)
        if not each:
            return Sampling(Grid(_place(config.jitter, (rows, columns), sizes, generator)), rows[:, None], columns)
        flat = (rows[:, None] * width + columns).flatten()
    else:
        flat = _choose(height * width, config.fraction, generator)
    rows, columns = flat // width, flat % width
    if not each:  # one offset per row and one per column, read at the chosen points
        y, x = _place(config.jitter, (torch.arange(height), torch.arange(width)), sizes, generator)
        return Sampling(torch.stack([y[rows], x[columns]], -1), rows, columns)
    if config.noise == "batch":
        return Sampling(torch.stack(_place(config.jitter, (rows, columns), sizes, generator), -1), rows, columns)
    assert images is not None, "noise of every picture's own needs the pictures"
    own = (_place(config.jitter, (rows, columns), sizes, g) for g in own_generators(images, generator))
    return Sampling(torch.stack([torch.stack(axes, -1) for axes in own]), rows, columns)  # (B, Q, 2)


def own_generators(images: Float[Tensor, "b c h w"], generator: torch.Generator) -> list[torch.Generator]:
    """One generator per picture: a function of the step's generator and of the picture's own values.

    The step's generator is the same for all processes and accumulated parts, and none of them knows its place in the
    batch. A picture's values do not depend on how a batch is shared out, so neither does its noise. (Two equal pictures
    in one batch get equal noise; a step later it is another one.)
    """
    base = int(torch.randint(1 << 62, (), generator=generator))
    bits = images.detach().float().flatten(1).contiguous().view(torch.int32).long()  # (B, values), exact
    odd = 2 * torch.arange(bits.shape[1], device=bits.device) + 1
    digests = (bits * (odd * 0x5851F42D4C957F2D)).sum(1).tolist()  # modulo 2^64: the same in any order of adding
    return [torch.Generator().manual_seed(mix(base, digest)) for digest in digests]


def _choose(n: int, fraction: float, generator: torch.Generator) -> Tensor:
    """A random share of 0 .. n-1, at least one, ascending so that neighbours stay neighbours in memory."""
    if fraction == 1:
        return torch.arange(n)
    return torch.randperm(n, generator=generator)[: max(1, round(n * fraction))].sort().values


def _place(jitter: Jitter, index: tuple[Tensor, Tensor], sizes: tuple[int, int],
           generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Coordinates (y, x) of the cells that two lists of indices name: their centres, or elsewhere within them."""

    def along(i: Tensor, n: int) -> Tensor:
        if jitter == "none":
            return centers(n)[i]
        if jitter.startswith("normal"):
            p = 1 / max(sizes)  # half a pixel of the longer side: as much noise in one direction as in the other
            return centers(n)[i] + p * (DEVIATION * torch.randn(i.shape, generator=generator)).clamp(-CLIP, CLIP)
        return -1 + 2 * (i + torch.rand(i.shape, generator=generator)) / n  # x_i = -1 + 2 (i + u) / n

    y, x = sizes
    return along(index[0], y), along(index[1], x)
