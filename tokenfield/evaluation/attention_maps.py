"""Where a coordinate looks: attention weights over the tokens, per head, for every system that has them.

An attention's weights are what it gives to values that name the tokens: with the identity in place of the values,
sum_r a_r e_r = (a_1 .. a_R). So the weights come out of the very code that decodes, thresholds and all, and no second
version of a softmax is kept here.

    LAINR                      cross-attention of Eq. 5, H heads over R tokens
    ANR, LAINR localized       localized attention: tokens below the threshold have exactly zero
    anchored, switched         the weights of the four nearest anchors, one head, zero for all others

TransINR, IPC, Learned Init, Functa and MLPs have none: their tokens are weights or shifts of a network that all
coordinates go through. For them only removal maps exist (`tokenfield.evaluation.locality`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.evaluation.locality import HELD
from tokenfield.models.anchored import Anchored
from tokenfield.models.base import FieldModel
from tokenfield.nn.aggregation import SelectiveTokenAggregation
from tokenfield.nn.localized_attention import LocalizedAggregation


@dataclass(frozen=True)
class Attention:
    """Where pixels look, told by the weights of some tokens without leaving the others out of the account.

    Attributes:
        weights: of the tokens that are shown.
        elsewhere: the share that falls on all other tokens; with `weights`, rows of sum 1.
        enough: how many tokens, shown or not, hold 90 % of a pixel's attention: of the mean over heads, then of each
            head.
    """

    weights: Float[Tensor, "h q r"]
    elsewhere: Float[Tensor, "h q"]
    enough: Int[Tensor, "1+h q"]


def attention_on(weights: Float[Tensor, "h q r"], shown: Sequence[int]) -> Attention:
    """The account of `attention_weights` for the tokens that are shown, by their numbers."""
    some = weights[..., list(shown)]
    ranked = torch.cat([weights.mean(0, keepdim=True), weights]).double().sort(descending=True).values.cumsum(-1)
    short = ranked < HELD * (1 - 1e-9) * ranked[..., -1:]  # ten equal weights: nine of them are 90 %
    return Attention(some, (weights.sum(-1) - some.sum(-1)).clamp(min=0), short.sum(-1) + 1)


def attention_weights(
    model: FieldModel, tokens: Float[Tensor, "one *lattice d"], coords: Float[Tensor, "q x"]
) -> Float[Tensor, "h q r"] | None:
    """Attention weights of one instance.

    Args:
        model: any system.
        tokens: what `model.encode` made of it, a batch of one.
        coords: (Q, X) in [-1, 1] over the model's input.
    Returns:
        Non-negative, rows of sum 1; R counts the tokens, a lattice row-major. None for a system without attention from
        coordinates to tokens.
    """
    for system, weights in SYSTEMS.items():
        if isinstance(model, system):
            return weights(model, tokens, coords)
    aggregator = getattr(getattr(model, "decoder", None), "aggregator", None)
    if isinstance(aggregator, SelectiveTokenAggregation | LocalizedAggregation):
        return _of_aggregator(aggregator, tokens, coords)
    return None


def _of_aggregator(aggregator: Any, tokens: Tensor, coords: Tensor) -> Float[Tensor, "h q r"]:
    """Cross-attention and localized attention: keys as they are, values that name the tokens."""
    key, value = aggregator.prepare(tokens)  # (1, H, R, c)
    names = torch.eye(key.shape[2], dtype=value.dtype, device=value.device).expand(*key.shape[:3], -1)
    heads = aggregator.combine(aggregator.locate(coords), (key, names))  # (1, Q, H R)
    return heads[0].unflatten(-1, (key.shape[1], -1)).transpose(0, 1)


def _of_anchored(model: Any, tokens: Tensor, coords: Tensor) -> Float[Tensor, "1 q r"]:
    """The four neighbours of every coordinate, put at their places among all anchors."""
    rows, columns = tokens.shape[1:3]
    located, prepared = model.locate(coords, (rows, columns)), model.prepare(tokens)
    content = model.local(located, prepared)[..., -1]  # (1, 4, Q)
    names = torch.eye(4, dtype=content.dtype, device=content.device)[:, None].expand(-1, len(coords), -1)[None]
    four = model.blend(located, prepared, content, names)[0]  # (Q, 4)
    weights = four.new_zeros(len(coords), rows, columns)
    points = torch.arange(len(coords), device=four.device)
    for k, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        y, x = located.y.lower + i, located.x.lower + j
        inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)  # others weigh nothing
        weights[points[inside], y[inside], x[inside]] = four[inside, k]
    return weights.flatten(1)[None]


SYSTEMS: dict[type[FieldModel], Callable[[Any, Tensor, Tensor], Tensor]] = {Anchored: _of_anchored}
"""Systems whose weights do not come from an aggregator of their decoder."""


def lattice(side: int) -> Float[Tensor, "q 2"]:
    """The positions that a page holds weights for: centres of side x side cells, row-major."""
    return Grid.cells(side, side).coords()
