"""Meta-learning: a picture's tokens are what a few steps of gradient descent make of a shared start.

*Model-Agnostic Meta-Learning* (Finn et al., ICML 2017) trains the start through the steps: the gradient of the error
after the last step passes through all of them, in second order. *Meta-SGD* (Li et al., 2017) also trains the rates, one
for every entry of what moves. Learned Init moves weights, Functa moves a latent; the steps are the same.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

Error = Callable[[list[Tensor]], Tensor]
"""The errors of a batch, summed: instances do not meet in it, so each has its own gradient."""


def descend(
    start: list[Tensor], error: Error, rates: Callable[[list[Tensor]], list[Tensor]], steps: int
) -> Iterator[list[Tensor]]:
    """Gradient descent, x <- x - rate * d error / d x, which can itself be differentiated.

    `torch.func.grad` differentiates by what moves, also where no gradient is recorded, as in evaluation; whether its
    result can be differentiated again, by the start and by whatever else the error depends on, is up to the caller's
    autograd: it can while gradients are recorded.

    Args:
        start: what moves, with the batch as first axis.
        error: see `Error`.
        rates: of what moves, given where it is; of shapes that broadcast to it.
        steps: how many.
    Yields:
        What moves, before the first step and after each.
    """
    at = start
    yield at
    for _ in range(steps):
        gradients = torch.func.grad(error)(at)
        at = [x - rate * g for x, rate, g in zip(at, rates(at), gradients, strict=True)]
        yield at


class EntryRates(nn.Module):
    """A rate for every entry of a latent, trained like a weight (Meta-SGD), as functa's published runs have them.

    Args:
        shape: of the latent.
        lowest, highest: rates start uniform between them; 0.005 and 0.1 in the published runs.
    """

    def __init__(self, *shape: int, lowest: float = 0.005, highest: float = 0.1):
        super().__init__()
        self.rate = nn.Parameter(torch.empty(shape).uniform_(lowest, highest))

    def forward(self) -> Float[Tensor, "*d"]:
        """The rates, kept in [0, 1]."""
        return self.rate.clamp(0, 1)
