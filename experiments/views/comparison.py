"""LAINR's light field beside IPC's radiance field on rendered objects: PSNR by number of views, cost, locality.

    python -m experiments.pools.objects build/objects --size 64 --views 30 --categories chairs lamps
    python -m experiments.views.comparison --data build/objects --seconds 100

Every run gets the same processor seconds of training, which other work on the machine does not change: a few steps are
timed first, and `steps` is what fits. A run that is there
is not made again, and a run that was stopped goes on, so a killed script goes on where it was. Objects of testing are
never trained on; the same views of them, from the sixth on, are targets of all models. Several of these scripts may
share the work (a killed one leaves RUN.claim, an empty folder to be removed). After every piece of it the results are
written anew: comparison.json, .md and .png (Fig. 4(a) of LAINR), views-*.png, locality.png (its Fig. 5, over rays).
"""

import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks.measure import in_own_process, peak_memory
from experiments import recipes
from tokenfield.evaluation.environment import versions
from tokenfield.evaluation.figures import Panel, heat, repeat, save_png, sheet
from tokenfield.evaluation.tables import aligned, number
from tokenfield.fields.locality import influences
from tokenfield.io.atomic import write_whole, written_aside
from tokenfield.io.record import json_text
from tokenfield.models import pretrained
from tokenfield.training.journal import read
from tokenfield.training.recipe import Recipe, fresh_model
from tokenfield.training.session import Session
from tokenfield.training.trainer import train
from tokenfield.views import recipes as views
from tokenfield.views.data import ViewSet, ViewsSource
from tokenfield.views.light_field import move_camera, render_from
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.models.radiance import IpcRadianceConfig
from tokenfield.views.radiance_field import Integral
from tokenfield.views.scores import comparison, field_of_views, figure_4a, score_objects

TIMED, MOST = 12, 5
SHOWN = [6, 9, 14, 18, 22]
"""Views that the figures show."""
SYSTEMS: dict[str, Callable[[], Recipe]] = {
    "LAINR": views.views_lainr_64,
    "IPC": views.views_ipc_64,
    "w/o STA": recipes.views_lainr_64_composed,
    "w/o multiFM": recipes.views_lainr_64_plain,
    "w/o both": recipes.views_lainr_64_ipc,
}
RUNS = (
    ("LAINR", 1), ("IPC", 1), ("LAINR", 5), ("IPC", 5), ("LAINR", 3), ("IPC", 3), ("w/o STA", 3), ("w/o multiFM", 3),
    ("w/o both", 3), ("LAINR", 2), ("IPC", 2), ("LAINR", 4), ("IPC", 4), ("LAINR", 0),
)  # fmt: skip
"""System and number of support views; 0: any number from 1 to 5, drawn anew for every step. The ends come first."""
COSTS = (("LAINR", False), ("IPC", False), ("LAINR", True), ("IPC", True))
"""System, and whether at the published sizes."""


@dataclass(frozen=True)
class Options:
    """On which objects, for how long."""

    data: Path
    """Folder of posed views in learnit's layout, 64 pixels."""
    out: Path = Path("results/views")
    """Where the results go."""
    runs: Path = Path("build/views")
    """Where the runs go."""
    seconds: float = 100
    """Processor seconds of training per run."""
    budget: float = 1e9
    """Begin no piece of work so late that it would not be finished after so many seconds of the clock."""
    targets: int = 6
    """Target views per held-out object."""
    seed: int = 0


def recipe_of(system: str, support: int, seed: int) -> Recipe:
    """The recipe of a run."""
    recipe = SYSTEMS[system]()
    data = replace(recipe.data, support=support or MOST, fewest=0 if support else 1)
    model = recipe.model
    if isinstance(model, IpcRadianceConfig):
        model = replace(model, views=support)
    elif isinstance(model, LainrViewsConfig):
        model = replace(model, views=support or MOST)
    return replace(recipe, name=f"{recipe.name}-{support or 'any'}", data=data, model=model, seed=seed)


def trained(recipe: Recipe, options: Options) -> Path:
    """The folder of the run, finished."""
    run, trial = options.runs / recipe.name, options.runs / f"{recipe.name}-timing"
    quiet = {"session": Session(device="cpu", quiet=True, workers=0)}
    if (run / "recipe.json").exists():
        return train(None, options.data, run, resume=True, **quiet)
    if not (trial / "timing.json").exists():
        shutil.rmtree(trial, ignore_errors=True)  # it was stopped before it knew
        short = replace(recipe, steps=TIMED, log_every=1, evaluate_every=0, checkpoint_every=TIMED)
        marks: list[float] = []
        train(short, options.data, trial, callback=lambda *_: marks.append(time.process_time()), **quiet)
        durations = sorted(after - before for before, after in pairwise(marks[1:]))  # the first step imports much
        timing = {"processor_seconds_per_step": durations[len(durations) // 2]}
        write_whole(trial / "timing.json", json_text(timing, indent=2))
    per_step = json.loads((trial / "timing.json").read_text())["processor_seconds_per_step"]
    steps = max(60, int(options.seconds / per_step))
    return train(replace(recipe, steps=steps, evaluate_every=0, checkpoint_every=100), options.data, run, **quiet)


def test_objects(options: Options) -> ViewsSource:
    """Held-out objects."""
    return replace(SYSTEMS["LAINR"]().data, support=MOST, fewest=0).open(options.data, "test")


def assessed(system: str, support: int, options: Options) -> dict[str, Any]:
    """Train a run, or take the one that is there, and measure it."""
    recipe = recipe_of(system, support, options.seed)
    run = trained(recipe, options)
    last = [line for line in read(run / "metrics.jsonl") if "loss" in line][-1]
    model, integral = pretrained.load(run), recipe.objective.integral
    numbers = [support] if support else list(range(1, MOST + 1))
    begun = time.perf_counter()
    scores = score_objects(model, test_objects(options).objects(), numbers, integral=integral, targets=options.targets,
                     reserved=MOST)  # fmt: skip
    return {
        "system": system,
        "support": support,
        "recipe": recipe.name,
        "seed": options.seed,
        "parameters": model.num_parameters,
        "steps": last["step"],
        "processor_seconds": options.seconds,
        "train_psnr": last["psnr"],
        "evaluation_seconds": round(time.perf_counter() - begun, 1),
        "render_seconds": statistics.median(score.render_seconds for score in scores),
        "scores": [asdict(score) for score in scores],
    }


def mean(row: dict[str, Any], category: str, support: int, key: str = "psnr") -> float:
    """Mean over the objects of a category."""
    return statistics.fmean(
        s[key] for s in row["scores"] if s["name"].startswith(category) and s["support"] == support
    )


def render_cost(system: str, paper: bool) -> dict[str, Any]:
    """Seconds and bytes of one view with fresh weights, which cost what trained ones do. In a process of its own."""
    torch.set_num_threads(1)
    if paper:
        recipe = views.views_lainr_lamps() if system == "LAINR" else views.views_ipc_lamps()
    else:
        recipe = recipe_of(system, 3, 0)
    model, side = fresh_model(recipe).eval(), recipe.data.size
    poses = torch.eye(4).repeat(3, 1, 1)
    poses[:, 2, 3] = 4.0
    item = ViewSet("one", torch.rand(3, 3, side, side), poses, 0.69)
    field = field_of_views(model, item, range(3), recipe.objective.integral)
    render_from(field, poses[:1], (8, 8))
    begun = time.perf_counter()
    memory = peak_memory(lambda: render_from(field, poses[:1]))
    seconds = time.perf_counter() - begun
    evaluations = side**2 * (1 if system == "LAINR" else recipe.objective.points)
    return {"system": system, "size": side, "sizes": "published" if paper else "small", "evaluations": evaluations,
            "seconds": round(seconds, 4), "peak_megabytes": round(memory / 1e6, 1)}  # fmt: skip


def locality(run: Path | str, options: Options) -> dict[str, Any]:
    """Which rays the tokens of a light field govern: the same tokens over objects and cameras."""
    model = pretrained.load(run)
    objects = list(test_objects(options).objects())
    items = [objects[0], objects[len(objects) // 2], objects[-1]]
    side, rows, areas, tokens = model.input_size[0], [], [], None
    for item in items:
        field = field_of_views(model, item, range(3), Integral())
        for view in SHOWN[:2]:
            camera = move_camera(field, item.poses[view])
            every = influences(camera, [(k,) for k in range(len(field.tokens))], side, side)
            areas += [influence.area for influence in every if influence.largest > 0]
            if tokens is None:  # the four that matter most to the first, and then the same ones
                tokens = sorted(range(len(every)), key=lambda k: -every[k].largest)[:4]
            maps = [Panel(repeat(heat(every[k].map), 2), f"token {k}", f"{every[k].area:.2f}") for k in tokens]
            rendering = camera.render(side, side).clamp(0, 1)
            rows.append([Panel(repeat(item.images[view], 2), item.name), Panel(repeat(rendering, 2), "model"), *maps])
    save_png(options.out / "locality.png", sheet(rows))
    return {"model": Path(run).name, "tokens": len(field.tokens), "views": len(rows),
            "median_area": statistics.median(areas), "smallest_area": min(areas), "largest_area": max(areas),
            "areas": "share of the picture that holds 90 % of a token's difference"}  # fmt: skip


def markdown(rows: list[dict[str, Any]], costs: list[dict[str, Any]], categories: list[str]) -> str:
    """What the JSON says, for people."""
    lines = [["run", "views", "steps", "processor s", "values", *(f"{c} dB" for c in categories), "SSIM", "s per view"]]
    for row in rows:
        for support in sorted({score["support"] for score in row["scores"]}):
            values = next(score["values_stored"] for score in row["scores"])
            ssim = statistics.fmean(score["ssim"] for score in row["scores"] if score["support"] == support)
            name = row["system"] + ("" if row["support"] else " (any)")
            lines.append([name, str(support), str(row["steps"]), f"{row['processor_seconds']:g}", str(values),
                          *(number(mean(row, c, support)) for c in categories), number(ssim, 4),
                          number(row["render_seconds"], 4)])  # fmt: skip
    cost = [["one view", "sizes", "pixels", "evaluations", "seconds", "peak MB"]]
    cost += [[c["system"], c["sizes"], str(c["size"]), str(c["evaluations"]), number(c["seconds"], 3),
              number(c["peak_megabytes"], 1)] for c in costs]  # fmt: skip
    return f"{aligned(lines)}\n\n{aligned(cost)}\n"


def write(report: dict[str, Any], options: Options) -> None:
    """Everything that is known so far."""
    rows = report["runs"]
    if not rows:
        return
    categories = sorted({score["name"].split("/")[0] for row in rows for score in row["scores"]})
    curves = {}
    for system in ("LAINR", "IPC"):
        points = sorted((row["support"], row) for row in rows if row["system"] == system and row["support"])
        for category in categories if points else []:
            curves[f"{system}, {category}"] = [(v, mean(row, category, v)) for v, row in points]
    for row in rows:
        if row["support"] == 0:
            for category in categories:
                curves[f"LAINR (any), {category}"] = [(v, mean(row, category, v)) for v in range(1, MOST + 1)]
    title = f"Views that were not given, 64 px, {options.seconds:g} processor seconds of training each"
    figure_4a(options.out / "comparison.png", curves, title)
    text = markdown(rows, report["costs"], categories)
    with written_aside(options.out / "comparison.md") as out:
        out.write(f"```\n{text}```\n".encode())
    write_whole(options.out / "comparison.json", json_text(report, indent=2))
    print(text, flush=True)


@contextmanager
def claimed(options: Options, name: str) -> Iterator[bool]:
    """Whether this process may do the work `name`: it is not done, and no other process is at it."""
    claim = options.runs / f"{name}.claim"
    options.runs.mkdir(parents=True, exist_ok=True)
    try:
        claim.mkdir()
    except FileExistsError:
        yield False
        return
    try:
        yield not (options.runs / f"{name}.json").exists()
    finally:
        claim.rmdir()


def found(options: Options, name: str) -> Any:
    """What is known under a name, or None."""
    file = options.runs / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def report_of(options: Options) -> dict[str, Any]:
    """Everything that is known so far, by any process."""
    rows = [found(options, recipe_of(*run, options.seed).name) for run in RUNS]
    return {
        "command": f"python -m experiments.views.comparison --seconds {options.seconds:g} --targets {options.targets}",
        "device": f"CPU, {torch.backends.cpu.get_cpu_capability()} kernels, {torch.get_num_threads()} thread(s)",
        "versions": versions(),
        "locality": found(options, "locality"),
        "costs": found(options, "costs") or [],
        "runs": [row for row in rows if row],
    }


def side_by_side(options: Options) -> None:
    """The same object by both systems, from the same three views."""
    item = next(iter(test_objects(options).objects()))
    for name in ("LAINR", "IPC"):
        recipe = recipe_of(name, 3, options.seed)
        if found(options, recipe.name):
            model = pretrained.load(options.runs / recipe.name)
            field = field_of_views(model, item, range(3), recipe.objective.integral)
            save_png(options.out / f"views-{name.lower()}.png", comparison(field, item, range(3), SHOWN))


def main(options: Options) -> None:
    """Do what fits into the budget and nobody else does, and write everything after every piece."""
    begun = time.monotonic()

    def left() -> float:
        return options.budget - (time.monotonic() - begun)

    def do(name: str, work: Callable[[], Any], needed: float) -> None:
        with claimed(options, name) as mine:
            if mine and left() > needed:
                write_whole(options.runs / f"{name}.json", json_text(work(), indent=2))
        write(report_of(options), options)

    options.out.mkdir(parents=True, exist_ok=True)
    light = recipe_of("LAINR", 3, options.seed).name
    for i, (system, support) in enumerate(RUNS):
        do(recipe_of(system, support, options.seed).name, partial(assessed, system, support, options), 60)
        if i in (5, len(RUNS) - 1) and found(options, light):
            do("locality", lambda: locality(options.runs / light, options), 60)
            do("costs", lambda: [in_own_process(render_cost, *case) for case in COSTS], 60)
            side_by_side(options)
    missing = len(RUNS) - len(report_of(options)["runs"])
    print(f"{missing} of {len(RUNS)} runs are still to be made" if missing else "all runs are there")


if __name__ == "__main__":
    main(tyro.cli(Options))
