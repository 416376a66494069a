"""A recipe and a seed -> one finished run, with everything measured on it; and all runs, one after the other.

A run lives in a folder of its own whose name holds a digest of all that decides its result: recipe, budget, pictures. A
finished one has a `result.json`; it is never made again, also not for another table that has the same row. A killed one
is resumed from its checkpoint, bit for bit on a CPU.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tokenfield.comparison.held_out import Doubling, HeldOut
from tokenfield.comparison.setting import Setting, progress_of
from tokenfield.data.pictures import SkippedFiles
from tokenfield.io.atomic import write_whole
from tokenfield.io.lock import held
from tokenfield.io.record import Record, json_text
from tokenfield.training.recipe import Recipe, model_name
from tokenfield.training.session import Diverged, Interrupted, Session
from tokenfield.training.trainer import train

RESULT = "result.json"

Deadline = Callable[[], float | None]
"""Seconds that are left for all runs together; None: as many as it takes."""
Measurement = Callable[[Recipe, Setting, Path], Record]
"""Everything about a trained run but how long it took: of its recipe, what all runs share, and its folder."""


class Busy(Exception):
    """Another process is at this run."""


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """The folder of a run for this process alone, so that two processes that share the runs of a table share the work.

    It stands beside the folder, which `train` locks for itself. Raises `Busy` if another process has it.
    """
    with ExitStack() as inside:
        try:
            inside.enter_context(held(folder.with_suffix(".lock")))
        except BlockingIOError as error:
            raise Busy(folder.name) from error
        yield


def keep(path: Path, result: Record) -> Record:
    """Write a finished result, whole or not at all."""
    write_whole(path, json_text(result))
    return result


def run(recipe: Recipe, setting: Setting, measurement: Measurement, *, held_out: HeldOut | None = None,
        deadline: Deadline = lambda: None) -> Record | None:
    """Train and measure one run, or read the result of one that was finished before.

    Args:
        measurement: what is measured on the trained run, such as `systems.describe_run`.
        held_out: what to measure it on while it trains; None: the held-out pictures of the recipe's own data.
        deadline: no run begins after it, and one that is training stops.
    Returns:
        The result; None if the time was over before the run was (it goes on next time).
    Raises:
        Busy: another process is making it.
    """
    recipe, folder = setting.plan(recipe, held_out)
    with claim(folder):
        if (folder / RESULT).exists():
            return json.loads((folder / RESULT).read_text())
        probe, budget, failure, skipped = None, setting.budget, None, SkippedFiles()
        if held_out is not None:
            recipe, probe = replace(recipe, evaluate_every=0), Doubling(held_out, setting.data, setting.pictures)
        while failure is None and budget.remaining(recipe, folder):
            remaining = deadline()
            if remaining is not None and remaining <= 0:
                return None
            try:
                train(recipe, setting.data, folder, resume=(folder / "recipe.json").exists(),
                      session=Session(remaining, setting.device, quiet=True), budget=budget.training_time, probe=probe,
                      skipped=skipped)
            except Diverged:
                failure = "diverged"
        result = {"system": model_name(recipe.model), "seed": recipe.seed, "failure": failure,
                  "skipped": skipped.as_json()}
        if failure is None:
            result |= measurement(recipe, setting, folder)
        steps, seconds = progress_of(folder)
        return keep(folder / RESULT, result | {"steps": steps, "seconds": seconds})


End = Literal["done", "over", "interrupted"]
"""All runs are there; the time was over before; Ctrl-C came before."""


@dataclass(frozen=True)
class Job:
    """One run of a table, to be made or read."""

    table: str
    label: str
    """Of the row."""
    seed: int
    start: Callable[[Deadline], Record | None]
    """Its result; None if the time was over before."""

    def __str__(self) -> str:
        return f"{self.table}: {self.label}, seed {self.seed}".removeprefix(": ")


@dataclass(frozen=True)
class Outcome:
    """Results by table and label, and why work ended."""

    results: dict[str, dict[str, list[Record]]]
    end: End

    @property
    def count(self) -> int:
        """Runs that have a result."""
        return sum(len(runs) for table in self.results.values() for runs in table.values())


def work(jobs: Sequence[Job], max_seconds: float | None, announce: Callable[[int, str], None]) -> Outcome:
    """Make all runs, in their order, that time allows for; those that another process is making are waited for.

    After `max_seconds` nothing is begun and what is running stops. `announce` is called with the number of jobs behind,
    and what comes now.
    """
    waiting, start = list(jobs), time.monotonic()
    end: End = "done"
    results: dict[str, dict[str, list[Record]]] = {job.table: {} for job in jobs}

    def deadline() -> float | None:
        """Nothing is left after Ctrl-C: what is finished is read, and nothing begun."""
        if end == "interrupted":
            return 0.0
        return None if max_seconds is None else max_seconds - (time.monotonic() - start)

    while waiting:
        job = waiting.pop(0)
        announce(len(jobs) - len(waiting) - 1, str(job))
        try:
            result = job.start(deadline)
        except Busy:  # another process is at it; its result is read later
            if end != "interrupted":
                waiting.append(job)
                time.sleep(0.2)
            continue
        except (KeyboardInterrupt, Interrupted):  # a run that trained has saved a checkpoint first
            if end == "interrupted":
                raise
            end = "interrupted"
            continue
        if result is not None:
            results[job.table].setdefault(job.label, []).append(result)
        elif end == "done":
            end = "over"
    return Outcome(results, end)
