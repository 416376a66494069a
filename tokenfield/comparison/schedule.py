"""All runs of all tables, one after the other, until they are done, the time is over, or Ctrl-C."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tokenfield.comparison.running import Busy, Deadline
from tokenfield.io.record import Record
from tokenfield.training.stopping import Interrupted

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
    waiting, begun = list(jobs), time.monotonic()
    end: End = "done"
    results: dict[str, dict[str, list[Record]]] = {job.table: {} for job in jobs}

    def deadline() -> float | None:
        """Nothing is left after Ctrl-C: what is finished is read, and nothing begun."""
        if end == "interrupted":
            return 0.0
        return None if max_seconds is None else max_seconds - (time.monotonic() - begun)

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
