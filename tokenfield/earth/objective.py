"""What a training step minimises on the sphere: the mean squared error of standardised values, over the Earth's area.

Cells without a value count for nothing. Places are drawn by area, or, where every cell takes part, weighted by it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.earth.data import GriddedSource, GridSample
from tokenfield.earth.globe import encode_field, score
from tokenfield.earth.models import EarthModel, earth_model
from tokenfield.errors import UserError
from tokenfield.metrics import PSNR_CEILING
from tokenfield.models.base import Model
from tokenfield.training.journal import PSNR, Measure
from tokenfield.training.validation import mean_over


@dataclass(frozen=True)
class AreaConfig:
    """The objective of fields on the sphere: masked, weighted by area. Which places take part is the data's choice."""

    measure: ClassVar[Measure] = PSNR

    def build(self, model: Model, *, bf16: bool = False) -> "AreaObjective":
        """The loss, a module."""
        return AreaObjective(earth_model(model), bf16=bf16)

    def check(self, model: Model, source: object, held_out: object, seed: int) -> None:
        """Raises UserError unless the fields are what the model takes."""
        if not isinstance(model, EarthModel) or not isinstance(source, GriddedSource):
            raise UserError(f"the {model.name} model on these data; gridded fields need one of the gridded models")
        if not len(source):
            raise UserError("no field to train on: every step of the series is held out; change data.shares")
        if source.config.size != model.input_size:
            raise UserError(f"data.size {source.config.size} is not the model's size {model.input_size}; make them one")
        channels = len(source.sample(seed, 0, 0)["inputs"])
        if channels != model.channels:
            raise UserError(f"a field of {channels} variables, the model has {model.channels}; make data.variables "
                            "and model.variables agree, or set data.channels")
        names, units = zip(*((variable.name, variable.units) for variable in model.config.variables), strict=True)
        for what, ours, theirs in (("name", names, source.config.variables), ("units", units, source.config.units)):
            if any(ours) and ours != theirs:
                raise UserError(f"data has {what} {theirs}, model.variables have {ours}; make them agree")

    def evaluate(self, model: Model, source: GriddedSource, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool]) -> tuple[float, int]:
        """Mean PSNR of the first `count` held-out fields, each on its own grid, and how many there were."""

        def decibels(sample: GridSample) -> float:
            return fmean(score(encode_field(model, sample), sample.snapshot).psnr)

        return mean_over(source.fields(), decibels, model, count, accelerator, halted)


class AreaObjective(nn.Module):
    """The loss of a batch of `GriddedSource.sample`, under bfloat16 autocast or not."""

    def __init__(self, model: EarthModel, *, bf16: bool = False):
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, batch: dict[str, Tensor],
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss in standardised units, and every field's error in units of its span squared, so that -10 log10 of it is
        the PSNR that evaluation reports."""
        inputs, offset, scale = self.model.inputs(*(batch[k] for k in ("inputs", "covered", "mean", "deviation")))
        target = (batch["values"] - offset[:, None]) * scale[:, None]  # (B, K, C)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            values = self.model.decode(self.model.encode(inputs), self.model.place(batch["places"]))
        squared = (values.float() - target).square() * batch["weights"]
        errors = squared.sum(1) / batch["weights"].sum(1).clamp(min=1e-6)  # (B, C): means over the area with values
        span = (batch["span"] * scale).clamp(min=10 ** (-PSNR_CEILING / 20))
        return errors.mean(), (errors.detach() / span.square()).mean(1)
