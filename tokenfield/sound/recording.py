"""A recording of any length for a model of one: overlapping segments, blended as a picture's tiles are.

The coordinate t in [-1, 1] runs over the whole recording: -1 is where its first sample begins and 1 where its last one
ends, so sample i of n stands at -1 + 2 (i + 1/2) / n, which is (i + 1/2) / rate seconds. Tokens are (segments, R, D).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import centers
from tokenfield.errors import UserError
from tokenfield.fields.domain import Labels, Progress
from tokenfield.fields.field import Field
from tokenfield.fields.tiles import OVERLAP, Cover
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.sound.files import RATES
from tokenfield.sound.models import SoundModel


@dataclass(frozen=True)
class Recording(Cover):
    """(samples,) at a rate in Hz, covered by segments of `segment` samples, the model's input.

    Neighbours share at least `overlap` of a segment, above 0 and at most 1/3; a shorter recording is one segment,
    continued by its last sample.
    """

    kind: ClassVar[str] = "recording"
    size: tuple[int]
    rate: int
    segment: int
    overlap: float = OVERLAP

    def __post_init__(self) -> None:
        if self.size[0] < 1 or self.segment < 4 or not RATES[0] <= self.rate <= RATES[1]:
            raise UserError(f"a recording of {self.size[0]} samples at {self.rate} Hz in segments of {self.segment}; "
                            f"give at least 1, {RATES[0]} to {RATES[1]} Hz, at least 4")
        self.check_overlap("segments")

    @property
    def extent(self) -> tuple[int]:
        """A segment."""
        return (self.segment,)

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.size[0] / self.rate

    def labels(self, *size: int) -> Labels:
        """Samples by the second in which they stand."""
        return Labels(("channel", "time"), {"time": centers(size[0], 0.0, self.seconds, dtype=torch.float64)})

    def facts(self, stored: int) -> Record:
        """Length and rate."""
        return {"seconds": round(self.seconds, 4), "rate": self.rate,
                "values_per_sample": round(stored / self.size[0], 4)}

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        if not isinstance(model, SoundModel) or (model.config.length, model.config.rate) != (self.segment, self.rate):
            raise UserError(f"segments of {self.segment} samples at {self.rate} Hz, but the model is a {model.name} of "
                            f"{model.input_size or 'any size'}; use the model that encoded the field")
        self.check_shape(tokens.shape, "segments")

    def __str__(self) -> str:
        return f"{self.seconds:.4g} s at {self.rate} Hz, segments of {self.segment / self.rate:.4g} s"


def encode_recording(model: SoundModel, samples: Float[Tensor, " n"], progress: Progress | None = None) -> Field:
    """Samples at the model's rate, any number of them, as a field; no gradient is recorded."""
    domain = Recording((len(samples),), model.config.rate, model.config.length)
    with torch.no_grad():
        return Field(model, domain.encode(model, samples[None], progress), domain)


def recording_of(field: Field) -> Recording:
    """The domain of a recording's field. Raises UserError for a field of anything else."""
    if not isinstance(field.domain, Recording):
        raise UserError(f"a field of {field.domain}, no recording; give one that tokenfield sound encode wrote")
    return field.domain
