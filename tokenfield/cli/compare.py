"""`tokenfield compare SYSTEM...`: systems trained alike on the user's pictures, and a table of them."""

import datetime
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.app import deferred
from tokenfield.cli.console import Int, Json, Pixels, Seconds
from tokenfield.cli.options import check_at_least
from tokenfield.errors import UserError
from tokenfield.io.outputs import check_folders

if TYPE_CHECKING:
    from tokenfield.comparison.running import Job, Outcome

TABLE_NAMES = re.compile(r"\d[\d/-]*(-[a-z]+)?|fig(ure-)?\d+|race(-\d+)?|locality|sizes|heads|depth|factorial|all")
"""What `tokenfield compare` took in a former version: tables of the papers."""


@dataclass(frozen=True)
class Alike:
    """What is the same for all systems."""

    size: Pixels = None
    """Side of the pictures; by default what the first system takes."""
    values: Int = None
    """Stored values per picture; by default as many as the first system stores; 0: each system's own."""
    pictures: Int = None
    """Most held-out pictures; all of them by default."""


def compare(
    systems: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="SYSTEM [SYSTEM ...]")],
    *,
    budget: Annotated[str, tyro.conf.arg(metavar="steps=N|seconds=S|processor=S|published")],
    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = Path("comparison"),
    seeds: int = 1,
    alike: tyro.conf.OmitArgPrefixes[Alike] = Alike(),
    runs: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/compare"),
    max_seconds: Seconds = None,
    threads: int = 1,
    device: str = "auto",
    json: Json = None,
) -> int:
    """Train systems alike on the same pictures within the same budget, and print a table of what they reach.

    tokenfield compare lainr ipc anr --data ~/Pictures --budget seconds=300. Every system has the optimiser of its own
    recipe, and of everything else the same: pictures, their size, seeds, steps or seconds, and stored values where the
    system can. Runs are kept: the same command goes on where it was stopped, and one system more trains that one alone.
    The papers' tables are experiments that call this: python -m experiments.tables.

    Args:
        systems: names of systems (tokenfield train --help lists them), names of recipes, or recipe.json files.
        budget: of every run: steps, seconds of training on the wall or of the processor, or each recipe's own steps.
        data: pictures, as the first one's recipe reads them: any folder of photographs, some of which are held out.
        out: table.md, .csv, .tex and .json, and figure.png with the curves, are written there.
        seeds: how many runs of each system, from seed 0 on.
        alike: what is the same for all.
        runs: where the runs themselves go.
        max_seconds: begin nothing after so many seconds and stop what is running; the same command goes on later.
        threads: of the processor, for each run.
        device: auto (an accelerator where there is one) or cpu.
        json: also write the table there, for machines.
    """
    from tokenfield.cli.train import find_recipe
    from tokenfield.comparison import report
    from tokenfield.comparison.running import Job
    from tokenfield.comparison.setting import Budget, Setting
    from tokenfield.comparison.systems import rows as rows_alike

    refuse_tables(systems)
    if not systems:
        raise UserError("give systems or recipes: tokenfield compare lainr ipc --data FOLDER --budget steps=1000")
    check_at_least(1, seeds=seeds, threads=threads)
    check_at_least(1, size=alike.size, pictures=alike.pictures)
    check_at_least(0, values=alike.values)
    check_folders([out / "table.md", runs / "run"])
    length = Budget.parse(budget)
    recipes = [(label_of(name), find_recipe(name)) for name in dict.fromkeys(systems)]
    rows = rows_alike(recipes, size=alike.size, values=alike.values)
    setting = Setting(length, data, runs, alike.pictures, device)
    jobs = [Job("", row.label, seed, partial(row.run, seed, setting)) for seed in range(seeds) for row in rows]
    outcome = conduct(jobs, max_seconds, threads)
    held_out = rows[0].held_out.data
    table = facts(budget, seeds, threads) | {
        "title": " and ".join([", ".join(row.label for row in rows[:-1]), rows[-1].label]).removeprefix(" and "),
        "command": f"tokenfield compare {' '.join(row.label for row in rows)} --budget {budget} --data FOLDER "
        f"--seeds {seeds}",
        "notes": [f"trained and measured on crops of {held_out.size} x {held_out.size} pixels; PSNR: of the middle of "
                  "held-out pictures, at cell centres, unclamped, the same for all rows."],
        "rows": report.gather([{"label": row.label, "recipe": row.recipe.name, "extra": False} for row in rows],
                              outcome.results.get("", {})),
    }
    report.write(table, out)
    console.show(report.as_markdown(table))
    console.write_json(json, "compare", {"table": table})
    return finish(outcome, len(jobs), out)


def label_of(name: str) -> str:
    """What the table calls a system: its name; of a recipe.json, the folder that it is in."""
    return Path(name).parent.name if name.endswith("recipe.json") else Path(name).stem


def parser(words: list[str]) -> Callable[[], object]:
    """What runs. Raises UserError for tables of the papers, which need no options to be recognised."""
    refuse_tables(list(takewhile(lambda word: not word.startswith("-"), words)))
    return tyro.cli(deferred(compare), prog="tokenfield compare", args=words)


def refuse_tables(systems: Sequence[str]) -> None:
    """Raises UserError for names of the papers' tables, with the command that makes them."""
    if tables := [name for name in systems if TABLE_NAMES.fullmatch(name)]:
        raise UserError(f"compare takes systems and recipes; the papers' tables are now: python -m experiments.tables "
                        f"{' '.join(tables)}, with the same options, from a copy of the repository")


def conduct(jobs: "list[Job]", max_seconds: float | None, threads: int) -> "Outcome":
    """Make the runs, with a progress bar."""
    import torch

    from tokenfield.comparison.running import work
    from tokenfield.training.session import check_seconds

    check_seconds(max_seconds)
    torch.set_num_threads(threads)
    with console.progress("comparing", len(jobs)) as bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "skipped ")  # by one run; `finish` names those of all
        return work(jobs, max_seconds, bar.file)


def facts(budget: str, seeds: int, threads: int) -> dict[str, object]:
    """What every table's JSON says of how it was made."""
    return {"budget": budget, "seed_list": list(range(seeds)), "threads": threads, "date": str(datetime.date.today())}


def finish(outcome: "Outcome", total: int, out: Path) -> int:
    """Say what is missing, if anything is, and choose the exit code."""
    from tokenfield.data.pictures import SkippedFiles

    skipped = SkippedFiles()
    for run in (run for table in outcome.results.values() for runs in table.values() for run in runs):
        for item in run.get("skipped", ()):
            skipped.add(item["file"], item["reason"])
    if skipped:
        console.warn(skipped.summary())
    if outcome.end == "done":
        return console.SKIPPED if skipped else console.OK
    why = {"interrupted": "interrupted", "over": "the time was over"}[outcome.end]
    console.fail(f"{why} after {outcome.count} of {total} runs; what is finished is in {out}; the same command goes on")
    return console.INTERRUPTED if outcome.end == "interrupted" else console.FAILED
