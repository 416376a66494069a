"""Turn a finished run on posed views into packaged weights: card, scores of held-out objects, who made what it saw.

    python -m experiments.release.package_views runs/views-lamps --data build/objects --machine "..."

The stored weights are what is measured: they are read back first. Beside the model stand two answers that take none,
white and the nearest support view, from the same support views and on the same targets.
"""

import json
import shutil
import statistics
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro

from tokenfield.cli.options import load_model
from tokenfield.evaluation.tables import markdown, number
from tokenfield.io.atomic import write_whole
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.training import journal
from tokenfield.training.recipe import read
from tokenfield.views.data import ViewsConfig, ViewSet
from tokenfield.views.models.base import ViewsModel, views_model
from tokenfield.views.objective import held_out_views
from tokenfield.views.rays import RADIUS
from tokenfield.views.scores import Fitting, score_objects

MIB, MOST, TARGETS, FITTING = 2**20, 5, 8, 40
OTHERS = ("optimized", "nearest", "white")
"""What stands beside the model's PSNR."""
SOURCES = "sources.tsv"
"""Beside the weights: every object that was trained on or held out, its licence and who made it."""
CARD = """\
# {name}

Lamps, chairs and other furniture as light fields: a few posed pictures of 64 x 64 pixels in, a view from any side out.

    tokenfield views orbit {name} --data OBJECT --support 3 --optimize {fitting} -o orbit

- **System**: {system}, {parameters:,} trained numbers, {size:.1f} MiB of float16 weights.
- **Values stored**: {tokens} tokens of {width} for an object.
- **Input**: 1 to {views} square pictures on white with their cameras; {fewest} to {support} in training.
- **Rays**: by direction and nearest point to the middle, where the paper has Plucker coordinates (`model.line foot`).
- **Training objects**: {train}, rendered by `{pool}`; split by object;
  `{sources}` names the package, licence (CC0, CC-BY) and author of each.
- **Command**: `tokenfield train {recipe} --data build/objects --out runs/{name}`; seed {seed}; `recipe.json`.
- **Steps**: {steps:,} of {batch} objects and {asked} views of each, {seconds:,.0f} s of training{ended}.
- **Machine**: {machine}.

Held-out objects, the papers' PSNR in dB, mean over {targets} views from the sixth on and over objects. *Optimized*:
after {fitting} steps of test-time optimisation of the tokens on the support views (`--optimize {fitting}`), a number
chosen with the lamps in view. *White* is an empty picture, *nearest* the support view whose camera is nearest.

{summary}

With three support views:

{objects}

Rendered objects of one size, whole, alone, on white, in soft light, seen from {distance:g} units away and from above:
other pictures come back badly.{chosen}

Licence: Apache-2.0, as the project; the objects' own are in `{sources}`.
"""


@dataclass(frozen=True)
class Options:
    """What to package and what to say of it."""

    run: tyro.conf.Positional[Path]
    """Folder of a run."""
    data: Path
    """The objects, as experiments/pools/objects.py makes them."""
    machine: str
    """Where it was trained, in words."""
    chosen: str = ""
    """What was chosen while looking at held-out objects, in words; begins with a space."""
    name: str = "views-lamps"
    """What `tokenfield.load` will know it by."""
    out: Path = Path("tokenfield/models/weights")
    """Folder of packaged weights."""


def without_model(views: ViewSet, number: int) -> dict[str, float]:
    """PSNR of white, and of the support view whose camera is nearest to the target's."""
    support, targets = held_out_views(views, number, MOST, TARGETS)
    truth, places = views.images[targets], views.poses[:, :3, 3]
    nearest = torch.cdist(places[targets], places[support]).argmin(1)
    return {"white": psnr(torch.ones_like(truth), truth).mean().item(),
            "nearest": psnr(views.images[support][nearest], truth).mean().item()}  # fmt: skip


def measure(model: ViewsModel, config: ViewsConfig, data: Path) -> list[dict[str, Any]]:
    """Scores of every held-out object by number of support views; `optimized`: PSNR from three after optimisation."""
    objects = list(ViewsConfig(category=config.category, size=config.size, support=MOST, first_views=0)
                   .open(data, "test").objects())  # fmt: skip
    score = partial(score_objects, model, objects, targets=TARGETS, reserved=MOST)
    fitted = {one.name: one.psnr for one in score([3], fitting=Fitting(FITTING))}
    by_name = {views.name: views for views in objects}
    return [asdict(one) | without_model(by_name[one.name], one.support) | {
        "optimized": fitted[one.name] if one.support == 3 else None} for one in score(model.support_numbers(MOST))]


def tables(scores: list[dict[str, Any]]) -> tuple[str, str]:
    """Means of categories by number of views, and every object with three."""
    lines = [["", "support views", "objects", "PSNR", "SSIM", "optimized", "nearest", "white"]]
    for category in sorted({score["name"].split("/")[0] for score in scores}, reverse=True):
        for count in sorted({score["support"] for score in scores}):
            group = [s for s in scores if s["support"] == count and s["name"].startswith(category)]
            mean = {key: statistics.fmean(s[key] for s in group) if group[0][key] is not None else None
                    for key in ("psnr", "ssim", *OTHERS)}  # fmt: skip
            lines.append([category, str(count), str(len(group)), number(mean["psnr"]), number(mean["ssim"], 3),
                          *("" if mean[key] is None else number(mean[key]) for key in OTHERS)])
    objects = [[s["name"], *(number(s[key]) for key in ("psnr", *OTHERS))] for s in scores if s["support"] == 3]
    return markdown(lines), markdown([["object", "PSNR", *OTHERS], *objects])


def sources(data: Path, categories: list[str]) -> str:
    """The pool's lists of licences as one."""
    lists = [(data / f"{category}_licenses.tsv").read_text().splitlines() for category in categories]
    return "\n".join([f"category\t{lists[0][0]}", *(f"{category}\t{line}" for category, lines
                     in zip(categories, lists, strict=True) for line in lines[1:])]) + "\n"  # fmt: skip


def main(options: Options) -> None:
    """Save, read back, measure, describe."""
    recipe, lines = read(options.run / "recipe.json"), journal.read(options.run / journal.METRICS)
    last = [line for line in lines if "seconds" in line][-1]
    folder = pretrained.save(load_model(str(options.run), "cpu"), options.out / options.name, dtype=torch.float16)
    model = views_model(pretrained.load(folder))
    categories = sorted(path.name.removesuffix("_splits.json") for path in options.data.glob("*_splits.json"))
    split = {name: json.loads((options.data / f"{name}_splits.json").read_text())["train"] for name in categories}
    scores = measure(model, recipe.data, options.data)
    summary, objects = tables(scores)
    sizes = model.config.lainr
    card = CARD.format(
        name=options.name, system=model.name, parameters=model.num_parameters,
        size=(folder / pretrained.WEIGHTS).stat().st_size / MIB, tokens=sizes.num_latents, width=sizes.latent_dim,
        views=model.views, fewest=recipe.data.fewest or recipe.data.support, support=recipe.data.support,
        train=", ".join(f"{len(split[name])} {name}" for name in categories), pool="experiments/pools/objects.py",
        sources=SOURCES, recipe=recipe.name, seed=recipe.seed, steps=last["step"], batch=recipe.batch_size,
        seconds=last["seconds"], asked=recipe.data.targets + recipe.data.again,
        ended=f"; stopped there, of {recipe.steps:,} planned" if last["step"] < recipe.steps else "",
        machine=options.machine, summary=summary, objects=objects, distance=RADIUS, targets=TARGETS, fitting=FITTING,
        chosen=options.chosen,
    )  # fmt: skip
    report = {"objects": scores, "hash": pretrained.model_hash(model)}
    pretrained.save(model, folder, dtype=torch.float16, card=card, evaluation=report)
    shutil.copy(options.run / "recipe.json", folder)
    write_whole(folder / SOURCES, sources(options.data, categories))
    print(card)


if __name__ == "__main__":
    main(tyro.cli(Options))
