"""Affine maps as pairs of tensors: folded into one, one after the other, and values in float32 or wider."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Affine = tuple[Tensor, Tensor]
"""Weight (out, in) and bias, or those of every instance, (B, out, in) and a bias that broadcasts to (B, Q, out)."""


def fold(first: nn.Linear | None, then: nn.Linear | None) -> Affine | None:
    """`then` after `first` as one affine map; None stands for the identity."""
    if first is None or then is None:
        only = first or then
        return None if only is None else (only.weight, only.bias)
    return then.weight @ first.weight, then.weight @ first.bias + then.bias


def apply(affine: Affine | None, x: Float[Tensor, "*b q i"]) -> Float[Tensor, "*c q o"]:
    """W x + b for every point, or the identity; matrices of instances meet points of their own or shared ones."""
    if affine is None:
        return x
    weight, bias = affine
    return F.linear(x, weight, bias) if weight.ndim == 2 else (x @ weight.mT).add_(bias)


def stack(x: Tensor, affines: Sequence[Affine], activation: Callable[[Tensor], Tensor] = torch.relu_) -> Tensor:
    """The affine maps one after the other, with the activation between them; it may work in place."""
    for affine in affines[:-1]:
        x = activation(apply(affine, x))
    return apply(affines[-1], x)


def wide(x: Tensor) -> Tensor:
    """`x` in float32, or as it is if that is wider: values are summed and given back in no less.

    A value near 1 has steps of 1/256 in bfloat16, which alone would cost 3 dB at 60.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
