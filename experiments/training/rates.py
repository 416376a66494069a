"""Which optimiser and rate every system of the tables learns fastest with: the sweep behind `miniature.OPTIMISERS`.

    python -m experiments.training.rates --data build/photos          # results/rates.json and a table

A rival is to be as good as it can be, so every system is tried with Muon and with Adam at several rates, from the
start that it has in the tables, for two hundred steps under the tables' schedule and on their crops. What decides is
PSNR on training crops, averaged over the last fifth of the steps: the held-out pictures of the tables have no say. A
dash: not tried, or diverged.
"""

import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from experiments.miniature import MUON
from experiments.tables.tables import TABLES
from tokenfield.evaluation.tables import markdown, number
from tokenfield.io.record import Record
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe, model_name
from tokenfield.training.session import Diverged, Session
from tokenfield.training.trainer import train

ADAM = OptimConfig(name="adam", rate=1e-3, betas=(0.9, 0.99), schedule="cosine", warmup=20)
TRIED = {
    **{f"Muon {rate:g}": replace(MUON, muon_rate=rate) for rate in (0.005, 0.01, 0.02)},
    **{f"Adam {rate:g}": replace(ADAM, rate=rate) for rate in (3e-4, 1e-3, 3e-3)},
}
META = ("functa", "spatial-functa", "learned-init")
"""Systems that learn through steps of gradient descent: Muon is not tried, and Adam at a lower rate as well."""
SEED = 100
"""Not one of the tables'."""


@dataclass(frozen=True)
class Options:
    """On which pictures, for how long."""

    data: Path
    """Folder of photographs, with train and test sub-folders."""
    out: Path = Path("results/rates.json")
    """Where the PSNR of every system and optimiser goes."""
    runs: Path = Path("runs/rates")
    """Where the runs themselves go; a stopped sweep goes on where it was."""
    steps: int = 200
    """Of every run."""


def systems() -> dict[str, Recipe]:
    """The first row of Tables 1 and 3 of every system, by the system's name."""
    recipes: dict[str, Recipe] = {}
    for table in ("1", "3"):
        for row in TABLES[table].rows:
            recipe = row.at("miniature", SEED)
            recipes.setdefault(model_name(recipe.model), recipe)
    order = ("ipc", "lainr", "lainr-composed", "trans-inr", "anr", "lainr-localized", *META)
    return {name: recipes[name] for name in order}


def reached(recipe: Recipe, data: Path, run: Path) -> float | None:
    """PSNR on training crops over the last fifth of the steps; None where the run diverged."""
    if not (run / "model.safetensors").exists():
        try:
            train(recipe, data, run, resume=(run / "recipe.json").exists(), session=Session(quiet=True))
        except Diverged:
            return None
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return statistics.fmean(line["psnr"] for line in lines if line["step"] > 0.8 * recipe.steps and "psnr" in line)


def main(options: Options) -> None:
    """Run what is missing and print the table."""
    results: Record = {}
    for system, recipe in systems().items():
        results[system] = {}
        for label, optim in TRIED.items():
            if (optim.name == "muon" and system in META) or (label == "Adam 0.0003" and system not in META):
                continue
            tried = replace(recipe, optim=optim, steps=options.steps, evaluate_every=0, checkpoint_every=options.steps)
            run = options.runs / f"{system} {label}".replace(" ", "-")
            results[system][label] = reached(tried, options.data, run)
            print(system, label, results[system][label], flush=True)
    options.out.write_text(json.dumps({"steps": options.steps, "seed": SEED, "psnr": results}, indent=1) + "\n")
    cells = [[system, *(number(row.get(label)) for label in TRIED)] for system, row in results.items()]
    print(markdown([["system", *TRIED], *cells]))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__.split("\n\n")[0]))
