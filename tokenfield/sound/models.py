"""Systems for recordings: LAINR, IPC and TransINR over one coordinate, time. (d_in = 1)

A segment of `length` samples is a window, cut into patches of `patch` of them (ginr-ipc's audio: 200 samples at 16
kHz); a value is one sample, centred at 0 where a picture's is at 0.5.
"""

from dataclasses import dataclass

from tokenfield.configs import check_divides
from tokenfield.errors import UserError
from tokenfield.models.base import Model
from tokenfield.signals.models import (
    SignalConfig,
    SignalIpc,
    SignalIpcConfig,
    SignalLainr,
    SignalLainrConfig,
    SignalModel,
    SignalTransInr,
    SignalTransInrConfig,
    Window,
)


@dataclass(frozen=True)
class SoundConfig(SignalConfig):
    """How a recording is cut; the defaults are those of ginr-ipc's audio."""

    rate: int = 16_000
    """Samples per second."""
    length: int = 16_000
    """Samples of a segment, which is encoded at once."""
    patch: int = 200
    """Samples of a patch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("patch", self.patch, "length", self.length)

    @property
    def window(self) -> Window:
        """One channel, around 0."""
        return Window((self.length,), (self.patch,), channels=1, middle=0.0)


@dataclass(frozen=True)
class SoundLainrConfig(SoundConfig, SignalLainrConfig):
    """A LAINR over time."""

    def build(self) -> "SoundLainr":
        """The model with fresh weights."""
        return SoundLainr(self)


@dataclass(frozen=True)
class SoundIpcConfig(SoundConfig, SignalIpcConfig):
    """An IPC over time."""

    def build(self) -> "SoundIpc":
        """The model with fresh weights."""
        return SoundIpc(self)


@dataclass(frozen=True)
class SoundTransInrConfig(SoundConfig, SignalTransInrConfig):
    """A TransINR over time."""

    def build(self) -> "SoundTransInr":
        """The model with fresh weights."""
        return SoundTransInr(self)


class SoundModel(SignalModel):
    """What recordings add."""

    command = "sound"
    takes = "recordings"
    after_training = "sound evaluate {out} --data {data}"
    in_unit = None  # samples in [-1, 1]
    config: SoundConfig


def sound_model(model: Model) -> SoundModel:
    """The model, if it is one of recordings. Raises UserError for another."""
    if not isinstance(model, SoundModel):
        raise UserError(f"the {model.name} model takes {model.takes}, not recordings; train one of lainr-speech, "
                        "ipc-speech, trans-inr-speech")
    return model


class SoundLainr(SoundModel, SignalLainr):
    """LAINR over time. Tokens are (B, R, latent_dim), a set."""

    name = "sound-lainr"
    config: SoundLainrConfig

    def __init__(self, config: SoundLainrConfig):
        super().__init__(config)


class SoundIpc(SoundModel, SignalIpc):
    """IPC over time. Tokens are (B, R, fan-in)."""

    name = "sound-ipc"
    config: SoundIpcConfig

    def __init__(self, config: SoundIpcConfig):
        super().__init__(config)


class SoundTransInr(SoundModel, SignalTransInr):
    """TransINR over time. Tokens are (B, the layers' groups one after the other, widest fan-in)."""

    name = "sound-trans-inr"
    config: SoundTransInrConfig

    def __init__(self, config: SoundTransInrConfig):
        super().__init__(config)
