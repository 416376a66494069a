"""Spatial Functa: *Spatial Functa: Scaling Functa to ImageNet Classification and Generation* (2023).

Functa whose latent is a grid of vectors over the picture in place of one vector. A convolution makes shifts of the
latents, cell by cell; a coordinate then reads them by one of two interpolations:

- `nearest`: the shifts of the cell it lies in; the SIREN sees where in the cell, in [0, 1], so that all cells speak
  of the same patterns. Values may jump between cells.
- `linear`: the four nearest cells' shifts, blended; the SIREN sees where in the picture, in [0, 1], since a place
  within a cell would jump where the blend does not.

The gradient of a picture's mean error by one cell falls with the number of cells. It is multiplied with that number
here (the error of a cell's own pixels), so that the published range of rates means the same for any grid.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.models.base import RecipeFields
from tokenfield.models.functa import META_RECIPE, MetaLearnedField, MetaSizes
from tokenfield.nn.anchors import neighbours
from tokenfield.nn.siren import exactly


@dataclass(frozen=True)
class SpatialFunctaConfig(MetaSizes):
    """Sizes of the SIREN and of the grid; the latents are those of Table 5 at 256 pixels, the SIREN's sizes our own."""

    size: tuple[int, int] = (256, 256)
    """Height and width of the pictures it adapts to."""
    dim: int = 256
    """Width of the SIREN."""
    depth: int = 6
    """Linear layers of the SIREN, the output included."""
    latent_dim: int = 256
    """Width of a latent."""
    grid: tuple[int, int] = (16, 16)
    """Rows and columns of latents."""
    kernel: int = 3
    """Side of the convolution that makes shifts of latents; 1 lets every cell speak for itself."""
    interpolation: Literal["nearest", "linear"] = "nearest"
    """How a coordinate reads the shifts of the cells around it."""

    def build(self) -> "SpatialFuncta":
        """The model with fresh weights."""
        return SpatialFuncta(self)


class Read(NamedTuple):
    """What coordinates of one axis read: K cells, weights that add up to 1, and the coordinate that the SIREN sees."""

    cells: Int[Tensor, "*q k"]
    weights: Float[Tensor, "*q k"]
    local: Float[Tensor, "*q"]


def nearest(coords: Float[Tensor, "*q"], cells: int) -> Read:
    """The cell that a coordinate in [-1, 1] lies in, and where in it."""
    place = (coords + 1) / 2 * cells
    cell = place.floor().clamp(0, cells - 1)
    return Read(cell.long().unsqueeze(-1), torch.ones_like(place).unsqueeze(-1), place - cell)


def linear(coords: Float[Tensor, "*q"], cells: int) -> Read:
    """The two cells whose centres are next to a coordinate in [-1, 1]; beyond the last centre, the last cell."""
    around = neighbours(coords, cells)
    two = torch.stack([around.lower, around.lower + 1], -1).clamp(0, cells - 1)
    return Read(two, 1 - around.relative.abs(), (coords + 1) / 2)


class Located(NamedTuple):
    """The SIREN's first layer, before its shift, (Q, d) or (B, Q, d); and what each axis, of a grid or not, reads."""

    first: Tensor
    axes: tuple[Read, Read]
    grid: bool


def read_grid(shifts: Float[Tensor, "b m n s"], y: Read, x: Read) -> Float[Tensor, "b q s"]:
    """Shifts at the points of a grid: blended along y, then along x."""
    for axis, read in ((1, y), (2, x)):
        parts = [
            shifts.index_select(axis, cells) * weight.unsqueeze(-1).unsqueeze(-1 if axis == 1 else 0)
            for cells, weight in zip(read.cells.unbind(-1), read.weights.unbind(-1), strict=True)
        ]
        shifts = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
    return shifts.flatten(1, 2)


def read_points(shifts: Float[Tensor, "b m n s"], y: Read, x: Read) -> Float[Tensor, "b q s"]:
    """Shifts at points shared by the batch, (Q,) per axis, or of every instance's own, (B, Q)."""
    columns, flat = shifts.shape[2], shifts.flatten(1, 2)
    cells = (y.cells.unsqueeze(-1) * columns + x.cells.unsqueeze(-2)).flatten(-2)      # (..., Q, K K)
    weights = (y.weights.unsqueeze(-1) * x.weights.unsqueeze(-2)).flatten(-2)
    total = torch.zeros((), dtype=shifts.dtype, device=shifts.device)
    for cell, weight in zip(cells.unbind(-1), weights.unbind(-1), strict=True):
        if cell.ndim == 1:
            picked = flat.index_select(1, cell)
        else:
            picked = flat.expand(len(cell), -1, -1).gather(1, cell.unsqueeze(-1).expand(-1, -1, flat.shape[-1]))
        total = total + picked * weight.unsqueeze(-1)
    return total


class SpatialFuncta(MetaLearnedField):
    """Functa whose latent is a grid. Tokens are (B, rows, columns, latent_dim), one for every cell."""

    name = "spatial-functa"
    token = "a latent vector of one cell of the picture"
    default_recipe: ClassVar[RecipeFields | None] = META_RECIPE | {
        "model": {"size": (64, 64), "grid": (8, 8), "latent_dim": 96, "kernel": 1, "dim": 64, "depth": 5}
    }

    def __init__(self, config: SpatialFunctaConfig):
        rows, columns = config.grid
        super().__init__(config, (rows, columns, config.latent_dim), error_scale=float(rows * columns))
        self.to_shifts = nn.Conv2d(config.latent_dim, self.siren.num_shifts, config.kernel, padding=config.kernel // 2)
        nn.init.trunc_normal_(self.to_shifts.weight, std=(config.latent_dim * config.kernel**2) ** -0.5)
        nn.init.zeros_(self.to_shifts.get_parameter("bias"))
        self.read = nearest if config.interpolation == "nearest" else linear

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Located:
        """Which cells the coordinates read, and the first layer before its shift."""
        axes = coords.axes if isinstance(coords, Grid) else coords.unbind(-1)
        y, x = (self.read(axis, cells) for axis, cells in zip(axes, self.shape[:-1], strict=True))
        grid = isinstance(coords, Grid)
        points = Grid((y.local, x.local)).coords() if grid else torch.stack([y.local, x.local], -1)
        return Located(self.siren.locate(points), (y, x), grid)

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> Float[Tensor, "b m n s"]:
        """Shifts of all layers, in every cell."""
        return exactly(self.to_shifts, tokens.movedim(-1, 1)).movedim(1, -1)

    def combine(self, located: Located, prepared: Float[Tensor, "b m n s"]) -> Float[Tensor, "b q c"]:
        """The SIREN, shifted point by point."""
        read = read_grid if located.grid else read_points
        values: Tensor = self.siren(located.first, read(prepared, *located.axes))
        return values
