"""What a training step minimises on recordings, and how well a field gives one back.

The loss is the mean squared error of samples in [-1, 1]. PSNR has the peak 2, the span of such samples; SNR is the
recording's own energy over the error's, which no silence makes better.
"""

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
from tokenfield.fields.field import Field
from tokenfield.metrics import decibels, mse
from tokenfield.models.base import Model
from tokenfield.sound.data import SoundSource
from tokenfield.sound.models import SoundModel, sound_model
from tokenfield.sound.recording import encode_recording
from tokenfield.training.journal import PSNR, Measure
from tokenfield.training.validation import mean_over

PEAK = 2.0
"""The largest minus the smallest possible sample."""


def scores(values: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> dict[str, float]:
    """PSNR and, of what is not silent, SNR in dB, of samples neither clamped nor rounded."""
    error, energy = ((x.double().square().mean().item()) for x in (values - truth, truth))
    quality = {"psnr": decibels(error, PEAK)}
    return quality | {"snr": decibels(error / energy)} if energy else quality


def score(field: Field, truth: Float[Tensor, " n"]) -> dict[str, float]:
    """The same, of a field at the recording's own samples."""
    return scores(field.render()[0].cpu(), truth)


@dataclass(frozen=True)
class WaveformConfig:
    """The squared error of samples."""

    measure: ClassVar[Measure] = PSNR

    fraction: float = 1.0
    """Share of a segment's samples per step, the same ones in the whole batch, in (0, 1]."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UserError(f"objective.fraction {self.fraction} is not in (0, 1]; 1 takes every sample")

    def build(self, model: Model, *, bf16: bool = False) -> "Waveform":
        """The loss, a module."""
        return Waveform(sound_model(model), self.fraction, bf16=bf16)

    def check(self, model: Model, source: object, held_out: object, seed: int) -> None:
        """Raises UserError unless the recordings are cut as the model takes them."""
        if not isinstance(model, SoundModel) or not isinstance(source, SoundSource):
            raise UserError(f"the {model.name} model on these data; recordings need one of sound-lainr, sound-ipc, "
                            "sound-trans-inr")
        data, taken = source.config, model.config
        if (data.rate, data.length) != (taken.rate, taken.length):
            raise UserError(f"data of {data.length} samples at {data.rate} Hz, the model takes {taken.length} at "
                            f"{taken.rate}; make data and model agree in rate and length")
        source.sample(seed, 0, 0)

    def evaluate(self, model: SoundModel, source: SoundSource, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool]) -> tuple[float, int]:
        """Mean PSNR of the first `count` held-out recordings, each whole, and how many there were."""

        def quality(item: tuple[Path, Tensor]) -> float:
            return score(encode_recording(model, item[1]), item[1])["psnr"]

        return mean_over(source.recordings(), quality, model, count, accelerator, halted)


class Waveform(nn.Module):
    """The loss of a batch of segments, under bfloat16 autocast or not."""

    def __init__(self, model: SoundModel, fraction: float, *, bf16: bool = False):
        super().__init__()
        self.model, self.fraction, self.bf16 = model, fraction, bf16

    def forward(self, segments: Float[Tensor, "b 1 n"],
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss, and every segment's error over the peak's square, so that -10 log10 of it is the PSNR."""
        count = segments.shape[-1]
        taken = torch.randperm(count, generator=generator)[: max(1, round(count * self.fraction))].sort().values
        times = Grid((centers(count)[taken],)).to(segments.device)
        with torch.autocast(segments.device.type, torch.bfloat16, enabled=self.bf16):
            values = self.model.decode(self.model.encode(segments), times)
        errors = mse(values.float(), segments[:, 0, taken.to(segments.device), None])
        return errors.mean(), errors.detach() / PEAK**2
