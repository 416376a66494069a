"""Affine maps as pairs of tensors: folded into one, one after the other, and values in float32 or wider.

Sums and ReLUs work in place where no gradient is recorded. Where one is, that would save no memory, since what a ReLU
keeps for its gradient is its result, and would cost time: a linear map of (B, Q, d) gives a view, and autograd copies
the whole gradient of a view that was changed in place (a quarter of a training step of a small LAINR).
"""

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


def relu(x: Tensor) -> Tensor:
    """max(x, 0); without a gradient in the place of `x`."""
    return x.relu() if x.requires_grad else x.relu_()


def plus(x: Float[Tensor, "*b q o"], y: Float[Tensor, "*shared q o"]) -> Float[Tensor, "*b q o"]:
    """x + y; without a gradient in the place of `x`."""
    return x + y if x.requires_grad or y.requires_grad else x.add_(y)


def stack(x: Tensor, affines: Sequence[Affine], activation: Callable[[Tensor], Tensor] = relu) -> Tensor:
    """The affine maps one after the other, with the activation between them; it may work in place."""
    for affine in affines[:-1]:
        x = activation(apply(affine, x))
    return apply(affines[-1], x)


def wide(x: Tensor) -> Tensor:
    """`x` in float32, or as it is if that is wider: values are summed and given back in no less.

    A value near 1 has steps of 1/256 in bfloat16, which alone would cost 3 dB at 60.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
