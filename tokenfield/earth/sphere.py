"""The sphere: latitudes and longitudes as coordinates of a model, areas of cells, and averages over other cells.

A model on the sphere takes unit vectors,

    (x, y, z) = (cos lat cos lon, cos lat sin lon, sin lat),

which are continuous where longitude jumps from 360 back to 0 and single-valued at the poles, where every longitude is
the same point. The plain grid of ANR, (y, x) = (-lat / 90, lon / 180 - 1), is neither; it is for the comparison.

A cell is what lies nearer to its centre than to its neighbours along each axis. Its area is exact,

    (sin lat_upper - sin lat_lower) (lon_east - lon_west) / 4 pi   of the sphere,

which for narrow cells is cos(lat) dlat dlon and, unlike it, not zero for a row of cells that lies on a pole. All of
this is done in float64 on the host, once per grid.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokenfield.coords import centers

SLACK = 1e-3
"""Degrees by which two longitudes may differ and still be the same: files store them rounded to float32."""


def unit_vectors(places: Float[Tensor, "*q 2"]) -> Float[Tensor, "*q 3"]:
    """(latitude, longitude) in degrees, north and east -> points on the unit sphere."""
    latitude, longitude = places.double().deg2rad().unbind(-1)
    ring = latitude.cos()
    return torch.stack([ring * longitude.cos(), ring * longitude.sin(), latitude.sin()], -1).to(places.dtype)


def plane(places: Float[Tensor, "*q 2"]) -> Float[Tensor, "*q 2"]:
    """(latitude, longitude) in degrees -> (y, x) in [-1, 1] of the picture of the Earth, north up, from longitude 0."""
    latitude, longitude = places.unbind(-1)
    return torch.stack([-latitude / 90, longitude.remainder(360) / 180 - 1], -1)


def places(coords: Float[Tensor, "*q 2"]) -> Float[Tensor, "*q 2"]:
    """The inverse of `plane`: (y, x) in [-1, 1] -> (latitude, longitude) in degrees, longitudes in [0, 360]."""
    y, x = coords.unbind(-1)
    return torch.stack([-90 * y, 180 * (x + 1)], -1)


@dataclass(frozen=True, eq=False)
class LatLon:
    """A grid of latitudes times longitudes, at least two of each, global or not."""

    latitudes: Float[Tensor, " h"]
    """Degrees north, strictly falling: the first row is the northernmost, as in a picture."""
    longitudes: Float[Tensor, " w"]
    """Degrees east, strictly rising, spanning less than 360."""

    @classmethod
    def globe(cls, height: int, width: int) -> "LatLon":
        """The cell centres of the whole sphere, from the north pole down and from longitude 0 eastward."""
        return cls(centers(height, 90.0, -90.0, dtype=torch.float64), centers(width, 0.0, 360.0, dtype=torch.float64))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.latitudes), len(self.longitudes)

    def __len__(self) -> int:
        return len(self.latitudes) * len(self.longitudes)

    def same(self, other: "LatLon") -> bool:
        """Whether the two are one grid, to `SLACK`."""
        axes = (self.latitudes, other.latitudes), (self.longitudes, other.longitudes)
        return self.shape == other.shape and all(torch.allclose(*pair, rtol=0, atol=SLACK) for pair in axes)

    def places(self) -> Float[Tensor, "q 2"]:
        """(latitude, longitude) of every cell's centre, row-major."""
        return torch.cartesian_prod(self.latitudes, self.longitudes)

    def cells(self, places: Float[Tensor, "*q 2"]) -> tuple[Int[Tensor, "*q"], Int[Tensor, "*q"], Bool[Tensor, "*q"]]:
        """Row and column of the cells that places lie in, and whether they lie in any: a grid may end."""
        latitude, longitude = places.nan_to_num().double().unbind(-1)
        height = latitude.deg2rad().sin()
        upper = self.rows[:, 1].flip(0).contiguous()  # rising
        row = len(upper) - 1 - torch.searchsorted(upper, height.contiguous()).clamp(max=len(upper) - 1)
        bounds = self.columns[:, 1] - self.columns[0, 0]
        east = (longitude - self.columns[0, 0]).remainder(360)
        column = torch.searchsorted(bounds, east.contiguous())
        inside = (east <= bounds[-1] + 1e-9) & (height >= self.rows[-1, 0] - 1e-9) & (height <= self.rows[0, 1] + 1e-9)
        return row, column.clamp(max=len(bounds) - 1), inside & ~places.isnan().any(-1)

    @cached_property
    def rows(self) -> Float[Tensor, "h 2"]:
        """(lower, upper) bounds of the rows in sin(latitude), in which equal steps are equal areas."""
        edges = edges_of(self.latitudes.flip(0)).clamp(-90, 90).deg2rad().sin()
        return torch.stack([edges[:-1], edges[1:]], -1).flip(0)

    @cached_property
    def columns(self) -> Float[Tensor, "w 2"]:
        """(west, east) bounds of the columns in degrees; of a grid around the whole Earth they meet."""
        edges = edges_of(self.longitudes)
        if edges[-1] - edges[0] > 360 - edges.diff().max() / 2:
            gap = (self.longitudes[0] + 360 + self.longitudes[-1]) / 2  # the middle between last and first
            edges[0], edges[-1] = gap - 360, gap
        return torch.stack([edges[:-1], edges[1:]], -1)

    @cached_property
    def areas(self) -> Float[Tensor, "h w"]:
        """Shares of the sphere's area; they add up to 1 for a global grid."""
        return self.rows.diff(dim=-1) / 2 * self.columns.diff(dim=-1).squeeze(-1) / 360


def edges_of(centres: Float[Tensor, " n"]) -> Float[Tensor, " n_1"]:
    """Bounds of cells with these rising centres, at least two: the middles, and half a cell beyond the ends."""
    middles = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[:1] - middles[:1], 2 * centres[-1:] - middles[-1:]
    return torch.cat([first, middles, last])


def overlaps(to: Float[Tensor, "m 2"], source: Float[Tensor, "n 2"],
             turns: Iterable[int] = (0,)) -> Float[Tensor, "m n"]:
    """Lengths that the intervals of two axes have in common; those of `source` moved by `turns` of 360 degrees too."""
    total = to.new_zeros(len(to), len(source))
    for turn in turns:
        moved = source + 360.0 * turn
        upper = torch.minimum(to[:, None, 1], moved[None, :, 1])
        lower = torch.maximum(to[:, None, 0], moved[None, :, 0])
        total = total + (upper - lower).clamp(min=0)
    return total


class Averaging:
    """Averages of a field over the cells of another grid, each weighted by the area it shares with them.

    First-order conservative: the integral over the sphere stays what it was wherever the field is complete. Missing
    cells take no part. The other grid may be finer; then it repeats what there is.
    """

    def __init__(self, source: LatLon, to: LatLon):
        self.rows = overlaps(to.rows, source.rows)  # (h, H)
        self.columns = overlaps(to.columns, source.columns, range(-2, 3))  # (w, W)
        self.areas = to.rows.diff(dim=-1) * to.columns.diff(dim=-1).squeeze(-1)  # (h, w), in the unit of the products

    def __call__(self, values: Float[Tensor, "c h w"],
                 valid: Float[Tensor, "c h w"]) -> tuple[Float[Tensor, "c i j"], Float[Tensor, "c i j"]]:
        """Averages where there is any value, else 0, and the share of each new cell's area that has values.

        Values are finite; `valid` is 1 where one is there, 0 where it is missing.
        """
        total, share = (self.rows @ part @ self.columns.T for part in (values.double() * valid, valid.double()))
        return (total / share.clamp(min=1e-12)).to(values.dtype), (share / self.areas).clamp(0, 1).to(values.dtype)


MOST = 16
"""Nodes per axis of one cell: cells larger than 15 of the data's are sampled more sparsely."""
POINTS = 1 << 16
"""Places at once."""

Values = Callable[[Tensor], Tensor]
"""(q, 2) of (latitude, longitude) in degrees -> (q, c)."""


def cell_means(values: Values, grid: LatLon, finest: tuple[float, float]) -> Float[Tensor, "c h w"]:
    """Means over the cells of a grid of what `values` gives, not what lies in their middles.

    By Gauss-Legendre nodes in sin(latitude) and longitude, in which equal steps are equal areas: as many as cells of
    the data, `finest` in degrees, lie in one, and one more. `Averaging` is for values that are constant in each cell.
    """
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
