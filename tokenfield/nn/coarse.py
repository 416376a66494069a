"""Attention on a lattice of nodes: what a coordinate takes from the tokens varies slowly, so it is computed seldom.

The query bandwidth sigma_q is low by design, and so m_v of Eq. 5 is a smooth function of the coordinate, however fine
the picture. Two thirds of a decoder's products go into it, and a quarter more into the maps W_m m_v of Eq. 7, which are
linear in it. Here both are computed on n x n nodes over [-1, 1]^2, once per set of tokens, and interpolated by cubics
through the four nearest nodes per axis; Eq. 6, 8 and 9 remain exact at every coordinate.

This is an approximation, and the only one in decoding: queries pass a ReLU, so they have kinks, and the error falls by
10 to 12 dB for twice the nodes (docs/log.md).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.coords import Coordinates, Grid, in_pieces, whole
from tokenfield.errors import UserError
from tokenfield.nn.parts import QueryState
from tokenfield.nn.token_decoder import TokenDecoder

SUPPORT = 4
"""Nodes per axis that a coordinate takes its value from: a cubic's."""

Near = tuple[Tensor, Tensor]
"""The first of a coordinate's four nodes along an axis, (Q,) or (B, Q), and the weights of all four, (..., Q, 4)."""


def near(axis: Float[Tensor, "*q"], n: int) -> tuple[Int[Tensor, "*q"], Float[Tensor, "*q 4"]]:
    """Lagrange's weights of the four nodes around a coordinate; towards an end, and beyond it, of the last four."""
    u = (axis + 1) * ((n - 1) / 2)  # the nodes are at 0, 1, .., n - 1
    first = (u.floor().long() - 1).clamp(0, n - SUPPORT)
    t = u - first
    t0, t1, t2, t3 = t, t - 1, t - 2, t - 3  # away from each of the four
    return first, torch.stack([-t1 * t2 * t3 / 6, t0 * t2 * t3 / 2, -t0 * t1 * t3 / 2, t0 * t1 * t2 / 6], -1)


def matrix(first: Int[Tensor, " q"], weights: Float[Tensor, "q 4"]) -> tuple[slice, Float[Tensor, "q m"]]:
    """The same as one dense matrix over the nodes that occur: on a tile of a grid these are few."""
    lo, hi = int(first.min()), int(first.max()) + SUPPORT
    dense = weights.new_zeros(len(first), hi - lo)
    place = (first - lo).unsqueeze(-1) + torch.arange(SUPPORT, device=first.device)
    return slice(lo, hi), dense.scatter(1, place, weights)


class CoarseDecoder:
    """A `TokenDecoder` of pictures whose aggregation happens on n x n nodes; the same parts, the same weights.

    8 to 16 times sigma_q nodes per axis serve trained models. Raises UserError for fewer than 4, and for a head whose
    first step is not linear in m_v.
    """

    def __init__(self, decoder: TokenDecoder, n: int):
        if (n := whole(n, "nodes")) < SUPPORT:
            raise UserError(f"{n} nodes per axis; give at least {SUPPORT}")
        if not decoder.head.num_bands:
            raise UserError("nodes need a multi-band or plain head; this model modulates weights, not coordinates")
        self.decoder, self.n = decoder, n

    def locate(self, coords: Coordinates) -> tuple[QueryState, tuple[Near, Near], bool]:
        """The bands' features, the nodes near each row and column (or point), and whether it is a grid."""
        gridded = isinstance(coords, Grid)
        y, x = coords.axes if isinstance(coords, Grid) else coords.unbind(-1)
        return self.decoder.head.locate(coords), (near(y, self.n), near(x, self.n)), gridded

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> list[Float[Tensor, "b n n d"]]:
        """Eq. 5 and W_m m_v + b_m of every band on the nodes."""
        aggregator, head = self.decoder.aggregator, self.decoder.head
        prepared, folded = aggregator.prepare(tokens), head.fold(aggregator.output_map)
        lattice = Grid((torch.linspace(-1, 1, self.n, device=tokens.device),) * 2)  # no coordinate lies outside

        def modulations(part: Coordinates) -> Tensor:
            m = aggregator.combine(aggregator.locate(part), prepared)  # Eq. 5
            return torch.cat(list(head.modulations(folded, m)), -1)

        chunk = len(lattice) if torch.is_grad_enabled() else max(1, 4096 // max(1, len(tokens)))
        bands: Tensor = in_pieces(modulations, lattice, chunk).unflatten(1, (self.n, self.n))
        return list(bands.chunk(head.num_bands, -1))

    def combine(self, located: tuple[QueryState, tuple[Near, Near], bool], prepared: list[Tensor]) -> Tensor:
        """Values (B, Q, C)."""
        features, (y, x), gridded = located
        interpolate = on_grid if gridded else at_points
        modulations = (interpolate(band, y, x) for band in prepared)
        return self.decoder.head.values(features, modulations) + self.decoder.output_bias


def on_grid(lattice: Float[Tensor, "b n n d"], y: Near, x: Near) -> Float[Tensor, "b q d"]:
    """Interpolation along x, then along y: two small products."""
    (rows, along_y), (columns, along_x) = matrix(*y), matrix(*x)
    lines = along_x.to(lattice.dtype) @ lattice[:, rows, columns]  # (B, m, X, d)
    lines = lines.transpose(0, 1)  # rows first: one plain product for all else, twice as fast as one per instance
    values = along_y.to(lattice.dtype) @ lines.flatten(1)  # (Y, B X d)
    return values.view(-1, *lines.shape[1:]).transpose(0, 1).flatten(1, 2)


def at_points(lattice: Float[Tensor, "b n n d"], y: Near, x: Near) -> Float[Tensor, "b q d"]:
    """The same at scattered points, (Q,) or (B, Q) of them: sixteen nodes each."""
    (first_y, along_y), (first_x, along_x) = y, x
    support = torch.arange(SUPPORT, device=lattice.device)
    batch = torch.arange(len(lattice), device=lattice.device).view(-1, 1, 1, 1)
    rows = (first_y.unsqueeze(-1) + support).unsqueeze(-1)  # (*B, Q, 4, 1)
    columns = (first_x.unsqueeze(-1) + support).unsqueeze(-2)  # (*B, Q, 1, 4)
    weights = along_y.unsqueeze(-1) * along_x.unsqueeze(-2)  # (*B, Q, 4, 4)
    return (lattice[batch, rows, columns] * weights.to(lattice.dtype).unsqueeze(-1)).sum((-2, -3))
