"""What a training step minimises on recordings, and how well a field gives one back.

The loss is the mean squared error of samples in [-1, 1]. PSNR has the peak 2, the span of such samples; SNR is the
recording's own energy over the error's, which no silence makes better.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.metrics import decibels
from tokenfield.models.base import Model
from tokenfield.signals.models import SignalModel
from tokenfield.signals.objective import SamplesConfig
from tokenfield.sound.data import SoundSource
from tokenfield.sound.models import SoundModel, sound_model
from tokenfield.sound.recording import encode_recording


@dataclass(frozen=True)
class WaveformConfig(SamplesConfig):
    """The squared error of samples."""

    peak: ClassVar[float] = 2.0

    def field(self, model: SignalModel, samples: Float[Tensor, "1 n"]) -> Field:
        return encode_recording(sound_model(model), samples[0])

    def check(self, model: Model, source: object, held_out: object, seed: int) -> None:
        if not isinstance(model, SoundModel) or not isinstance(source, SoundSource):
            raise UserError(f"the {model.name} model on these data; recordings need one of sound-lainr, sound-ipc, "
                            "sound-trans-inr")
        data, taken = source.config, model.config
        if (data.rate, data.length) != (taken.rate, taken.length):
            raise UserError(f"data of {data.length} samples at {data.rate} Hz, the model takes {taken.length} at "
                            f"{taken.rate}; make data and model agree in rate and length")
        source.sample(seed, 0, 0)


def scores(values: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> dict[str, float]:
    """PSNR and, of what is not silent, SNR in dB, of samples neither clamped nor rounded."""
    error, energy = ((x.double().square().mean().item()) for x in (values - truth, truth))
    quality = {"psnr": decibels(error, WaveformConfig.peak)}
    return quality | {"snr": decibels(error / energy)} if energy else quality


def score(field: Field, truth: Float[Tensor, " n"]) -> dict[str, float]:
    """The same, of a field at the recording's own samples."""
    return scores(field.render()[0].cpu(), truth)
