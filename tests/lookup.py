"""Models whose right answer is known: tokens are pixels, and the field interpolates between them.

Any mistake in how a picture is cut up, where a coordinate lands, or which tokens a block is given, shows as a wrong
pixel.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.models.base import FieldModel


@dataclass(frozen=True)
class LookupConfig:
    size: tuple[int, int] | None = (7, 5)
    cell: int = 3
    channels: int = 3
    context: float = 0.0


def interpolate(images: Tensor, points: Tensor) -> Tensor:
    """Bilinear values (B, Q, C) of (B, C, H, W) at (B, Q, 2), constant beyond the outermost pixel centres."""
    at = points.flip(-1)[:, :, None]  # grid_sample asks (x, y)
    return F.grid_sample(images, at, padding_mode="border", align_corners=False)[..., 0].mT


class Lookup(FieldModel):
    """Of a fixed size: tokens (B, H W, C) are the pixels. Of any size: tokens (B, rows, columns, cell^2 C + C) are the
    pixels of a cell and the mean of the cells around it, of which `context` is added to the values: a halo of 1."""

    name = "lookup"

    def __init__(self, config: LookupConfig):
        super().__init__()
        self.config, self.input_size, self.cell, self.channels = config, config.size, config.cell, config.channels
        self.halo = self.reach = 0 if config.size else 1
        self.scale = nn.Parameter(torch.ones(()))
        self.calls: list[int] = []

    def encode(self, images: Tensor) -> Tensor:
        h, w = images.shape[2:]
        self.calls.append(images.numel())
        if self.input_size:
            assert (h, w) == self.input_size
            return (self.scale * images).flatten(2).mT
        rows, columns = h // self.cell, w // self.cell
        cells = images.unflatten(2, (rows, -1)).unflatten(4, (columns, -1)).permute(0, 2, 4, 1, 3, 5)
        means = cells.mean((4, 5)).movedim(-1, 1)  # (B, C, rows, columns)
        around = F.avg_pool2d(means, 3, 1, 1, count_include_pad=False).movedim(1, -1)
        return self.scale * torch.cat([cells.flatten(3), around], -1)

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Tensor:
        points = coords.coords() if isinstance(coords, Grid) else coords
        return points if points.ndim == 3 else points[None]

    def prepare(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.input_size:
            return tokens.mT.unflatten(2, self.input_size), None
        cells, around = tokens[..., : -self.channels], tokens[..., -self.channels :]
        cells = cells.unflatten(3, (self.channels, self.cell, self.cell)).permute(0, 3, 1, 4, 2, 5)
        return cells.flatten(4, 5).flatten(2, 3), around.movedim(-1, 1)

    def combine(self, located: Tensor, prepared: tuple[Tensor, Tensor | None]) -> Tensor:
        images, around = prepared
        located = located.expand(len(images), -1, -1)
        values = interpolate(images, located)
        return values if around is None else values + self.config.context * interpolate(around, located)
