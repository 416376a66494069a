"""Held-out PSNR against seconds for several recipes on the same pictures: the reference curves of docs/log.md.

    python -m experiments.training.learning_curves --data POOL --seconds 300 --out results/learning-curves

Every recipe gets the same seconds of training. Its schedule ends with them: a few steps are timed first, and `steps` is
what fits. Evaluations do not count. A curve is a run of the training loop like any other, so a killed script goes on
where it was. Written: one JSON (every evaluation of every run) and one PNG.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

import experiments.recipes  # noqa: F401 - their names
from tokenfield.evaluation.environment import versions
from tokenfield.io.charts import COLOURS, plot
from tokenfield.registry import RECIPES
from tokenfield.training.recipe import Recipe
from tokenfield.training.session import Session
from tokenfield.training.trainer import train

TIMED = 20
"""Steps that are timed to find out how many fit into the seconds."""


@dataclass(frozen=True)
class Options:
    """Which recipes, for how long, on which pictures."""

    data: Path
    """Folder of photographs, with train and test sub-folders."""
    out: Path = Path("results/learning-curves")
    """Where the JSON and the figure go."""
    runs: Path = Path("runs/learning-curves")
    """Where the runs themselves go."""
    seconds: float = 300
    """Training time per recipe."""
    evaluations: int = 12
    """Points per curve."""
    recipes: tuple[str, ...] = (
        "lainr-photos-64",
        "lainr-photos-64-muon",
        "anchored-photos-64-random",
        "anchored-photos-64",
    )
    """Names of recipes."""


def lines(run: Path) -> list[dict]:
    """The metrics of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def timed(recipe: Recipe, options: Options) -> Recipe:
    """The recipe with as many steps as fit into the seconds, by the median rate of a short run."""
    trial = options.runs / f"{recipe.name}-timing"
    if not (trial / "recipe.json").exists():
        short = replace(recipe, steps=TIMED, log_every=1, evaluate_every=0, checkpoint_every=TIMED)
        train(short, options.data, trial, session=Session(quiet=True))
    rates = sorted(line["images_per_second"] for line in lines(trial)[2:])
    steps = max(options.evaluations, int(options.seconds * rates[len(rates) // 2] / recipe.batch_size))
    every = max(1, steps // options.evaluations)
    return replace(recipe, steps=steps, evaluate_every=every, checkpoint_every=every)


def curve(name: str, options: Options) -> dict:
    """Train one recipe, or finish it, and return its evaluations."""
    run = options.runs / name
    if (run / "recipe.json").exists():
        train(None, options.data, run, resume=True)
    else:
        train(timed(RECIPES[name](), options), options.data, run)
    recorded = lines(run)
    seconds = {line["step"]: line["seconds"] for line in recorded if "seconds" in line}
    points = []
    for line in recorded:
        if "evaluation_psnr" in line and (before := [s for s in seconds if s <= line["step"]]):
            points.append({"step": line["step"], "seconds": seconds[max(before)], "psnr": line["evaluation_psnr"]})
    return {"recipe": name, "seed": RECIPES[name]().seed, "steps": recorded[-1]["step"], "points": points}


def draw(curves: list[dict], path: Path) -> None:
    """One line per recipe."""
    title = "Held-out PSNR of 64-pixel crops, dB"
    with plot(path, title=title, xlabel="seconds of training, two cores", size=(10.5, 4.6)) as axes:
        for number, data in enumerate(curves):
            x, y = zip(*((point["seconds"], point["psnr"]) for point in data["points"]), strict=True)
            axes.plot(x, y, marker="o", markersize=3, color=COLOURS[number % len(COLOURS)],
                      label=f"{data['recipe']}: {y[-1]:.2f} dB")


def main(options: Options) -> None:
    """Train, write, draw."""
    options.out.mkdir(parents=True, exist_ok=True)
    curves = [curve(name, options) for name in options.recipes]
    report = {"seconds": options.seconds, "curves": curves, "versions": versions()}
    (options.out / "curves.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(curves, options.out / "curves.png")
    for data in curves:
        print(f"{data['recipe']:28} {data['steps']:6} steps  {data['points'][-1]['psnr']:.2f} dB")


if __name__ == "__main__":
    main(tyro.cli(Options))
