"""PSNR against seconds of test-time optimisation on held-out photographs: Fig. 7, and refinement from scratch.

    python -m experiments.fields.optimization_curves --seconds 10 --out results/optimize

Per picture, one after the other on the same machine: the latents, the decoder, and both, from the field that the model
predicts; the latents from zero; an FFNet and a SIREN from scratch. Each gets the same seconds of optimisation, counted
as processor time of one thread, since other work shares the processors; measuring PSNR does not count. Curves that the
picture's JSON has already are left out: a killed script goes on where it was.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import torch
import tyro

import tokenfield as tf
from tokenfield.cli.console import write_json
from tokenfield.cli.fit import watch
from tokenfield.cli.optimize import competitor
from tokenfield.data.demo_pictures import held_out
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.optimization_curves import MEANING, Curve, draw
from tokenfield.fields.field import Field
from tokenfield.fields.optimization import MLP_RATES, RATES, SCRATCH_RATE, Optimization, Point, What

RIVALS = ("scratch", "ffnet", "siren")
"""What starts without the prediction."""


@dataclass(frozen=True)
class Options:
    """Which pictures, and for how long."""

    out: Path = Path("results/optimize")
    """Where a JSON and a PNG file per picture go."""
    pictures: tuple[str, ...] = ("astronaut", "coffee")
    """Names of held-out photographs of scikit-image."""
    size: int = 128
    """Side of their centre crops."""
    seconds: float = 10.0
    """Of optimisation, per curve."""
    model: str = "photos-s"
    """Where the fields come from."""
    seed: int = 0
    """Of the MLPs' weights and of their pixels."""
    only: tuple[str, ...] = tuple(MEANING)
    """Curves to measure now; the figure shows those that there are."""


def fittings(name: str, options: Options) -> dict[str, Callable[[], tuple[Optimization, float]]]:
    """By name of the curve: what makes its optimisation, and the seconds that the prediction before it took."""
    model, picture = tf.load(options.model), held_out(name, size=options.size)

    def predicted(what: What) -> tuple[Optimization, float]:
        Field.of(model, picture)  # the first call also warms the machine up
        begun = process_time()
        field = Field.of(model, picture)
        took = process_time() - begun
        return Optimization(field, picture, what, timer=process_time), took

    def rival(what: str) -> tuple[Optimization, float]:
        return competitor(what, Field.of(model, picture), picture, None, options.seed, timer=process_time), 0.0

    names = {"latents": predicted, "decoder": predicted, "all": predicted, **dict.fromkeys(RIVALS, rival)}
    return {what: partial(make, what) for what, make in names.items()}


def optimize_picture(name: str, options: Options) -> dict[str, Any]:
    """All curves of one picture, written as they come."""
    path = options.out / f"{name}.json"
    report = json.loads(path.read_text()) if path.exists() else {
        "picture": name, "size": options.size, "seconds": options.seconds, "model": options.model,
        "seed": options.seed, "rates": {**RATES, "scratch": SCRATCH_RATE, **MLP_RATES}, "curves": [],
        "timer": "processor time of one thread", "machine": machine(), "versions": versions(),
    }
    finished = {curve["name"] for curve in report["curves"]}
    for what, make in fittings(name, options).items():
        if what in options.only and what not in finished:
            fitting, took = make()
            curve, _ = watch(fitting, what, seconds=options.seconds, steps=None, head_start=took)
            report["curves"].append(curve.to_json())
            write_json(path, "optimization curves", report)
    return report


def curve_of(plain: dict[str, Any]) -> Curve:
    """What `Curve.to_json` wrote, to its digits."""
    points = tuple(Point(**point) for point in plain["points"])
    return Curve(plain["name"], points, plain["best_psnr"], plain["values"], plain["head_start_seconds"])


def main(options: Options) -> None:
    """Optimise, write, draw, print."""
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    reports = [optimize_picture(name, options) for name in options.pictures]
    for report in reports:
        curves = [curve_of(plain) for plain in report["curves"]]
        title = f"{report['picture']}, {report['size']} x {report['size']} pixels"
        draw(curves, options.out / f"{report['picture']}.png", title=title)
    print("| | " + " | ".join(options.pictures) + " | steps | values |")
    for row in zip(*(report["curves"] for report in reports), strict=True):
        cells = (f"{curve['start_psnr']:.2f} -> {curve['best_psnr']:.2f}" for curve in row)
        steps = ", ".join(str(curve["steps"]) for curve in row)
        print(f"| {MEANING[row[0]['name']]} | {' | '.join(cells)} | {steps} | {row[0]['values']} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
