"""Time as a third axis: steps of one field on the sphere as one field of (time, latitude, longitude).

The tokens of the steps are stacked, and a value between steps is the cubic through the four nearest, so any system that
decodes one moment decodes a year. A climatology's year closes: December is before January.

    field = encode_series(model, samples, times, time_units="days since 2000-01-01", period=365.25)
    field.domain.at(field, torch.tensor([[48.1, 11.6]]), torch.tensor([45.5]))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokenfield.coords import Grid, centers
from tokenfield.earth.data import GridSample
from tokenfield.earth.globe import Globe, encode_field, globe_of
from tokenfield.earth.sphere import places
from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain, Labels, Progress
from tokenfield.fields.field import Field
from tokenfield.models.base import FieldModel, Model

NODES = 4
"""Steps that a moment between two of them is computed from."""


@dataclass(frozen=True)
class GlobeSeries(Domain):
    """Steps of a field on the sphere. Coordinates are (t, y, x) in [-1, 1], each step the middle of its share of t."""

    kind: ClassVar[str] = "globe-series"
    steps: tuple[Globe, ...]
    times: tuple[float, ...]
    """Rising, in `time_units`."""
    time_units: str = ""
    """As files say it, "days since 2000-01-01"; "" where nothing is said."""
    calendar: str = "standard"
    period: float = 0.0
    """After which the series begins again, in its units; 0: it does not."""

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        if not self.steps or len(self.steps) != len(self.times) or not rising:
            raise UserError(f"{len(self.steps)} steps at times {self.times[:6]}; give one each, rising, at least one")
        if self.period and self.period <= self.times[-1] - self.times[0]:
            length = self.times[-1] - self.times[0]
            raise UserError(f"period {self.period:g} of a series of {length:g}; give a longer one")
        if len({(step.variables, step.size) for step in self.steps}) > 1:
            raise UserError("steps of several variables or grids; give steps of one file")

    @property
    def size(self) -> tuple[int, ...]:  # type: ignore[override]
        """(steps, rows, columns)."""
        return len(self.steps), *self.steps[0].size

    def weights(self, when: Float[Tensor, " q"]) -> tuple[Int[Tensor, "q n"], Float[Tensor, "q n"]]:
        """Which steps a moment is computed from, and how much of each: Lagrange's cubic, weights of sum 1.

        Raises UserError for a moment before the first or after the last step, but for rounding.
        """
        times, number = torch.tensor(self.times, dtype=torch.float64), torch.arange(len(self.times))
        when = when.double()
        if self.period:
            when = times[0] + (when - times[0]).remainder(self.period)
            around = min(2, len(times))
            times = torch.cat([times[-around:] - self.period, times, times[:around] + self.period])
            number = torch.cat([number[-around:], number, number[:around]])
        slack = 1e-6 * (self.times[-1] - self.times[0] + 1)
        if when.numel() and (when.min() < times[0] - slack or when.max() > times[-1] + slack):
            raise UserError(f"times from {when.min():g} to {when.max():g}; the series has {times[0]:g} to {times[-1]:g}"
                            f" {self.time_units}")
        count = min(NODES, len(times))
        first = (torch.searchsorted(times, when.contiguous()) - count // 2).clamp(0, len(times) - count)
        at = first[:, None] + torch.arange(count)  # (q, n)
        nodes = times[at]
        apart = nodes[:, :, None] - nodes[:, None]  # (q, n, n)
        ratio = (when[:, None, None] - nodes[:, None]) / apart.masked_fill(apart == 0, 1)
        own = torch.eye(count, dtype=torch.bool)
        return number[at], ratio.masked_fill(own, 1.0).prod(-1)

    def at(self, field: Field, where: Float[Tensor, "q 2"], when: Float[Tensor, " q"]) -> Float[Tensor, "q c"]:
        """Physical values at (latitude, longitude) in degrees and times in `time_units`, any number of them."""
        steps, weights = self.weights(when)
        values = torch.zeros(len(where), len(self.steps[0].variables), dtype=torch.float64)
        for i, step in enumerate(self.steps):
            share = (weights * (steps == i)).sum(1)
            (k,) = share.nonzero(as_tuple=True)
            if len(k):
                one = step.at(Field(field.model, field.tokens[i], step), where[k])
                values[k] += share[k, None] * one.cpu().double()
        return values.float()

    def had_value(self, where: Float[Tensor, "q 2"], when: Float[Tensor, " q"]) -> Bool[Tensor, "q c"]:
        """Whether the cell of a place has a value in the step that counts most."""
        steps, weights = self.weights(when)
        nearest = steps.gather(1, weights.argmax(1, keepdim=True))[:, 0]
        valid = torch.zeros(len(where), len(self.steps[0].variables), dtype=torch.bool)
        for i in nearest.unique().tolist():
            valid[nearest == i] = self.steps[i].had_value(where[nearest == i])
        return valid

    def moment(self, t: Float[Tensor, " q"]) -> Float[Tensor, " q"]:
        """Coordinates in [-1, 1] -> times: linear between steps, and the end steps' beyond them."""
        times, n = torch.tensor(self.times, dtype=torch.float64), len(self.times)
        step = ((t.double() + 1) * n / 2 - 0.5).clamp(0, n - 1)
        lower = step.floor().long().clamp(max=max(0, n - 2))
        upper = (lower + 1).clamp(max=n - 1)
        return times[lower] + (step - lower) * (times[upper] - times[lower])

    # What every domain answers.

    def encode(self, model: FieldModel, picture: Tensor, progress: Progress | None = None) -> Tensor:
        raise UserError("a series is encoded step by step; use encode_series")

    def on_grid(self, model: FieldModel, tokens: Tensor, grid: Grid,
                progress: Progress | None = None) -> Float[Tensor, "c t h w"]:
        """Physical values on a grid of (t, y, x), moment by moment."""
        moments = []
        for count, t in enumerate(grid.axes[0], 1):
            plane = Grid(grid.axes[1:]).coords()
            points = torch.cat([t.to(plane).expand(len(plane), 1), plane], 1)
            moments.append(self.at_points(model, tokens, points).T.unflatten(1, grid.shape[1:]))
            if progress:
                progress(count, len(grid.axes[0]))
        return torch.stack(moments, 1)

    def at_points(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q 3"]) -> Float[Tensor, "q c"]:
        """Physical values at points (t, y, x)."""
        return self.at(Field(model, tokens, self), places(points[:, 1:].double()), self.moment(points[:, 0]))

    def labels(self, *size: int) -> Labels:
        """Variables with their units, times, latitudes and longitudes."""
        of_step = self.steps[0].labels(*size[1:])
        where = {"variable": of_step.places["variable"], "time": self.moment(centers(size[0])),
                 **{name: of_step.places[name] for name in ("latitude", "longitude")}}
        return Labels(("variable", "time", "latitude", "longitude"), where, of_step.units)

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        if tokens.ndim < 3 or len(tokens) != len(self.steps):
            raise UserError(f"tokens {tuple(tokens.shape)} of {len(self.steps)} steps; the first size must be theirs")
        for step, own in zip(self.steps, tokens, strict=True):
            step.check(model, own)

    def __str__(self) -> str:
        return f"{self.steps[0]}, {len(self.steps)} steps{', a year that closes' if self.period else ''}"


def encode_series(model: Model, samples: Sequence[GridSample], times: Sequence[float], *, time_units: str = "",
                  calendar: str = "standard", period: float = 0.0) -> Field:
    """Snapshots of one variable, or of several as channels, as one field of time, latitude and longitude."""
    fields = [encode_field(model, sample) for sample in samples]
    domain = GlobeSeries(tuple(map(globe_of, fields)), tuple(map(float, times)), time_units, calendar, period)
    return Field(fields[0].model, torch.stack([field.tokens for field in fields]), domain)
