"""Anchors: the places of tokens on a lattice, and where a coordinate lies among them.

Token (i, j) of a lattice is anchored at the centre of its cell. Along one axis a coordinate lies between two anchors,
its neighbours; in the plane it has four. Everything here is per axis, because the four are a tensor product.

Lengths are in cells: `relative` = (coordinate - anchor) lies in [-1, 1] for both neighbours.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Neighbours:
    """The two nearest anchors of coordinates along one axis.

    `lower` is the index of the anchor at or below the coordinate, -1 .. cells - 1; the upper one is lower + 1. Index -1
    and index `cells` stand outside the lattice. `relative` is coordinate minus anchor, for both.
    """

    lower: Int[Tensor, "*q"]
    relative: Float[Tensor, "*q 2"]
    cells: int

    @property
    def outside(self) -> Float[Tensor, "*q 2"]:
        """1 where the neighbour is off the lattice, 0 where it is on it."""
        return torch.stack([self.lower < 0, self.lower + 1 >= self.cells], -1).to(self.relative)


def neighbours(coords: Float[Tensor, "*q"], cells: int) -> Neighbours:
    """Where coordinates in [-1, 1] along an axis of so many cells lie among the anchors."""
    place = (coords + 1) / 2 * cells - 0.5  # 0 at the first anchor, cells - 1 at the last
    lower = place.floor().clamp(-1, cells - 1)
    relative = torch.stack([place - lower, place - lower - 1], -1)
    return Neighbours(lower.long(), relative, cells)


def window(relative: Float[Tensor, "*q"]) -> Float[Tensor, "*q"]:
    """The distance term of one axis: log cos^2(pi r / 2), about -(pi r / 2)^2 near the anchor, -13.8 at |r| = 1.

    A Gaussian's logarithm with compact support: at the distance of one cell, where the next anchor takes over as
    neighbour, the weight has vanished (1e-6, to the power of the sharpness). Aggregating the nearest neighbours is
    therefore continuous, and the same as aggregating all anchors.
    """
    return (torch.pi / 2 * relative).cos().square().clamp(min=1e-6).log()


def harmonics(relative: Float[Tensor, "*q"], n: int) -> Float[Tensor, "*q n"]:
    """The n lowest cosines of a function on [-1, 1] continued evenly: cos(pi k (r + 1) / 2), k = 0 .. n - 1.

    On the 2 p pixels that a token of p-pixel cells reaches per axis, n = 2 p of them, scaled to unit norm, are the
    orthonormal DCT-II: any values on the pixels are one combination of them, continued smoothly in between.
    """
    k = torch.arange(n, device=relative.device, dtype=relative.dtype)
    scale = torch.where(k == 0, (1 / n) ** 0.5, (2 / n) ** 0.5).to(relative.dtype)
    return scale * (torch.pi / 2 * k * (relative.unsqueeze(-1) + 1)).cos()


def fade(n: int, cell: int, span: float) -> Float[Tensor, " n"]:
    """What the mean over a box of `span` pixels leaves of the n harmonics: sin(s a) / (s sin a), a = pi k / (4 cell).

    For whole numbers of pixels it is their plain average, as when a photograph is reduced by its area, and for one
    pixel it is 1: a pixel's value is what the field shows at its centre. It holds for any cosine of the harmonics at
    any place, so a box costs what a point costs (the weights that blend neighbours are those of its centre).
    """
    angle = torch.pi * torch.arange(n, dtype=torch.float64) / (4 * cell)
    ratio = (span * angle).sin() / (span * angle.sin())
    return torch.where(angle == 0, 1.0, ratio).float()


@dataclass(frozen=True)
class Gaps:
    """Coordinates of one axis sorted into the gaps between anchors, so that a gap's points share both neighbours.

    Padded to the same number m per gap they are one batched matrix product per axis. `relative` is for the lower and
    the upper neighbour, `place` where in the flat (gaps x m) list each coordinate stands, `first` the index of the
    first gap's lower anchor; gaps are consecutive.
    """

    relative: Float[Tensor, "2 g m"]
    place: Int[Tensor, " n"]
    first: int


def gaps(near: Neighbours) -> Gaps:
    """Sort the coordinates of one axis (any order) into the gaps between anchors."""
    first = int(near.lower.min())
    gap = near.lower - first
    num = int(gap.max()) + 1
    counts = torch.bincount(gap, minlength=num)
    order = gap.argsort(stable=True)
    start = counts.cumsum(0) - counts
    rank = torch.empty_like(gap)
    rank[order] = torch.arange(len(gap), device=gap.device) - start[gap[order]]  # place within its gap
    m = int(counts.max())
    place = gap * m + rank
    relative = near.relative.new_zeros(2, num * m)
    relative[:, place] = near.relative.T
    return Gaps(relative.view(2, num, m), place, first)


class AnchoredAggregation(nn.Module):
    """Attention of a coordinate to its nearest anchors, by content and by distance.

        a_j(v) = softmax_j( c_j(v - p_j) + s w(v - p_j) ),      value(v) = sum_j a_j(v) f_j(v - p_j)

    The content score c_j is a product of the coordinate's relative harmonics (the query) and a map of the token (the
    key), so it is one more function of the relative head. The distance term w is `window`. The sharpness s is learned,
    from a given start; 1 blends as cos^2, large values select the nearest anchor.
    """

    def __init__(self, *, sharpness: float):
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(float(sharpness)).log())

    def forward(self, content: Float[Tensor, "b four q"], distance: Float[Tensor, "*shared four q"],
                outside: Float[Tensor, "*alike four q"], values: Float[Tensor, "b four q c"]) -> Float[Tensor, "b q c"]:
        """Blend the four neighbours' values; `outside` is above 0 for neighbours off the lattice."""
        logits = content.to(torch.promote_types(content.dtype, torch.float32)) + self.log_sharpness.exp() * distance
        weights = logits.masked_fill(outside > 0, -torch.inf).softmax(-2)  # (B, 4, Q)
        return (weights.unsqueeze(-1) * values).sum(1)
