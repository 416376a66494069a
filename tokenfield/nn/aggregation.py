"""Aggregation: from the token set to one modulation vector per coordinate (Eq. 4-5).

An aggregator has three parts, so that each is computed as often as it must be and no more:
`locate(coords)` depends on the coordinates alone, `condition(tokens)` on the tokens alone, `combine` needs both. Its
output map is linear and so is what every head does first with the result; `out` is therefore left to the head, which
multiplies the two matrices once instead of every coordinate twice.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates
from tokenfield.nn.attention import MultiHeadAttention, attend, merge_heads
from tokenfield.nn.fourier import FrequencyFeature


class SelectiveTokenAggregation(nn.Module):
    """Cross-attention from a coordinate's frequency feature to the latent tokens.

        q_v = h_F(v; sigma_q, W_q, b_q)                            (Eq. 4)
        m_v = MultiHeadAttention(query q_v, key Z, value Z)        (Eq. 5)

    A low query bandwidth sigma_q lets neighbouring coordinates select the same tokens: locality, learned, not imposed.

    Args:
        in_dim: d_in, number of coordinates.
        dim: d, width of queries and of m_v.
        latent_dim: width of a token.
        feature_dim: d_F of the Fourier features.
        sigma_q: query bandwidth.
        num_heads: heads of the attention.
        linear: False for `w/o linear Eq. 6`, see `FrequencyFeature`.
    """

    def __init__(
        self,
        *,
        in_dim: int,
        dim: int,
        latent_dim: int,
        feature_dim: int,
        sigma_q: float,
        num_heads: int,
        linear: bool = True,
    ):
        super().__init__()
        self.query = FrequencyFeature(in_dim, sigma_q, feature_dim, dim, linear=linear)
        self.attention = MultiHeadAttention(dim, num_heads=num_heads, token_dim=latent_dim)

    @property
    def out(self) -> nn.Linear:
        """The attention's output map, left to the head."""
        return self.attention.out

    def locate(self, coords: Coordinates) -> Float[Tensor, "*b h q c"]:
        """Projected queries of the coordinates. (Eq. 4)"""
        return self.attention.queries(self.query(coords, self.out.weight.dtype))  # h_F(v; sigma_q, W_q, b_q)

    def prepare(self, latents: Float[Tensor, "b r e"]) -> tuple[Tensor, Tensor]:
        """Projected keys and values of the tokens."""
        return self.attention.keys_values(latents.to(self.out.weight.dtype))

    def combine(self, located: Tensor, prepared: tuple[Tensor, Tensor]) -> Float[Tensor, "b q d"]:
        """Attended values, before the output map. (Eq. 5)"""
        return merge_heads(attend(located, *prepared))


class AnchoredAggregation(nn.Module):
    """Attention of a coordinate to its nearest anchors, by content and by distance.

        a_j(v) = softmax_j( c_j(v - p_j) + s w(v - p_j) ),      value(v) = sum_j a_j(v) f_j(v - p_j)

    The content score c_j is a product of the coordinate's relative harmonics (the query) and a map of the token (the
    key), so it is one more function of the relative head. The distance term w has compact support
    (`tokenfield.nn.anchors.window`): four neighbours are exact, the field is continuous, and the cost per coordinate
    does not depend on the number of tokens.

    Args:
        sharpness: s at the start of training; 1 blends as cos^2, large values select the nearest anchor.
    """

    def __init__(self, *, sharpness: float):
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(float(sharpness)).log())

    def forward(
        self,
        content: Float[Tensor, "b four q"],
        distance: Float[Tensor, "*shared four q"],
        outside: Float[Tensor, "*alike four q"],
        values: Float[Tensor, "b four q c"],
    ) -> Float[Tensor, "b q c"]:
        """Blend the four neighbours' values; `outside` is above 0 for neighbours off the lattice."""
        logits = content.to(torch.promote_types(content.dtype, torch.float32)) + self.log_sharpness.exp() * distance
        weights = logits.masked_fill(outside > 0, -torch.inf).softmax(-2)  # (B, 4, Q)
        return (weights.unsqueeze(-1) * values).sum(1)
