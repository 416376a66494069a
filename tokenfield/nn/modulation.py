"""Heads: from the modulation vector m_v and the coordinate to the value (Eq. 6-9).

A head mirrors the aggregator's three parts: `locate(coords)`, `fold(out)` and `combine`. `fold` takes the aggregator's
output map A_o and multiplies it into the head's first matrices,

    W_m (A_o a + a_o) + b_m = (W_m A_o) a + (W_m a_o + b_m),

one matrix product per call instead of one per coordinate. The result is the same to rounding.

ReLUs act in place on sums that nobody else holds (autograd allows it): one pass over memory less each, and fewer
activations kept for a training step.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates
from tokenfield.nn.fourier import FrequencyFeature

Affine = tuple[Tensor, Tensor | None]
"""Weight (out, in) and bias of a linear map."""


def fold(first: nn.Linear | None, then: nn.Linear | None) -> Affine | None:
    """`then` after `first` as one affine map; None stands for the identity."""
    if first is None or then is None:
        only = first or then
        return None if only is None else (only.weight, only.bias)
    return then.weight @ first.weight, then.weight @ first.bias + then.bias


def apply(affine: Affine | None, x: Tensor) -> Tensor:
    """The affine map, or the identity."""
    return x if affine is None else F.linear(x, *affine)


def wide(x: Tensor) -> Tensor:
    """`x` in float32, or as it is if that is wider: values are summed and given back in no less.

    A value near 1 has steps of 1/256 in bfloat16, which alone would cost 3 dB at 60.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


class MultiBandModulation(nn.Module):
    """Multi-band feature modulation, coarse-to-fine composition and output.

        m_v^(l) = ReLU( h_F(v; sigma_l, W_F^(l), b_F^(l)) + W_m^(l) m_v + b_m^(l) )     (Eq. 6-7)
        h^(1) = m^(1);  h^(l) = ReLU( W^(l) (m^(l) + h^(l-1)) + b^(l) )                 (Eq. 8)
        y = sum_l f_out^(l)(h^(l))                                                       (Eq. 9)

    The highest bandwidth is l = 1 and so passes through the most non-linear layers.

    Args:
        in_dim: d_in.
        dim: d, width of m_v and of every band.
        feature_dim: d_F.
        sigmas: bandwidths sigma_1 >= ... >= sigma_L, L >= 1.
        out_dim: d_out.
        linear_frequency: False for `w/o linear Eq. 6`.
        linear_modulation: False for `w/o linear Eq. 7`: m_v itself in place of W_m m_v + b_m.
    """

    def __init__(
        self,
        *,
        in_dim: int,
        dim: int,
        feature_dim: int,
        sigmas: Sequence[float],
        out_dim: int,
        linear_frequency: bool = True,
        linear_modulation: bool = True,
    ):
        super().__init__()
        if not sigmas:
            raise ValueError("sigmas is empty; give at least one bandwidth")
        self.frequency = nn.ModuleList(
            FrequencyFeature(in_dim, sigma, feature_dim, dim, linear=linear_frequency) for sigma in sigmas
        )
        # Of linear maps; the type knows of modules only.
        self.modulate: Any = nn.ModuleList(nn.Linear(dim, dim) for _ in sigmas) if linear_modulation else None
        self.compose = nn.ModuleList(nn.Linear(dim, dim) for _ in sigmas[1:])
        self.out = nn.ModuleList(nn.Linear(dim, out_dim) for _ in sigmas)

    @property
    def num_bands(self) -> int:
        """L."""
        return len(self.out)

    def locate(self, coords: Coordinates) -> list[Tensor]:
        """The L frequency features of the coordinates, (Q, d) or (B, Q, d) each. (Eq. 6)"""
        return [feature(coords, self.out[0].weight.dtype) for feature in self.frequency]

    def fold(self, out: nn.Linear | None) -> list[Affine | None]:
        """W_m^(l) after the aggregator's output map, for every band."""
        return [fold(out, band) for band in self.modulate or [None] * len(self.out)]

    def modulations(self, folded: list[Affine | None], m: Float[Tensor, "b q d"]) -> Iterator[Float[Tensor, "b q d"]]:
        """W_m^(l) m_v + b_m^(l) of every band, from attended values before the aggregator's output map. (Eq. 7)

        Each is a new tensor, which `values` works on in place.
        """
        return (m.clone() if affine is None else apply(affine, m) for affine in folded)

    def band(self, feature: Float[Tensor, "*shared q d"], modulation: Float[Tensor, "b q d"]) -> Float[Tensor, "b q d"]:
        """m_v^(l) of one band, in the place of `modulation`. (Eq. 7)"""
        return modulation.add_(feature).relu_()

    def values(self, located: list[Tensor], modulations: Iterable[Tensor]) -> Float[Tensor, "b q c"]:
        """The bands' features and what the tokens add to them -> values (B, Q, d_out)."""
        bands = (self.band(*pair) for pair in zip(located, modulations, strict=True))  # Eq. 7
        hidden = next(bands)
        value = wide(self.out[0](hidden))
        for i, band in enumerate(bands):
            hidden = self.compose[i](band + hidden).relu_()  # Eq. 8
            value = value + wide(self.out[i + 1](hidden))  # Eq. 9
        return value

    def combine(self, located: list[Tensor], folded: list[Affine | None], m: Float[Tensor, "b q d"]) -> Tensor:
        """Attended values (B, Q, d) -> values (B, Q, d_out)."""
        return self.values(located, self.modulations(folded, m))


class PlainMLP(nn.Module):
    """m_v through a stack of ReLU layers: the row `w/o multiFM` of Table 3.

    Args:
        dim: d, width of m_v and of the hidden layers.
        depth: linear layers before the output, at least 0.
        out_dim: d_out.
    """

    num_bands = 1

    def __init__(self, *, dim: int, depth: int, out_dim: int):
        super().__init__()
        self.layers: Any = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))  # the type knows of modules only
        self.out = nn.Linear(dim, out_dim)

    def locate(self, coords: Coordinates) -> None:
        """Nothing here depends on the coordinates: they spoke through m_v."""

    def fold(self, out: nn.Linear | None) -> Affine | None:
        """The first layer after the aggregator's output map."""
        return fold(out, self.layers[0] if self.layers else self.out)

    def modulations(self, folded: Affine | None, m: Float[Tensor, "b q d"]) -> Iterator[Tensor]:
        """The first layer, before its ReLU: the part that is linear in m_v."""
        yield apply(folded, m)

    def values(self, located: None, modulations: Iterable[Tensor]) -> Tensor:
        """What the first layer gave -> values (B, Q, d_out)."""
        (first,) = modulations
        if not self.layers:
            return wide(first)
        hidden = first.relu()
        for layer in self.layers[1:]:
            hidden = layer(hidden).relu_()
        return wide(self.out(hidden))

    def combine(self, located: None, folded: Affine | None, m: Float[Tensor, "b q d"]) -> Tensor:
        """Attended values (B, Q, d) -> values (B, Q, d_out)."""
        return self.values(located, self.modulations(folded, m))
