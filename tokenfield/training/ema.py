"""An exponential moving average of the weights: what is evaluated and shipped in place of the last, noisy iterate."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

from tokenfield.training.sharding import local

M = TypeVar("M", bound=nn.Module)


class Ema(Generic[M]):
    """A copy of the model that follows it slowly.

    `decay`, in (0, 1), is the share of the old average in the new one, which so spans about 1 / (1 - decay) updates,
    and no more than a tenth of those so far, so that a short run is not averaged with its initialisation: at update t
    it is min(decay, (1 + t) / (10 + t)).
    """

    def __init__(self, model: M, decay: float):
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards `model` for the `step`-th time, counted from 1. Buffers are copied: they are not trained."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = ([local(p) for p in of.parameters()] for of in (self.model, model))  # of slices, slice by slice
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for old, new in zip(self.model.buffers(), model.buffers(), strict=True):
            old.copy_(new)
