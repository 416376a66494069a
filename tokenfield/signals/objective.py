"""What a training step minimises on signals: the mean squared error of a window's samples."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Grid, centers
from tokenfield.errors import UserError
from tokenfield.fields.domain import crossed
from tokenfield.fields.field import Field
from tokenfield.metrics import decibels, mse
from tokenfield.models.base import Model
from tokenfield.signals.models import SignalModel
from tokenfield.signals.windows import Windows
from tokenfield.training.journal import PSNR, Measure
from tokenfield.training.validation import mean_over


def error_of(field: Field, truth: Float[Tensor, "c *n"]) -> float:
    """The mean squared error of a field at the signal's own samples, neither clamped nor rounded."""
    return float((field.render().cpu() - truth).double().square().mean())


@dataclass(frozen=True)
class SamplesConfig(ABC):
    """The squared error of samples; slices say which signals, and how one becomes a field."""

    measure: ClassVar[Measure] = PSNR
    peak: ClassVar[float] = 1.0
    """The largest minus the smallest possible sample."""

    fraction: float = 1.0
    """Share of a window's samples per step, a grid of them, the same ones in the whole batch, in (0, 1]."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UserError(f"objective.fraction {self.fraction} is not in (0, 1]; 1 takes every sample")

    @abstractmethod
    def check(self, model: Model, source: object, held_out: object, seed: int) -> None:
        """Raises UserError unless the signals are cut as the model takes them."""

    @abstractmethod
    def field(self, model: SignalModel, samples: Float[Tensor, "c *n"]) -> Field:
        """A whole signal as a field."""

    def build(self, model: Model, *, bf16: bool = False) -> "Samples":
        """The loss, a module."""
        if not isinstance(model, SignalModel):
            raise UserError(f"the {model.name} model takes {model.takes}; this objective is for signals")
        return Samples(model, self.fraction, self.peak, bf16=bf16)

    def evaluate(self, model: SignalModel, source: Windows, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool]) -> tuple[float, int]:
        """Mean PSNR of the first `count` held-out signals, each whole, and how many there were."""

        def quality(item: tuple[Path, Tensor]) -> float:
            return decibels(error_of(self.field(model, item[1]), item[1]), self.peak)

        return mean_over(source.signals(), quality, model, count, accelerator, halted)


class Samples(nn.Module):
    """The loss of a batch of windows, under bfloat16 autocast or not."""

    def __init__(self, model: SignalModel, fraction: float, peak: float, *, bf16: bool = False):
        super().__init__()
        self.model, self.fraction, self.peak, self.bf16 = model, fraction, peak, bf16

    def forward(self, windows: Float[Tensor, "b c *n"],
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss, and every window's error over the peak's square, so that -10 log10 of it is the PSNR."""
        sides = windows.shape[2:]
        share = self.fraction ** (1 / len(sides))  # along each axis
        taken = [torch.randperm(n, generator=generator)[: max(1, round(n * share))].sort().values for n in sides]
        grid = Grid(tuple(centers(n)[some] for n, some in zip(sides, taken, strict=True))).to(windows.device)
        with torch.autocast(windows.device.type, torch.bfloat16, enabled=self.bf16):
            values = self.model.decode(self.model.encode(windows), grid)
        wanted = windows[(slice(None), *crossed([some.to(windows.device) for some in taken]))]
        errors = mse(values.float(), wanted.flatten(2).mT)
        return errors.mean(), errors.detach() / self.peak**2
