"""What all runs of a comparison share: budget, data, folders, device."""

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from tokenfield.comparison.held_out import HeldOut
from tokenfield.errors import UserError
from tokenfield.training import journal
from tokenfield.training.recipe import Recipe, decisive, model_name
from tokenfield.training.session import TrainingTime

EVALUATIONS = 8
"""Points of a run's curve, the last one at its end."""


@dataclass(frozen=True)
class Budget:
    """How long every system is trained: equal steps, equal seconds of training, or each recipe's own steps.

    Seconds are those on the wall, or those of the processor over all threads of the process: on a machine that other
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
        """Seconds that a run still has to be trained for; 0 if it is finished, infinity if steps decide."""
        steps, seconds = progress_of(folder)
        if not self.timed:
            return 0.0 if steps >= recipe.steps else math.inf
        remainder = self.amount - seconds
        return remainder if remainder > 0.02 * self.amount else 0.0  # 2 % count as nothing

    @property
    def timed(self) -> bool:
        """Whether seconds decide and not steps."""
        return self.kind in ("seconds", "processor")

    @property
    def training_time(self) -> TrainingTime:
        """The seconds of a run, and what counts them; unlimited where steps decide."""
        timer = time.process_time if self.kind == "processor" else time.monotonic
        return TrainingTime(self.amount if self.timed else math.inf, timer)

    def of(self, recipe: Recipe) -> Recipe:
        """The recipe with this length, and with evaluations all along it."""
        if self.timed:
            return replace(recipe, steps=10**9, evaluate_every=200, checkpoint_every=200)
        steps = int(self.amount) if self.kind == "steps" else recipe.steps
        every = max(1, steps // EVALUATIONS)
        return replace(recipe, steps=steps, evaluate_every=every, checkpoint_every=max(every, steps // 4))


@dataclass(frozen=True)
class Setting:
    """Budget, data and folders."""

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

    def plan(self, recipe: Recipe, held_out: HeldOut | None = None) -> tuple[Recipe, Path]:
        """The recipe as it is run here, and the folder of its run."""
        every_picture = self.pictures if self.pictures is not None else 10**6
        recipe = replace(self.budget.of(recipe), evaluate_pictures=every_picture)
        return recipe, self.folder(recipe, held_out)

    def folder(self, recipe: Recipe, held_out: HeldOut | None = None) -> Path:
        """The folder of a run; its name holds a digest of all that decides the result."""
        deciding = {key: value for key, value in decisive(recipe).items() if key not in ("name", "steps")}
        facts = [deciding, recipe.steps, str(self.budget), str(self.data.resolve()), self.pictures]
        facts += [] if held_out is None else [asdict(held_out)]
        return self.runs / f"{model_name(recipe.model)}-seed{recipe.seed}-{digest(facts)}"


def digest(facts: object) -> str:
    """Twelve hexadecimal digits that stand for facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def progress_of(folder: Path) -> tuple[int, float]:
    """Steps and seconds of training over all sessions of a run; evaluations and saves do not count."""
    lines = journal.read(folder / journal.METRICS)
    seconds = [float(line["seconds"]) for line in lines if "seconds" in line]
    return int(lines[-1]["step"]) if lines else 0, seconds[-1] if seconds else 0.0
