"""Tokens with places: attention by content and by distance, and coordinates relative to where one looks.

What lies between selective token aggregation (Eq. 4-5) and the anchored model, as bricks. R tokens have places p_j in
[-1, 1]^2, the centres of the cells of a lattice; a coordinate v attends to all of them,

    a_j(v) = softmax_j( sum of terms ),     m_v = sum_j a_j(v) W_v z_j,     r_v = v - sum_j a_j(v) p_j

with one term for content, q(v) . k_j / sqrt(c), one for distance, -|v - p_j|^2 / (2 s^2), or both. The relative
coordinate r_v is what a head may read in place of v (`RelativeDecoder`). Attention is to
all tokens and its weights are held in memory: these are for studies of small models;
`tokenfield.nn.anchors.AnchoredAggregation` attends to the nearest alone.
"""

from collections.abc import Sequence
from functools import reduce
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.nn.attention import merge_heads, split_heads
from tokenfield.nn.fourier import FrequencyFeature
from tokenfield.nn.parts import QueryState, TokenState
from tokenfield.nn.token_decoder import Aggregator

WIDTH = 0.25
"""s at the start of training, in cells; it is learned, and wider windows start worse."""


def points_of(coords: Coordinates) -> Float[Tensor, "*b q x"]:
    """A grid's points, or points as they are."""
    return coords.coords() if isinstance(coords, Grid) else coords


class Term(nn.Module):
    """One summand under the softmax."""

    def locate(self, coords: Coordinates) -> QueryState:
        """What depends on the coordinates alone."""
        raise NotImplementedError(f"{type(self).__name__}.locate")

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> TokenState:
        """What depends on the tokens alone."""
        raise NotImplementedError(f"{type(self).__name__}.prepare")

    def scores(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "*b h q r"]:
        """The term."""
        raise NotImplementedError(f"{type(self).__name__}.scores")


class ContentTerm(Term):
    """q(v) . k(z_j) / sqrt(c), with the queries of Eq. 4.

    Args:
        in_dim, sigma_q, feature_dim: of the query's frequency feature.
        dim: width of queries and keys, over all heads.
        latent_dim: width of a token.
        num_heads: H.
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
    ):
        super().__init__()
        self.num_heads = num_heads
        self.query = FrequencyFeature(in_dim, sigma_q, feature_dim, dim)
        self.q, self.k = nn.Linear(dim, dim), nn.Linear(latent_dim, dim)

    def locate(self, coords: Coordinates) -> Float[Tensor, "*b h q c"]:
        """Queries. (Eq. 4)"""
        return split_heads(self.q(self.query(coords, self.q.weight.dtype)), self.num_heads)

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> Float[Tensor, "b h r c"]:
        """Keys."""
        return split_heads(self.k(tokens), self.num_heads)

    def scores(self, located: Tensor, prepared: Tensor) -> Float[Tensor, "b h q r"]:
        """What the attention of Eq. 5 takes the softmax of."""
        return located @ prepared.transpose(-1, -2) * prepared.shape[-1] ** -0.5


class DistanceTerm(Term):
    """-|v - p_j|^2 / (2 s_h^2), with a learned width per head.

    Args:
        places: p_j in [-1, 1], (R, X).
        cell: sides of a cell in the same unit, (X,): widths are in cells.
        num_heads: H.
    """

    places: Tensor
    cell: Tensor

    def __init__(self, places: Float[Tensor, "r x"], cell: Float[Tensor, " x"], *, num_heads: int):
        super().__init__()
        self.register_buffer("places", places, persistent=False)  # known, not learned
        self.register_buffer("cell", cell, persistent=False)
        self.log_width = nn.Parameter(torch.full((num_heads,), WIDTH).log())

    def locate(self, coords: Coordinates) -> Float[Tensor, "*b h q r"]:
        """The whole term: nothing of it depends on the tokens."""
        gaps = (points_of(coords).unsqueeze(-2) - self.places) / self.cell  # (..., Q, R, X)
        return -gaps.square().sum(-1).unsqueeze(-3) / (2 * (2 * self.log_width).exp()[:, None, None])

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> None:
        """Nothing."""

    def scores(self, located: Tensor, prepared: None) -> Float[Tensor, "*b h q r"]:
        """As located."""
        return located


class PositionalAggregation(Aggregator):
    """m_v, and what r_v needs: `SelectiveTokenAggregation` with other terms under the softmax.

    With the content term alone it computes the same from the same weights.

    Args:
        terms: whose sum the softmax is taken of, at least one.
        places: p_j, (R, X).
        dim: d, width of m_v.
        latent_dim: width of a token.
        num_heads: H.
    """

    places: Tensor

    def __init__(
        self, terms: Sequence[Term], places: Float[Tensor, "r x"], *, dim: int, latent_dim: int, num_heads: int
    ):
        super().__init__()
        self.terms = cast(Sequence[Term], nn.ModuleList(terms))
        self.register_buffer("places", places, persistent=False)
        self.num_heads = num_heads
        self.v, self.out = nn.Linear(latent_dim, dim), nn.Linear(dim, dim)

    @property
    def output_map(self) -> nn.Linear:
        """Left to the head."""
        return self.out

    def locate(self, coords: Coordinates) -> list[QueryState]:
        """Of every term."""
        return [term.locate(coords) for term in self.terms]

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> tuple[list[QueryState], Tensor]:
        """Of every term, and the values (B, H, R, d / H)."""
        tokens = tokens.to(self.v.weight.dtype)
        return [term.prepare(tokens) for term in self.terms], split_heads(self.v(tokens), self.num_heads)

    def weights(self, located: list[QueryState], prepared: tuple[list[QueryState], Tensor]) -> Float[Tensor, "b h q r"]:
        """a_j(v)."""
        parts = zip(self.terms, located, prepared[0], strict=True)
        weights = reduce(torch.add, (term.scores(where, what) for term, where, what in parts)).softmax(-1)
        return weights.expand(len(prepared[1]), -1, -1, -1)

    def combine(self, located: list[QueryState], prepared: tuple[list[QueryState], Tensor]) -> Float[Tensor, "b q d"]:
        """Attended values, before the output map. (Eq. 5)"""
        return merge_heads(self.weights(located, prepared) @ prepared[1])
