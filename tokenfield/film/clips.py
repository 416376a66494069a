"""A film of any length and size for a model of one: overlapping clips, blended as a picture's tiles are.

The coordinates (t, y, x) in [-1, 1] run over the whole film: t = -1 is where its first frame begins and 1 where its
last one ends, so frame i of n is shown in the middle of its time, at -1 + 2 (i + 1/2) / n. Tokens are (clips along
time, rows, columns, R, D).
"""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import centers
from tokenfield.errors import UserError
from tokenfield.fields.domain import Labels, Progress
from tokenfield.fields.field import Field
from tokenfield.fields.tiles import OVERLAP, Cover
from tokenfield.film.models import FilmModel
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel

RATES = (0.01, 10_000.0)
"""Frames per second that a film may have: of plants that grow, and of bullets."""


@dataclass(frozen=True)
class Film(Cover):
    """(frames, height, width) at a rate in frames per second, covered by clips of `clip`, the model's input.

    Neighbours share at least `overlap` of a clip, above 0 and at most 1/3; a shorter or smaller film is one clip along
    that axis, continued by its last samples.
    """

    kind: ClassVar[str] = "film"
    size: tuple[int, int, int]
    rate: float
    clip: tuple[int, int, int]
    overlap: float = OVERLAP

    def __post_init__(self) -> None:
        self.check_overlap("clips")
        if min(self.size) < 1 or min(self.clip) < 4 or not (isfinite(self.rate) and RATES[0] <= self.rate <= RATES[1]):
            raise UserError(f"a film of {self.size} at {self.rate} frames a second in clips of {self.clip}; give at "
                            f"least 1, {RATES[0]:g} to {RATES[1]:g}, at least 4")

    @property
    def extent(self) -> tuple[int, int, int]:
        return self.clip

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.size[0] / self.rate

    def labels(self, *size: int) -> Labels:
        """Frames by the second in which they stand, pixels by their coordinates."""
        frames, height, width = size
        times = centers(frames, 0.0, self.seconds, dtype=torch.float64)
        return Labels(("channel", "time", "y", "x"), {"time": times, "y": centers(height), "x": centers(width)})

    def facts(self, stored: int) -> Record:
        """Length and rate."""
        return {"frames": self.size[0], "seconds": round(self.seconds, 4), "rate": self.rate}

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        if not isinstance(model, FilmModel) or model.config.clip != tuple(self.clip):
            raise UserError(f"clips of {self.clip}, but the model is a {model.name} of {model.input_size or 'any size'}"
                            "; use the model that encoded the field")
        self.check_shape(tokens.shape, "clips")

    def __str__(self) -> str:
        frames, height, width = self.size
        return f"{frames} frames of {width} x {height} at {self.rate:g} a second, clips of " + " x ".join(
            map(str, self.clip))


def encode_film(model: FilmModel, samples: Float[Tensor, "c t h w"], rate: float,
                progress: Progress | None = None) -> Field:
    """A film in [0, 1] of any length and size as a field; no gradient is recorded."""
    _, frames, height, width = samples.shape
    domain = Film((frames, height, width), float(rate), model.config.clip)
    with torch.no_grad():
        return Field(model, domain.encode(model, samples, progress), domain)


def film_of(field: Field) -> Film:
    """The domain of a film's field. Raises UserError for a field of anything else."""
    if not isinstance(field.domain, Film):
        raise UserError(f"a field of {field.domain}, no film; give one that tokenfield film encode wrote")
    return field.domain
