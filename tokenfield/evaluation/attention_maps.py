"""Where pixels look: what a page keeps of the attention weights that a system gives (`FieldModel.attention`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.evaluation.locality import HELD


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
    """What the weights of `FieldModel.attention` say of the tokens that are shown, by their numbers."""
    some = weights[..., list(shown)]
    ranked = torch.cat([weights.mean(0, keepdim=True), weights]).double().sort(descending=True).values.cumsum(-1)
    short = ranked < HELD * (1 - 1e-9) * ranked[..., -1:]  # ten equal weights: nine of them are 90 %
    return Attention(some, (weights.sum(-1) - some.sum(-1)).clamp(min=0), short.sum(-1) + 1)


def lattice(side: int) -> Float[Tensor, "q 2"]:
    """The positions that a page holds weights for: centres of side x side cells, row-major."""
    return Grid.cells(side, side).coords()
