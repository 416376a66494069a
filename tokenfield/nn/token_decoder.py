"""The decoder of *Locality-Aware Generalizable INR* (NeurIPS 2023): Eq. 4 to 9, from coordinates and tokens to values.

    q_v     = h_F(v; sigma_q, W_q, b_q)                                              Eq. 4  `SelectiveTokenAggregation`
    m_v     = MultiHeadAttention(query q_v, key Z, value Z)                          Eq. 5
    m_v^(l) = ReLU( h_F(v; sigma_l, W_F^(l), b_F^(l)) + W_m^(l) m_v + b_m^(l) )      Eq. 6-7  `MultiBandModulation`
    h^(1)   = m^(1);  h^(l) = ReLU( W^(l) (m^(l) + h^(l-1)) + b^(l) )                Eq. 8
    y       = sum_l f_out^(l)(h^(l))                                                 Eq. 9

h_F, Eq. 2 and 3, is `tokenfield.nn.fourier.FrequencyFeature`. A `TokenDecoder` is any aggregator (up to m_v) and any
head (from there on): ANR, `w/o STA` and `w/o multiFM` are other pairs. Each has the three parts of
`tokenfield.nn.parts`.

The aggregator's output map A_o is linear, and so is what every head does first with its result. It is therefore left to
the head, whose `fold` multiplies it into its own first matrices,

    W_m (A_o a + a_o) + b_m = (W_m A_o) a + (W_m a_o + b_m),

one matrix product per call instead of one per coordinate. Without a gradient ReLUs act in place on sums that nobody
else holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates
from tokenfield.nn.affine import Affine, apply, fold, plus, relu, wide
from tokenfield.nn.attention import MultiHeadAttention, merge_heads
from tokenfield.nn.fourier import FrequencyFeature
from tokenfield.nn.parts import Decoding, QueryState, TokenState


class Aggregator(nn.Module, Decoding):
    """From the token set to one modulation vector m_v per coordinate, before the output map, which is left to the head.

    `combine` gives vectors (B, Q, d), which the output map makes m_v of.
    """

    @property
    def output_map(self) -> nn.Linear | None:
        """The last linear map; None where there is none."""
        return None

    def attention_weights(self, tokens: Float[Tensor, "one r e"],
                          coords: Float[Tensor, "q x"]) -> Float[Tensor, "h q r"] | None:
        """How much every coordinate takes from every token, rows of sum 1; None where that means nothing."""
        return None


class CrossAttention(Aggregator):
    """An aggregator whose coordinates attend to the tokens by a layer, `attention`, that holds the output map."""

    attention: MultiHeadAttention

    @property
    def output_map(self) -> nn.Linear:
        return self.attention.out

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> tuple[Tensor, Tensor]:
        """Projected keys and values, (B, H, R, c)."""
        return self.attention.keys_values(tokens.to(self.output_map.weight.dtype))

    def combine(self, located: Tensor, prepared: tuple[Tensor, Tensor]) -> Float[Tensor, "b q d"]:
        """Attended values. (Eq. 5)"""
        return merge_heads(self.attention.attend(located, *prepared))

    def attention_weights(self, tokens: Float[Tensor, "one r e"],
                          coords: Float[Tensor, "q x"]) -> Float[Tensor, "h q r"]:
        """What decoding gives to values that name the tokens: sum_r a_r e_r = (a_1 .. a_R)."""
        key, value = self.prepare(tokens)
        names = torch.eye(key.shape[2], dtype=value.dtype, device=value.device).expand(*key.shape[:3], -1)
        heads = self.combine(self.locate(coords), (key, names))  # (1, Q, H R)
        weights: Tensor = heads[0].unflatten(-1, (key.shape[1], -1))
        return weights.transpose(0, 1)


class SelectiveTokenAggregation(CrossAttention):
    """Cross-attention from a coordinate's frequency feature to the latent tokens. (Eq. 4-5)

    A low query bandwidth sigma_q lets neighbouring coordinates select the same tokens: locality, learned, not imposed.

    Sizes: d_in coordinates, d = `dim` of queries and of m_v, `latent_dim` of a token, d_F Fourier features.
    """

    def __init__(self, *, in_dim: int, dim: int, latent_dim: int, feature_dim: int, sigma_q: float, num_heads: int):
        super().__init__()
        self.query = FrequencyFeature(in_dim, sigma_q, feature_dim, dim)
        self.attention = MultiHeadAttention(dim, num_heads=num_heads, token_dim=latent_dim)

    def locate(self, coords: Coordinates) -> Float[Tensor, "*b h q c"]:
        """Projected queries of the coordinates. (Eq. 4)"""
        return self.attention.queries(self.query(coords, self.output_map.weight.dtype))  # h_F(v; sigma_q, W_q, b_q)


class Head(nn.Module):
    """From the aggregator's vectors and the coordinates to values.

    `num_bands`, L, counts the maps of m_v that come first and are linear in it: `modulations` and `values` compute what
    lies before and after. 0: the head has no such step, and a `combine` of its own.
    """

    num_bands: int = 0

    def locate(self, coords: Coordinates) -> QueryState:
        """What depends on the coordinates alone; nothing, if only m_v depends on them."""
        return None

    def fold(self, out: nn.Linear | None) -> TokenState:
        """The first matrices, after the aggregator's output map."""
        raise NotImplementedError(f"{type(self).__name__}.fold")

    def modulations(self, folded: TokenState, m: Float[Tensor, "b q d"]) -> Iterator[Float[Tensor, "b q d"]]:
        """The maps that are linear in m_v, from attended values before the output map; new tensors."""
        raise NotImplementedError(f"{type(self).__name__}.modulations")

    def values(self, located: QueryState, modulations: Iterable[Tensor]) -> Float[Tensor, "b q c"]:
        """What follows them. Works on the modulations in place."""
        raise NotImplementedError(f"{type(self).__name__}.values")

    def combine(self, located: QueryState, folded: TokenState, m: Float[Tensor, "b q d"]) -> Float[Tensor, "b q c"]:
        """Attended values (B, Q, d) -> values (B, Q, d_out)."""
        return self.values(located, self.modulations(folded, m))


class MultiBandModulation(Head):
    """Multi-band feature modulation, coarse-to-fine composition and output. (Eq. 6-9)

    The highest bandwidth is l = 1 and so passes through the most non-linear layers.

    m_v and every band are d = `dim` wide. `linear_frequency` False is `w/o linear Eq. 6` of Table 7, see
    `FrequencyFeature`; `linear_modulation` False is `w/o linear Eq. 7`: m_v itself in place of W_m m_v + b_m.
    """

    def __init__(self, *, in_dim: int, dim: int, feature_dim: int, sigmas: Sequence[float], out_dim: int,
                 linear_frequency: bool = True, linear_modulation: bool = True):
        super().__init__()
        if not sigmas:
            raise ValueError("sigmas is empty; give at least one bandwidth")
        self.num_bands = len(sigmas)
        self.frequency = nn.ModuleList(
            FrequencyFeature(in_dim, sigma, feature_dim, dim, linear=linear_frequency) for sigma in sigmas
        )
        linears = nn.ModuleList(nn.Linear(dim, dim) for _ in sigmas) if linear_modulation else None
        self.modulate = cast(Sequence[nn.Linear] | None, linears)
        self.compose = nn.ModuleList(nn.Linear(dim, dim) for _ in sigmas[1:])
        self.out = nn.ModuleList(nn.Linear(dim, out_dim) for _ in sigmas)

    def locate(self, coords: Coordinates) -> list[Tensor]:
        """The L frequency features of the coordinates, (Q, d) or (B, Q, d) each. (Eq. 6)"""
        dtype = self.out[0].get_parameter("weight").dtype
        return [feature(coords, dtype) for feature in self.frequency]

    def fold(self, out: nn.Linear | None) -> list[Affine | None]:
        """W_m^(l) after the aggregator's output map, for every band."""
        bands: Sequence[nn.Linear | None] = self.modulate or [None] * self.num_bands
        return [fold(out, band) for band in bands]

    def modulations(self, folded: list[Affine | None], m: Float[Tensor, "b q d"]) -> Iterator[Float[Tensor, "b q d"]]:
        """W_m^(l) m_v + b_m^(l) of every band. (Eq. 7)"""
        return (m.clone() if affine is None else apply(affine, m) for affine in folded)

    def band(self, feature: Float[Tensor, "*shared q d"], modulation: Float[Tensor, "b q d"]) -> Float[Tensor, "b q d"]:
        """m_v^(l) of one band; without a gradient in the place of `modulation`. (Eq. 7)"""
        return relu(plus(modulation, feature))

    def values(self, located: list[Tensor], modulations: Iterable[Tensor]) -> Float[Tensor, "b q c"]:
        """The bands' features and what the tokens add to them -> values (B, Q, d_out)."""
        bands = (self.band(*pair) for pair in zip(located, modulations, strict=True))  # Eq. 7
        hidden = next(bands)
        value = wide(self.out[0](hidden))
        for i, band in enumerate(bands):
            hidden = relu(self.compose[i](band + hidden))  # Eq. 8
            value = value + wide(self.out[i + 1](hidden))  # Eq. 9
        return value


class PlainMLP(Head):
    """m_v through `depth` ReLU layers and an output: the row `w/o multiFM` of Table 3, and the global MLP of ANR."""

    num_bands = 1

    def __init__(self, *, dim: int, depth: int, out_dim: int):
        super().__init__()
        self.layers = cast(Sequence[nn.Linear], nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth)))
        self.out = nn.Linear(dim, out_dim)

    def fold(self, out: nn.Linear | None) -> Affine | None:
        """The first layer after the aggregator's output map."""
        return fold(out, self.layers[0] if self.layers else self.out)

    def modulations(self, folded: Affine | None, m: Float[Tensor, "b q d"]) -> Iterator[Tensor]:
        """The first layer, before its ReLU: the part that is linear in m_v."""
        yield apply(folded, m)

    def values(self, located: None, modulations: Iterable[Tensor]) -> Float[Tensor, "b q c"]:
        """What the first layer gave -> values (B, Q, d_out)."""
        (first,) = modulations
        if not self.layers:
            return wide(first)
        hidden = first.relu()
        for layer in self.layers[1:]:
            hidden = relu(layer(hidden))
        return wide(self.out(hidden))


class TokenDecoder(nn.Module):
    """An aggregator, up to m_v, and a head from there on; `output_bias` 0.5 centres pictures in [0, 1]."""

    def __init__(self, aggregator: Aggregator, head: Head, *, output_bias: float = 0.5):
        super().__init__()
        self.aggregator, self.head, self.output_bias = aggregator, head, output_bias

    def locate(self, coords: Coordinates) -> QueryState:
        """Queries and frequency features."""
        return self.aggregator.locate(coords), self.head.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> TokenState:
        """Keys, values and folded matrices."""
        return self.aggregator.prepare(tokens), self.head.fold(self.aggregator.output_map)

    def combine(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "b q c"]:
        """Values (B, Q, C)."""
        m = self.aggregator.combine(located[0], prepared[0])  # (B, Q, d)
        return self.head.combine(located[1], prepared[1], m) + self.output_bias
