"""Fields on any grid of cells: the mean over each, not the value in its middle.

The mean of a cell is taken by Gauss-Legendre nodes in sin(latitude) and longitude, in which equal steps are equal
areas, as many as cells of the data lie in it and one more. First-order conservative remapping (`sphere.Averaging`) does
the same for values that are constant in each cell; a field varies within them.
"""

from collections.abc import Callable
from math import ceil

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.earth.sphere import LatLon

MOST = 16
"""Nodes per axis of one cell: cells larger than 15 of the data's are sampled more sparsely."""
POINTS = 1 << 16
"""Places at once."""

Values = Callable[[Tensor], Tensor]
"""(q, 2) of (latitude, longitude) in degrees -> (q, c)."""


def cell_means(values: Values, grid: LatLon, finest: tuple[float, float]) -> Float[Tensor, "c h w"]:
    """Means over the cells of a grid of what `values` gives; `finest` is the data's own cell, in degrees."""
    nodes = [gauss(ceil(float(side) / own - 1e-6) + 1) for side, own in zip(sides(grid), finest, strict=True)]
    latitude = spread(grid.rows, nodes[0][0]).clamp(-1, 1).asin().rad2deg()  # (h, n)
    longitude = spread(grid.columns, nodes[1][0]).flatten()
    weight = nodes[0][1][:, None] * nodes[1][1]  # (n, m)
    shape, bands = (weight.shape[0], len(grid.longitudes), weight.shape[1]), []
    rows = max(1, POINTS // (shape[0] * len(longitude)))
    for band in latitude.split(rows):
        at = values(torch.cartesian_prod(band.flatten(), longitude)).double().cpu()
        bands.append(torch.einsum("hnwmc,nm->chw", at.view(len(band), *shape, -1), weight))
    return torch.cat(bands, 1).float()


def sides(grid: LatLon) -> tuple[float, float]:
    """The largest cell, (rows, columns) in degrees."""
    rows = grid.rows.clamp(-1, 1).asin().rad2deg().diff(dim=-1)
    return rows.max().item(), grid.columns.diff(dim=-1).max().item()


def gauss(count: int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Nodes in [0, 1], and weights of sum 1."""
    nodes, weights = np.polynomial.legendre.leggauss(min(count, MOST))
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


def spread(bounds: Float[Tensor, "n 2"], nodes: Float[Tensor, " k"]) -> Float[Tensor, "n k"]:
    """Nodes within each interval."""
    return bounds[:, :1] + bounds.diff(dim=-1) * nodes
