"""A row and a seed -> one finished run, trained by `training.train` like any other, with everything measured on it.

A run lives in a folder of its own whose name holds a digest of all that decides its result: recipe, budget, pictures. A
finished one has a `result.json`; it is never made again, also not for another table that has the same row. A killed one
is resumed from its checkpoint, bit for bit on a CPU.
"""

import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.comparison.held_out import FINAL_SIDE, Doubling, HeldOut, sampled_psnr
from tokenfield.comparison.measuring import LOCALITY_PICTURES, locality, multiply_adds
from tokenfield.configs import to_dict
from tokenfield.errors import UserError
from tokenfield.evaluation import evaluate as evaluation
from tokenfield.evaluation.environment import machine, versions
from tokenfield.fields.field import Field
from tokenfield.io.atomic import written_aside
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.training import journal
from tokenfield.training.recipe import Recipe, decisive, model_name
from tokenfield.training.trainer import train

RESULT = "result.json"
EVALUATIONS = 8
"""Points of a run's curve, the last one at its end."""


@dataclass(frozen=True)
class Budget:
    """How long every row is trained: equal steps, equal seconds of training, or as long as was published.

    Seconds are those on the wall, or those of the processor, over all threads of the process: on a machine that other
    work shares, only the latter are equal.
    """

    kind: Literal["steps", "seconds", "processor", "published"]
    amount: float | int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "published" else f"{self.kind}={self.amount:g}"

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """`steps=1200`, `seconds=60`, `processor=60` or `published`."""
        kind, _, amount = text.partition("=")
        try:
            match kind:
                case "published" if not amount:
                    return cls("published")
                case "steps" if int(amount) > 0:
                    return cls("steps", int(amount))
                case "seconds" | "processor" if 0 < float(amount) < float("inf"):
                    return cls("seconds" if kind == "seconds" else "processor", float(amount))
        except ValueError:
            pass
        raise UserError(f"--budget {text}: give steps=1200, seconds=60, or published (each recipe's own steps); "
                        "or processor=60, seconds of the processor")

    def remaining(self, recipe: Recipe, folder: Path) -> float:
        """Seconds that a run still has to be trained for; 0 if it is finished, infinity if steps decide.

        2 % count as nothing.
        """
        if not self.timed:
            return 0.0 if steps_done(folder) >= recipe.steps else math.inf
        left = self.amount - seconds_spent(folder)
        return left if left > 0.02 * self.amount else 0.0

    @property
    def timed(self) -> bool:
        """Whether seconds decide and not steps."""
        return self.kind in ("seconds", "processor")

    @property
    def timer(self) -> Callable[[], float]:
        """What counts the seconds."""
        return time.process_time if self.kind == "processor" else time.monotonic

    def of(self, recipe: Recipe) -> Recipe:
        """The recipe with this length, and with evaluations all along it."""
        if self.timed:
            return replace(recipe, steps=10**9, evaluate_every=200, checkpoint_every=200)
        steps = int(self.amount) if self.kind == "steps" else recipe.steps
        every = max(1, steps // EVALUATIONS)
        return replace(recipe, steps=steps, evaluate_every=every, checkpoint_every=max(every, steps // 4))


@dataclass(frozen=True)
class Circumstances:
    """What all runs of a table share."""

    budget: Budget
    data: Path
    runs: Path
    """Where the folders of the runs are."""
    pictures: int | None = None
    """Most held-out pictures; None: all of them."""
    device: str = "auto"

    @property
    def place(self) -> str:
        """Where a trained model is measured."""
        return "cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu"

    def folder(self, recipe: Recipe, held_out: HeldOut | None = None) -> Path:
        """Of a run."""
        deciding = {key: value for key, value in decisive(recipe).items() if key not in ("name", "steps")}
        facts = [deciding, recipe.steps, str(self.budget), str(self.data.resolve()), self.pictures]
        facts += [] if held_out is None else [to_dict(held_out)]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]
        return self.runs / f"{model_name(recipe.model)}-seed{recipe.seed}-{digest}"


Measurement = Callable[[Recipe, Circumstances, Path], dict[str, Any]]
"""Everything about a trained run but how long it took: of its recipe, what all runs share, and its folder."""


class Busy(Exception):
    """Another process is at this run."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder of a run for this process alone, so that two processes that share the runs of a table share the work.

    A lock of the system's, which goes away with its process however that ends. Where there are none (Windows), nothing
    is claimed.

    Raises:
        Busy: another process has it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(folder.name) from None
        yield


def planned(recipe: Recipe, told: Circumstances, held_out: HeldOut | None = None) -> tuple[Recipe, Path]:
    """The run of a row under these circumstances, and its folder."""
    every_picture = told.pictures if told.pictures is not None else 10**6
    recipe = replace(told.budget.of(recipe), evaluate_pictures=every_picture)
    return recipe, told.folder(recipe, held_out)


def keep(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Write a finished result, whole or not at all."""
    with written_aside(path) as file:
        file.write(json.dumps(result, indent=1, allow_nan=False).encode() + b"\n")
    return result


def run(
    recipe: Recipe,
    told: Circumstances,
    *,
    held_out: HeldOut | None = None,
    deadline: Callable[[], float | None] = lambda: None,
    measurement: Measurement | None = None,
) -> dict | None:
    """Train and measure one run, or read the result of one that was finished before.

    Args:
        recipe: of the row, with its seed.
        told: budget, pictures, folders.
        held_out: what to measure it on; None: the held-out pictures of the recipe's own data.
        deadline: seconds that are left for all runs together; None: as many as it takes.
        measurement: what is measured on the trained run, if that is not pictures: see `measure`.
    Returns:
        The result; None if the time was over before the run was (it goes on next time).
    Raises:
        Busy: another process is making it.
    """
    recipe, folder = planned(recipe, told, held_out)
    with claimed(folder):
        if (folder / RESULT).exists():
            return json.loads((folder / RESULT).read_text())
        return make(recipe, told, folder, held_out, deadline, measurement or partial(measure, held_out=held_out))


def make(
    recipe: Recipe,
    told: Circumstances,
    folder: Path,
    held_out: HeldOut | None,
    deadline: Callable[[], float | None],
    measurement: Measurement,
) -> dict | None:
    """`run` for a run that is not finished."""
    failure, probe = None, None
    if held_out is not None:
        recipe, probe = replace(recipe, evaluate_every=0), Doubling(held_out, told.data)
    while failure is None and told.budget.remaining(recipe, folder):
        left = deadline()
        if left is not None and left <= 0:
            return None
        started, training = (folder / "recipe.json").exists(), partial(train, recipe, told.data, folder)
        options: dict[str, Any] = {"max_seconds": left, "device": told.device, "quiet": True, "probe": probe}
        options |= {"timer": told.budget.timer}
        options |= {"training_seconds": told.budget.amount if told.budget.timed else math.inf}
        try:
            training(resume=started, **options)
        except UserError as error:
            if not str(error).startswith("training diverged"):
                raise
            failure = "diverged"
    measured = {"system": model_name(recipe.model), "seed": recipe.seed, "failure": failure}
    if failure is None:
        measured |= measurement(recipe, told, folder)
    return keep(folder / RESULT, measured | {"steps": steps_done(folder), "seconds": seconds_spent(folder)})


def measure(recipe: Recipe, told: Circumstances, folder: Path, held_out: HeldOut | None = None) -> dict[str, Any]:
    """Everything about a trained run but how long it took."""
    model = pretrained.load(folder).eval().to(told.place)
    if held_out is not None:
        return measure_apart(model, held_out, told, folder)
    source = recipe.data.open(told.data, "test")
    report = evaluation.evaluate(model, islice(source.pictures(), told.pictures), "recipe", skipped=source.skipped)
    some = [picture for _, picture in islice(source.pictures(), LOCALITY_PICTURES)]
    device = next(model.parameters()).device
    encode, decode = multiply_adds(model, some[0][None].to(device))
    scores = report.pictures
    return {
        "psnr": statistics.fmean(score.psnr for score in scores),
        "pictures": {score.name: round(score.psnr, 3) for score in scores},
        "size": [scores[0].height, scores[0].width],
        "values_stored": scores[0].values_stored,
        "values_per_pixel_value": scores[0].values_per_pixel_value,
        "parameters": model.num_parameters,
        "macs_per_pixel": {"encode": round(encode, 1), "decode": round(decode, 1)},
        "locality": locality(model, some),
        "curve": curve(folder),
        "machine": report.machine,
        "versions": report.versions,
    }


def measure_apart(model: FieldModel, held_out: HeldOut, told: Circumstances, folder: Path) -> dict[str, Any]:
    """The same on pictures of the table's own, without locality, which asks for every pixel once per token."""
    device = next(model.parameters()).device
    pictures = list(islice(held_out.open(told.data).pictures(), held_out.pictures))
    scores = sampled_psnr(model, pictures, FINAL_SIDE)
    picture = pictures[0][1].to(device)
    values = Field.of(model, picture).values_stored
    whole = whole_cells(picture, model.cell if model.input_size is None else 1)[None]
    encode, decode = multiply_adds(model, whole, FINAL_SIDE)
    return {
        "psnr": statistics.fmean(scores.values()),
        "pictures": {name: round(score, 3) for name, score in scores.items()},
        "size": list(picture.shape[1:]),
        "values_stored": values,
        "values_per_pixel_value": values / picture.numel(),
        "parameters": model.num_parameters,
        "macs_per_pixel": {"encode": round(encode, 1), "decode": round(decode, 1)},
        "locality": None,
        "curve": curve(folder),
        "machine": machine(device),
        "versions": versions(),
    }


def whole_cells(picture: Float[Tensor, "c h w"], cell: int) -> Float[Tensor, "c m n"]:
    """The picture without the rest of its sides beyond a whole number of cells."""
    height, width = (side // cell * cell for side in picture.shape[1:])
    return picture[:, :height, :width]


def curve(folder: Path) -> list[dict[str, float | int]]:
    """Held-out PSNR after steps and seconds of training."""
    points, seconds = [], 0.0
    for line in journal.read(folder / journal.METRICS):
        seconds = line.get("seconds", seconds)
        if "evaluation_psnr" in line:
            points.append({"step": line["step"], "seconds": seconds, "psnr": round(line["evaluation_psnr"], 4)})
    return points


def seconds_spent(folder: Path) -> float:
    """Of training, over all sessions of a run; evaluations and saves do not count."""
    lines = [line for line in journal.read(folder / journal.METRICS) if "seconds" in line]
    return float(lines[-1]["seconds"]) if lines else 0.0


def steps_done(folder: Path) -> int:
    """The last step that the journal of a run knows."""
    lines = journal.read(folder / journal.METRICS)
    return int(lines[-1]["step"]) if lines else 0
