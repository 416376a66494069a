"""Meta-learning: a picture's tokens are what a few steps of gradient descent make of a shared start.

*Model-Agnostic Meta-Learning* (Finn et al., ICML 2017) trains the start through the steps: the gradient of the error
after the last step passes through all of them, in second order. *Meta-SGD* (Li et al., 2017) also trains the rates, one
for every entry of what moves. Learned Init moves weights, Functa moves a latent; the steps are the same.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def descend(start: list[Tensor], error: Callable[[list[Tensor]], Tensor], rates: Callable[[list[Tensor]], list[Tensor]],
            steps: int) -> Iterator[list[Tensor]]:
    """Gradient descent, x <- x - rate * d error / d x: what moves, before the first step and after each.

    `torch.func.grad` differentiates by what moves, also where no gradient is recorded, as in evaluation. Its result can
    be differentiated again, by the start and by whatever else the error depends on, while gradients are recorded.

    `start` has the batch as first axis, over which `error` sums: instances do not meet in it, so each has its own
    gradient. `rates`, given where it is, broadcast to what moves.
    """
    at = start
    yield at
    for _ in range(steps):
        gradients = torch.func.grad(error)(at)
        at = [x - rate * g for x, rate, g in zip(at, rates(at), gradients, strict=True)]
        yield at
