"""Reading a lattice of vectors, one per cell, at coordinates: the nearest cell, two, or four per axis, and weights.

Everything is per axis, since cells and weights in the plane are a tensor product: a grid of h x w points costs h + w.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.nn.anchors import neighbours


class Read(NamedTuple):
    """What coordinates of one axis read: K cells, weights that add up to 1, and the coordinate that a network sees."""

    cells: Int[Tensor, "*q k"]
    weights: Float[Tensor, "*q k"]
    local: Float[Tensor, "*q"]


def nearest(coords: Float[Tensor, "*q"], cells: int) -> Read:
    """The cell that a coordinate in [-1, 1] lies in; values may jump between cells.

    The network sees where in the cell, in [0, 1], so that all cells speak of the same patterns.
    """
    place = (coords + 1) / 2 * cells
    cell = place.floor().clamp(0, cells - 1)
    return Read(cell.long().unsqueeze(-1), torch.ones_like(place).unsqueeze(-1), place - cell)


def linear(coords: Float[Tensor, "*q"], cells: int) -> Read:
    """The two cells whose centres are next to a coordinate in [-1, 1]; beyond the last centre, the last cell.

    The network sees where in the picture, in [0, 1], since a place within a cell would jump where the blend does not.
    """
    around = neighbours(coords, cells)
    two = torch.stack([around.lower, around.lower + 1], -1).clamp(0, cells - 1)
    return Read(two, 1 - around.relative.abs(), (coords + 1) / 2)


def cubic(coords: Float[Tensor, "*q"], cells: int) -> Read:
    """Four cells by Keys' cubic convolution with a = -1/2 (1981), Pillow's bicubic; the last cell is repeated outside.

    With r from the second of them: 2 w = -r^3 + 2 r^2 - r, 3 r^3 - 5 r^2 + 2, -3 r^3 + 4 r^2 + r, r^3 - r^2.
    """
    around = neighbours(coords, cells)
    r = around.relative[..., 0]
    weights = torch.stack([((2 - r) * r - 1) * r, (3 * r - 5) * r * r + 2, ((4 - 3 * r) * r + 1) * r, (r - 1) * r * r])
    four = (around.lower.unsqueeze(-1) + torch.arange(-1, 3, device=r.device)).clamp(0, cells - 1)
    return Read(four, weights.movedim(0, -1) / 2, (coords + 1) / 2)


def pick(lattice: Float[Tensor, "b m n d"], rows: Int[Tensor, "*h"], columns: Int[Tensor, "*w"], grid: bool) -> Tensor:
    """The vectors (B, Q, d) of the cells that points are in: of a grid's rows and columns, of points shared by the
    batch, (Q,), or of every instance's own, (B, Q)."""
    if grid:
        return lattice.index_select(1, rows).index_select(2, columns).flatten(1, 2)
    cell, flat = rows * lattice.shape[2] + columns, lattice.flatten(1, 2)
    if cell.ndim == 1:
        return flat.index_select(1, cell)
    return flat.expand(len(cell), -1, -1).gather(1, cell.unsqueeze(-1).expand(-1, -1, flat.shape[-1]))


def read_grid(lattice: Float[Tensor, "b m n d"], y: Read, x: Read) -> Float[Tensor, "b q d"]:
    """Vectors at the points of a grid: blended along y, then along x."""
    for axis, read in ((1, y), (2, x)):
        parts = [
            lattice.index_select(axis, cells) * weight.unsqueeze(-1).unsqueeze(-1 if axis == 1 else 0)
            for cells, weight in zip(read.cells.unbind(-1), read.weights.unbind(-1), strict=True)
        ]
        lattice = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
    return lattice.flatten(1, 2)


def read_points(lattice: Float[Tensor, "b m n d"], y: Read, x: Read) -> Float[Tensor, "b q d"]:
    """Vectors at points shared by the batch, (Q,) per axis, or of every instance's own, (B, Q)."""
    total = torch.zeros((), dtype=lattice.dtype, device=lattice.device)
    for rows, down in zip(y.cells.unbind(-1), y.weights.unbind(-1), strict=True):
        for columns, right in zip(x.cells.unbind(-1), x.weights.unbind(-1), strict=True):
            total = total + pick(lattice, rows, columns, grid=False) * (down * right).unsqueeze(-1)
    return total
