"""Systems for films: LAINR, IPC and TransINR over three coordinates, time, y and x. (d_in = 3)

A clip of some frames, cut out of a film at some place, is a window; its patches are boxes of a few frames by a square
of pixels. A step to the next frame counts as much as one to the next pixel: along a clip of fewer frames than pixels
the coordinate the features see is as much shorter, so that one bandwidth is right for all three.
"""

from dataclasses import dataclass
from typing import Literal

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
class FilmConfig(SignalConfig):
    """How a film is cut."""

    frames: int = 8
    """Frames of a clip."""
    size: tuple[int, int] = (32, 32)
    """Height and width of a clip in pixels."""
    patch_frames: int = 2
    """Frames of a patch."""
    patch: int = 8
    """Side of a patch in pixels."""
    channels: Literal[1, 3] = 3
    """Values per pixel: 3 colours, or 1 grey."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.frames, *self.size) < 4:
            raise UserError(f"frames {self.frames}, size {self.size}; a clip has at least 4 of each")
        check_divides("patch_frames", self.patch_frames, "frames", self.frames)
        for side in self.size:
            check_divides("patch", self.patch, "size", side)

    @property
    def clip(self) -> tuple[int, int, int]:
        """Frames, height and width of a clip."""
        return self.frames, *self.size

    @property
    def window(self) -> Window:
        """Values around the middle of [0, 1]."""
        return Window(self.clip, (self.patch_frames, self.patch, self.patch), self.channels)


@dataclass(frozen=True)
class FilmLainrConfig(FilmConfig, SignalLainrConfig):
    """A LAINR over time and place."""

    def build(self) -> "FilmLainr":
        """The model with fresh weights."""
        return FilmLainr(self)


@dataclass(frozen=True)
class FilmIpcConfig(FilmConfig, SignalIpcConfig):
    """An IPC over time and place."""

    def build(self) -> "FilmIpc":
        """The model with fresh weights."""
        return FilmIpc(self)


@dataclass(frozen=True)
class FilmTransInrConfig(FilmConfig, SignalTransInrConfig):
    """A TransINR over time and place."""

    def build(self) -> "FilmTransInr":
        """The model with fresh weights."""
        return FilmTransInr(self)


class FilmModel(SignalModel):
    """What films add."""

    command = "film"
    takes = "films"
    after_training = "film evaluate {out} --data {data}"
    config: FilmConfig


def film_model(model: Model) -> FilmModel:
    """The model, if it is one of films. Raises UserError for another."""
    if not isinstance(model, FilmModel):
        raise UserError(f"the {model.name} model takes {model.takes}, not films; train one of lainr-film, ipc-film, "
                        "trans-inr-film")
    return model


class FilmLainr(FilmModel, SignalLainr):
    """LAINR over time and place. Tokens are (B, R, latent_dim), a set."""

    name = "film-lainr"
    config: FilmLainrConfig

    def __init__(self, config: FilmLainrConfig):
        super().__init__(config)


class FilmIpc(FilmModel, SignalIpc):
    """IPC over time and place. Tokens are (B, R, fan-in)."""

    name = "film-ipc"
    config: FilmIpcConfig

    def __init__(self, config: FilmIpcConfig):
        super().__init__(config)


class FilmTransInr(FilmModel, SignalTransInr):
    """TransINR over time and place. Tokens are (B, the layers' groups one after the other, widest fan-in)."""

    name = "film-trans-inr"
    config: FilmTransInrConfig

    def __init__(self, config: FilmTransInrConfig):
        super().__init__(config)
