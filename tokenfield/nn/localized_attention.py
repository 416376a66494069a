"""Localized attention: tokens with little weight get none (ANR, ECCV 2024: *Attention Beats Linear*).

With softmax weights a over R tokens and a threshold m,

    a' = (max(a, m) - m) / sum_r (max(a_r, m) - m),

so a token whose weight is at most m gets exactly zero and the rest share its part. Published are m = 0.0015 for R = 256
and m = 0.003 for R = 128: both are 0.384 / R. The threshold is therefore given here as `cutoff` = m R, in units of the
average weight, and means the same for any number of tokens.

Is there always something above the threshold? The largest of R weights is at least 1 / R, so for cutoff < 1 there is,
at any temperature. For larger cutoffs a row can have nothing left, and the formula is 0 / 0. It has no continuous
continuation there either: with two weights just above m, a' depends on nothing but the ratio of two vanishing
differences. The threshold of a row is therefore never more than a share `KEEP` of the row's own largest weight:

    m_row = min(m, KEEP max_r a_r).

Where the largest weight is at least m / KEEP, always for cutoff <= KEEP, this is the published formula. Elsewhere the
row keeps its nearly largest weights. The result is continuous everywhere and its derivatives are bounded, since what is
left of a row is at least (1 - KEEP) of its largest weight.
"""

from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.nn.attention import MultiHeadAttention, attend
from tokenfield.nn.fourier import fourier_features, linear_over_axes, sum_over_axes
from tokenfield.nn.token_decoder import CrossAttention

CUTOFF = 0.384
"""m R of the published configurations."""

KEEP = 0.9
"""The share of a row's largest weight that its threshold may reach: above every useful cutoff, and not so near 1 that
gradients grow large."""


def above_threshold(scores: Float[Tensor, "*b q r"], cutoff: float) -> Float[Tensor, "*b q r"]:
    """softmax(scores) less the threshold, and zero below it: a' before it is renormalised; float32 or wider.

    A weight near the threshold is a difference of nearly equal numbers, hence float32: in bfloat16 (8 bits) the tokens
    that survive would depend on rounding.
    """
    count = scores.shape[-1]
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    threshold: float | Tensor = cutoff / count  # m
    if cutoff > KEEP:  # only then can the largest weight, at least 1 / R, be too small
        threshold = (KEEP * weights.amax(-1, keepdim=True)).clamp(max=threshold)  # m_row
    return (weights - threshold).relu_()


def attend_locally(query: Float[Tensor, "*shared h q c"], key: Float[Tensor, "*b h r c"],
                   value: Float[Tensor, "*b h r e"], cutoff: float) -> Float[Tensor, "*b h q e"]:
    """a' value for scores query key^T / sqrt(c); queries without a batch axis are shared by all instances.

    `cutoff` is m R, at least 0: plain attention.

    The sum to divide by is as long as the queries and the weights are as many as queries times tokens, so the division
    comes after the product.
    """
    if not cutoff:
        return attend(query, key, value)
    scores = query @ (key * key.shape[-1] ** -0.5).transpose(-1, -2)  # (..., H, Q, R)
    above = above_threshold(scores, cutoff)
    return (above.to(value.dtype) @ value) / above.sum(-1, keepdim=True).to(value.dtype)


class LocalizedAttention(MultiHeadAttention):
    """Multi-head attention with a threshold, from queries that are projected already, H c wide.

    Only the output map has a bias. `cutoff` is m R; see the module.
    """

    def __init__(self, *, token_dim: int, out_dim: int, num_heads: int, head_dim: int, cutoff: float = CUTOFF):
        if not cutoff >= 0:
            raise UserError(f"cutoff {cutoff} is negative; give 0 for plain attention, {CUTOFF} as published")
        super().__init__(out_dim, num_heads=num_heads, token_dim=token_dim, head_dim=head_dim, bias=False,
                         project_queries=False)
        self.cutoff = cutoff

    def extra_repr(self) -> str:
        return f"num_heads={self.num_heads}, cutoff={self.cutoff}"

    def attend(self, query: Float[Tensor, "*shared h q c"], key: Float[Tensor, "b h r c"],
               value: Float[Tensor, "b h r e"]) -> Float[Tensor, "b h q e"]:
        """Weighted means of the values above the threshold."""
        return attend_locally(query, key, value, self.cutoff)


class PositionalQuery(nn.Module):
    """W gamma_sigma(v): a linear map without bias of the positional encoding, the queries of ANR.

    gamma is Eq. 2 with n = floor(width / (2 d_in)) frequencies per coordinate; where that leaves a rest of `width`
    (2 of 512 in three dimensions) gamma is padded with zeros. W keeps the columns that meet the padding, as published,
    and the product leaves them out. On a `Grid` it is a sum of one product per axis.

    At sigma 1024 a phase is up to 3000 radians, of which float32 knows the last 2e-4 only by convention. Frequencies
    and products are therefore rounded as the authors' code rounds them, w_j = exp(j / (n - 1) log sigma) and pi (w v),
    so that weights trained there give the values they gave there.

    Bandwidths are 1024 for pictures and 512 in space; `width` is that of the padded encoding.
    """

    def __init__(self, in_dim: int, sigma: float, width: int, out_dim: int):
        super().__init__()
        self.in_dim, self.sigma = in_dim, sigma
        self.num_frequencies = width // (2 * in_dim)
        if self.num_frequencies < 1:
            raise UserError(f"width {width} is below 2 x {in_dim} coordinates; use at least {2 * in_dim}")
        self.linear = nn.Linear(width, out_dim, bias=False)

    def extra_repr(self) -> str:
        return f"in_dim={self.in_dim}, sigma={self.sigma}, num_frequencies={self.num_frequencies}"

    def forward(self, coords: Coordinates) -> Tensor:
        """(Q, X), (B, Q, X) or a Grid of Q points -> (Q, out_dim) or (B, Q, out_dim)."""
        n, weight = self.num_frequencies, self.linear.weight
        weight = weight[:, : 2 * self.in_dim * n]  # the rest meets zeros
        if not isinstance(coords, Grid):
            return F.linear(self._gamma(coords).to(weight.dtype), weight)
        gammas = (self._gamma(axis[:, None]) for axis in coords.axes)  # (len, 2 n)
        return sum_over_axes(linear_over_axes(gammas, weight, (2, self.in_dim, n)))

    def _gamma(self, coords: Float[Tensor, "*q x"]) -> Float[Tensor, "*q f"]:
        """Eq. 2, in the type of the coordinates."""
        omega = torch.linspace(0, log(self.sigma), self.num_frequencies, dtype=coords.dtype, device=coords.device).exp()
        turns = (coords.unsqueeze(-1) * omega).flatten(-2)  # w_j v_i, coordinate-major
        return fourier_features(turns, omega.new_ones(1))


class LocalizedAggregation(CrossAttention):
    """Localized attention as an aggregator: from the token set to one vector m_v per coordinate.

    Whatever head follows, `PositionalQuery` in front makes the layer of ANR; a frequency feature (Eq. 4) and a linear
    map make selective token aggregation with a threshold.

    `query` makes rows of H c numbers of coordinates.
    """

    def __init__(self, query: nn.Module, attention: LocalizedAttention):
        super().__init__()
        self.query, self.attention = query, attention

    def locate(self, coords: Coordinates) -> Float[Tensor, "*b h q c"]:
        """Queries of the coordinates."""
        return self.attention.queries(self.query(coords).to(self.output_map.weight.dtype))
