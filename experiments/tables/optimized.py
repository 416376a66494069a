"""Figure 7 as a table: PSNR against seconds of test-time optimisation, beside MLPs from scratch.

A row is trained like the LAINR of Table 2 that it is (and shared with it); then the fields of the first held-out
pictures are optimised one after the other, each for the same seconds. What moves is the row. An MLP has the
width and the highest bandwidth of the decoder that it is compared with, and knows nothing before its first step.
"""

import json
import statistics
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from experiments.tables.measuring import describe_run
from experiments.tables.rows import Row, Table
from tokenfield.comparison import running
from tokenfield.comparison.running import Deadline, claim, keep
from tokenfield.comparison.setting import Setting
from tokenfield.evaluation.optimization_curves import MEANING, Curve
from tokenfield.fields.field import Field
from tokenfield.fields.optimization import MLP_RATES, Optimization, What, untrained
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.models.lainr import LainrConfig

RECIPE = "lainr-ffhq-1024"
"""The largest pictures of Table 2: of small ones, a decoder that may move holds every pixel in no time."""
PICTURES = 8
"""How many held-out pictures are optimised."""
SECONDS = {"miniature": 5.0, "photos": 30.0, "published": 30.0}
"""For how long, each: of the processor's time on a processor, on the wall on an accelerator."""
TIMES = [2.0 ** (-k / 3) for k in range(24, -1, -1)]
"""Shares of the seconds at which a curve is read."""
MLP_PIXELS = 4096
"""Most pixels per step of an MLP, as `tokenfield fit` takes."""
Mlp = Literal["ffnet", "siren"]
WAYS: tuple[What | Mlp, ...] = ("latents", "decoder", "all", "ffnet", "siren")


@dataclass(frozen=True)
class OptimizedRow(Row):
    """A way to come closer to a picture."""

    what: What | Mlp = "latents"
    """A key of `optimization_curves.MEANING`."""

    def run(self, scale: str, seed: int, setting: Setting, deadline: Deadline) -> Record | None:
        """Train the row's model, or read the run that another row made of it, and optimise its fields."""
        trained = running.run(self.at(scale, seed), setting, describe_run, deadline=deadline)
        if trained is None or trained["failure"]:
            return trained
        recipe, folder = setting.plan(self.at(scale, seed))
        path = folder / f"optimized-{self.what}.json"
        with claim(path):
            if path.exists():
                return json.loads(path.read_text())
            remaining = deadline()
            if remaining is not None and remaining <= 0:
                return None
            model = pretrained.load(folder).eval().to(setting.place)
            pictures = dict(islice(recipe.data.open(setting.data, "test").pictures(), PICTURES))
            curves = {name: self.optimize(model, picture, scale, seed) for name, picture in pictures.items()}
            some = next(iter(pictures.values()))
            return keep(path, trained | self.measured(curves, some.numel(), SECONDS[scale]))

    def optimize(self, model: FieldModel, picture: Float[Tensor, "c h w"], scale: str, seed: int) -> Curve:
        """The course of one picture."""
        device = next(model.parameters()).device
        timer = time.process_time if device.type == "cpu" else time.monotonic
        options: dict[str, Any] = {"seed": seed, "timer": timer}
        picture = picture.to(device)
        height, width = picture.shape[1:]
        if self.what == "ffnet" or self.what == "siren":
            sizes = like(model.config)
            begin, took = untrained(self.what, (height, width), seed=seed, device=device, **sizes), 0.0
            pixels = MLP_PIXELS if height * width > MLP_PIXELS else None
            fitting = Optimization(begin, picture, rates={"latents": MLP_RATES[self.what]}, pixels=pixels, **options)
        else:
            Field.of(model, picture)  # the first call warms the machine up
            begun = timer()
            begin, took = Field.of(model, picture), timer() - begun
            fitting = Optimization(begin, picture, self.what, **options)
        points = tuple(fitting.run(seconds=SECONDS[scale]))
        return Curve(self.what, points, fitting.best_psnr, fitting.values, took)

    def measured(self, curves: dict[str, Curve], pixel_values: int, seconds: float) -> Record:
        """What of a result the optimisation decides; the rest is that of the trained model."""
        results = list(curves.values())
        times = [seconds * share for share in TIMES if seconds * share >= max(c.head_start for c in results)]
        means = [(at, statistics.fmean(psnr_after(c, at) for c in results)) for at in times]
        own = {"macs_per_pixel": {"encode": None, "decode": None}, "parameters": results[0].values}
        return (own if self.what in MLP_RATES else {}) | {
            "system": self.what,
            "psnr": statistics.fmean(c.best_psnr for c in results),
            "start_psnr": statistics.fmean(c.points[0].psnr for c in results),
            "pictures": {name: round(c.best_psnr, 3) for name, c in curves.items()},
            "values_stored": results[0].values,
            "values_per_pixel_value": results[0].values / pixel_values,
            "locality": None,
            "curve": [{"seconds": round(at, 4), "psnr": round(psnr, 4)} for at, psnr in means],
            "steps": round(statistics.fmean(c.points[-1].step for c in results)),
            "seconds": statistics.fmean(c.points[-1].seconds for c in results),
            "peak_memory": None,
        }


def psnr_after(curve: Curve, seconds: float) -> float:
    """The best PSNR within so many seconds; NaN before the first point."""
    reached = [p.psnr for p in curve.points if curve.head_start + p.seconds <= seconds]
    return max(reached, default=float("nan"))


def like(decoder: LainrConfig) -> dict[str, Any]:
    """Width, features and bandwidth of an MLP beside a decoder."""
    return {"dim": decoder.dim, "feature_dim": decoder.feature_dim, "sigma": decoder.sigmas[0]}


def figure_7_table() -> Table:
    """Figure 7."""
    return Table(
        "Test-time optimisation",
        tuple(OptimizedRow(MEANING[what], RECIPE, extra=what == "siren", what=what) for what in WAYS),
        "Figure 7, a picture without numbers",
        figure="optimized",
        expected="ahead of an FFNet all along; more from fine-tuning the decoder than from moving the latents",
        measured_on=f"the first {PICTURES} held-out pictures, all pixels at their centres, unclamped; best so far, the "
        f"seconds of encoding included; {SECONDS['miniature']:g} processor seconds a picture in miniature, 30 seconds "
        "elsewhere. Parameters, and values stored, of an MLP: its own; steps and seconds: of the optimisation",
    )
