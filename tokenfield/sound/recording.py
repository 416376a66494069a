"""A recording of any length for a model of one: overlapping segments, blended as a picture's tiles are.

The coordinate t in [-1, 1] runs over the whole recording: -1 is where its first sample begins and 1 where its last one
ends, so sample i of n stands at -1 + 2 (i + 1/2) / n, which is (i + 1/2) / rate seconds. Tokens are (segments, R, D).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Grid, by_kind, centers
from tokenfield.errors import UserError
from tokenfield.fields.axis import TileAxis, shares
from tokenfield.fields.domain import POINTS, Domain, Labels, Progress, at_least_float32
from tokenfield.fields.field import Field
from tokenfield.fields.tiles import OVERLAP
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.sound.files import RATES
from tokenfield.sound.models import SoundModel

BATCH = 1 << 18
"""Samples encoded at once."""


@dataclass(frozen=True)
class Recording(Domain):
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
        if not 0 < self.overlap <= 1 / 3:
            raise UserError(f"overlap {self.overlap} of segments; it must be above 0 and at most 1/3")

    @cached_property
    def axis(self) -> TileAxis:
        """How the samples are cut into segments."""
        return TileAxis(self.size[0], self.segment, self.overlap)

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.size[0] / self.rate

    def encode(self, model: FieldModel, picture: Tensor, progress: Progress | None = None) -> Tensor:
        """Samples (1, N) -> tokens (segments, R, D), a few segments at a time."""
        device, count = next(model.parameters()).device, self.axis.pieces
        parts = []
        for some in torch.arange(count).split(max(1, BATCH // self.segment)):
            segments = torch.stack([picture[:, self.axis.indices(i)] for i in some.tolist()])
            parts.append(at_least_float32(model.encode(segments.to(device))))
            if progress:
                progress(int(some[-1]) + 1, count)
        return torch.cat(parts)

    def on_grid(self, model: FieldModel, tokens: Tensor, grid: Grid,
                progress: Progress | None = None) -> Float[Tensor, "c n"]:
        """Values at times."""
        return self.at_points(model, tokens, grid.axes[0][:, None]).T

    def at_points(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q 1"]) -> Float[Tensor, "q c"]:
        """Values at times (Q, 1) in [-1, 1] over the recording: of segment after segment, weighted, added up."""
        parts = [self._at(model, tokens, times[:, 0]) for times in points.split(POINTS)]
        return torch.cat(parts) if parts else tokens.new_zeros(0, model.channels)

    def _at(self, model: FieldModel, tokens: Tensor, times: Float[Tensor, " q"]) -> Float[Tensor, "q c"]:
        at = (times.cpu().double() + 1) * (self.size[0] / 2)  # in samples
        piece, index, weight = shares(self.axis, at)
        out = tokens.new_zeros(len(times), model.channels)
        for i, k in by_kind(piece):
            local = Grid((self.axis.local(at[index[k]], i),)).to(tokens)
            values = model.decode(tokens[i : i + 1], local)[0].to(out.dtype)
            out = out.index_add(0, index[k].to(out.device), weight[k, None].to(out) * values)
        return out

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
        if tokens.ndim != 3 or len(tokens) != self.axis.pieces:
            raise UserError(f"tokens {tuple(tokens.shape)} for {self.axis.pieces} segments; the first sizes must agree")

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
