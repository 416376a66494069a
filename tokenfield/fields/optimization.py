"""Test-time optimisation: what a field still gains when it is fitted to its own picture (LAINR 4.5, Fig. 7).

    field = Field.of(model, picture)
    fitting = Optimization(field, picture, "latents")
    for point in fitting.run(seconds=30):
        print(point.seconds, point.psnr)
    fitting.best.save("picture.field")

What moves is the latents, the decoder's parameters (of a copy of the model that is this picture's own from then on), or
both. An MLP fitted to one picture from scratch, FFNet or SIREN, is the same thing: a field whose latents are all its
weights, started where it starts (`untrained`). So all curves of a comparison come from one loop and one clock.

By default a step descends along the exact gradient over all pixels, block by block in bounded memory, and its error is
that of the field before it: PSNR costs nothing. With `pixels` a step takes so many of them, random rows times random
columns, and PSNR is measured now and then with the clock stopped. The best field counts, whatever comes after it.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Grid, centers
from tokenfield.data.arrays import check_picture
from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain
from tokenfield.fields.domains import domain_of
from tokenfield.fields.field import Field
from tokenfield.io.clock import Stopwatch, Timer, seconds
from tokenfield.io.record import Record
from tokenfield.metrics import decibels
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.models.coordinate_mlp import CoordinateMlpConfig
from tokenfield.nn.defaults import gradients, recordable

What = Literal["latents", "decoder", "all"]
BLOCK_POINTS = 1 << 16
"""Pixels that are decoded and differentiated at once: some hundred MB of activations."""
MEASUREMENTS = 24
"""How often PSNR is measured where steps do not measure it themselves."""
RATES = {"latents": 3e-2, "decoder": 3e-3}
"""Adam's rates at the start of the cosine. Latents have about unit variance."""
SCRATCH_RATE = 0.5
"""The same for latents that start at zero and have a long way to go."""
MLP_RATES = {"ffnet": 1e-3, "siren": 3e-4}
"""The same for MLPs, whose latents are weights; SIREN's authors take 1e-4 for longer runs."""
MEASURED_PIXELS = 1 << 20
"""Most pixels that `Optimization.error` looks at: rows and columns evenly spread over larger pictures."""


@dataclass(frozen=True)
class Point:
    """A point of a curve: steps and seconds of optimisation so far, and the field's PSNR in dB by the papers' protocol.

    Measuring takes no seconds; it is over the whole picture, unless that is large and `pixels` was given.
    """

    step: int
    seconds: float
    psnr: float


@dataclass(frozen=True)
class Target:
    """Pixels of a picture, and where they lie: in float64, as in `Field`."""

    picture: Float[Tensor, "c h w"]
    grid: Grid

    @classmethod
    def of(cls, picture: Float[Tensor, "c h w"]) -> "Target":
        """All pixels of a picture, at their centres."""
        return cls(picture, Grid(tuple(centers(n, dtype=torch.float64) for n in picture.shape[1:])))

    def take(self, rows: Tensor | slice, columns: Tensor | slice) -> "Target":
        """The pixels of some rows times some columns."""
        y, x = self.grid.axes
        return Target(self.picture[:, rows][:, :, columns], Grid((y[rows], x[columns])))

    def blocks(self) -> Iterator[tuple[Grid, Float[Tensor, "c _h _w"]]]:
        """All pixels, as blocks of at most `BLOCK_POINTS`."""
        for (rows, columns), block in self.grid.tiles(BLOCK_POINTS):
            yield block, self.picture[:, rows, columns]

    def thinned(self, pixels: int) -> "Target":
        """Evenly spread rows and columns, about so many pixels; the whole picture if it has no more."""
        every = slice(None, None, math.ceil((len(self.grid) / pixels) ** 0.5))
        return self.take(every, every)

    def draw(self, pixels: int, seed: int, step: int) -> "Target":
        """About so many pixels, random rows times random columns: a function of (seed, step)."""
        generator = torch.Generator().manual_seed((seed << 32) + step)
        share = min(1.0, (pixels / len(self.grid)) ** 0.5)
        rows, columns = (torch.randperm(n, generator=generator)[: max(1, round(n * share))].sort().values
                         for n in self.grid.shape)
        return self.take(rows, columns)


class Optimization:
    """A field on its way to its picture.

    Args:
        field: where to start; neither it nor its model is changed.
        picture: (C, H, W) in [0, 1] of the field's native size.
        rates: Adam's rates of latents and of the decoder, at the start; they fall to zero as a cosine.
        pixels: per step, drawn by `seed`; None takes the exact gradient over all of them.
        timer: seconds so far; by default of the wall clock, or `time.process_time` on a machine that others use too.
    Attributes:
        values: numbers that are this picture's own: latents, and the decoder's parameters if they move.
        best_psnr: dB, of `best`.
    Raises:
        UserError: a picture of another size, or a decoder without parameters.
    """

    @gradients()
    def __init__(self, field: Field, picture: Tensor, what: What = "latents", *, rates: dict[str, float] | None = None,
                 pixels: int | None = None, seed: int = 0, timer: Timer | None = None):
        picture = recordable(check_picture(picture, field.model.channels))
        if tuple(picture.shape[1:]) != tuple(field.native_size):
            raise UserError(f"a field of {field.native_size} pixels and a picture of {tuple(picture.shape[1:])}")
        if pixels is not None and pixels < 1:
            raise UserError(f"{pixels} pixels per step; give at least 1")
        self.timer = timer or partial(seconds, field.tokens.device)
        self.target, self.pixels, self.seed = Target.of(picture), pixels, seed
        self.measured = self.target.thinned(MEASURED_PIXELS)
        self.tokens = field.tokens.detach().clone()
        model, rates = field.model, RATES | (rates or {})
        groups: list[Record] = []
        if what != "latents":
            model = copy.deepcopy(field.model).requires_grad_()
            model.origin = None  # it is no longer what a name or a folder holds
            groups.append({"params": decoder_parameters(model, self.tokens, field.domain), "lr": rates["decoder"]})
        if what != "decoder":
            groups.append({"params": [self.tokens.requires_grad_()], "lr": rates["latents"]})
        self.field = replace(field, model=model, tokens=self.tokens)
        self.moving: list[Tensor] = [p for group in groups for p in group["params"]]
        self.rates = [group["lr"] for group in groups]
        own = sum(p.numel() for p in groups[0]["params"]) if what != "latents" else 0
        self.values = field.values_stored + own
        self.optimizer = torch.optim.Adam(groups)
        self.best_psnr, self._best = -math.inf, [p.detach().clone() for p in self.moving]

    @property
    def best(self) -> Field:
        """The best field so far. Ask at the end: what moved is set back to it."""
        with torch.no_grad():
            for p, value in zip(self.moving, self._best, strict=True):
                p.copy_(value)
        return replace(self.field, tokens=self.tokens.detach().clone())

    def run(self, *, seconds: float | None = None, steps: int | None = None) -> Iterator[Point]:
        """Optimise until the seconds or the steps are spent, whichever comes first; the rates fall to zero with them.

        Yields the point before every step, or with `pixels` before some, and the one after the last. Raises UserError
        if neither budget is given, or for an error that is no longer finite.
        """
        if (seconds is None and steps is None) or min(seconds or 0, steps or 0) < 0:
            raise UserError(f"{seconds} seconds and {steps} steps of optimisation; give one of them, at least 0")
        clock, step, measured = Stopwatch(self.timer), 0, -math.inf
        while (progress := share_of(clock.seconds, seconds, step, steps)) < 1:
            before = clock.seconds
            if self.pixels is None:
                with clock:
                    error = self._gradient(self.target)
                yield self._point(step, before, error)
            else:
                if progress - measured >= 1 / MEASUREMENTS:
                    measured = progress
                    yield self._point(step, before, self.error())
                with clock:
                    self._gradient(self.target.draw(self.pixels, self.seed, step))
            with clock:
                self._move(progress)
            step += 1
        yield self._point(step, clock.seconds, self.error())

    @torch.no_grad()
    def error(self) -> float:
        """Mean squared error, over all pixels or `MEASURED_PIXELS` of them."""
        total = sum(self._squared(block, target).item() for block, target in self.measured.blocks())
        return total / self.measured.picture.numel()

    @gradients()
    def _gradient(self, target: Target) -> float:
        """The gradient of the mean squared error over the pixels, and that error."""
        self.optimizer.zero_grad()
        error = 0.0
        for block, values in target.blocks():
            part = self._squared(block, values) / target.picture.numel()
            part.backward(inputs=self.moving)  # and into nothing else: the model may be shared
            error += part.item()
        return error

    def _squared(self, block: Grid, target: Tensor) -> Tensor:
        """Squared errors of a block, summed."""
        values = self.field.domain.on_grid(self.field.model, self.tokens, block)
        return (values - target.to(values)).square().sum()

    @gradients()
    def _move(self, progress: float) -> None:
        """A step of Adam, at rates that fall to zero as a cosine."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * progress))
        self.optimizer.step()

    def _point(self, step: int, seconds: float, error: float) -> Point:
        """The point of the present state, which is remembered if it is the best."""
        if not math.isfinite(error):
            raise UserError(f"the error is {error} after {step} steps of optimisation; lower the rate")
        psnr = decibels(error)
        if psnr > self.best_psnr:
            self.best_psnr, self._best = psnr, [p.detach().clone() for p in self.moving]
        return Point(step, seconds, psnr)


def share_of(elapsed: float, seconds: float | None, step: int, steps: int | None) -> float:
    """How much of the budget is spent: of its seconds or of its steps, whichever is more. 1 ends it."""
    of_time = 0.0 if seconds is None else elapsed / seconds if seconds else 1.0
    of_steps = 0.0 if steps is None else step / steps if steps else 1.0
    return max(of_time, of_steps)


def decoder_parameters(model: FieldModel, tokens: Tensor, domain: Domain) -> list[Tensor]:
    """The parameters that a decoded value depends on, in the model's order. Raises UserError if there are none."""
    corner = Grid(tuple(torch.full((1,), -1.0, dtype=torch.float64) for _ in range(2)))
    parameters = list(model.parameters())
    value = domain.on_grid(model, tokens.detach(), corner).sum()
    if not value.requires_grad:
        raise UserError(f"the {model.name} has no decoder of its own to optimise: its tokens are all there is")
    reached = torch.autograd.grad(value, parameters, allow_unused=True)
    return [p for p, gradient in zip(parameters, reached, strict=True) if gradient is not None]


def untrained(kind: Literal["ffnet", "siren"], size: tuple[int, int], *, seed: int = 0,
              device: str | torch.device | None = None, **sizes: object) -> Field:
    """An untrained FFNet or SIREN as the field of a picture of (height, width): where a fit begins.

    `seed` is of its weights; `sizes` are other fields of `CoordinateMlpConfig`.
    """
    if min(size) < 4:
        raise UserError(f"a picture of {size[0]} x {size[1]} pixels is too small to fit an MLP to; give at least 4 x 4")
    fields: Record = {"kind": kind, "size": size, "rate": MLP_RATES[kind]} | sizes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CoordinateMlpConfig(**fields).build().to(device)
    return Field(model, model.start(1).detach().view(1, 1, *model.start(1).shape[1:]), domain_of(model, size))


def scratch(field: Field) -> Field:
    """The field with tokens of zero, which is their mean over the training pictures for anchored models."""
    return replace(field, tokens=torch.zeros_like(field.tokens))


def save_with_model(field: Field, folder: Path, name: str) -> Path:
    """Writes a field together with its model, where that is the picture's own, into a new folder, a model's folder.

    Returns the `.field` file in it, called `name` and an ending, which names the folder and the model's hash.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already; name a new folder")
    pretrained.save(field.model, folder)
    field.model.origin = str(folder)
    field.save(folder / f"{name}.field")
    return folder / f"{name}.field"
