"""`python -m experiments.tables TABLE ...`: the papers' tables and figures, measured on the user's pictures."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from experiments.tables import report
from experiments.tables.rows import PHOTOGRAPHS, Row, Scale, Table
from experiments.tables.tables import TABLES, find_table
from tokenfield.cli import app, console
from tokenfield.cli.compare import conduct, facts, finish
from tokenfield.cli.console import Json
from tokenfield.comparison.report import as_markdown
from tokenfield.comparison.running import Job
from tokenfield.comparison.setting import Budget, Setting
from tokenfield.errors import UserError

DEFAULT_OUT, DEFAULT_RUNS = Path("results/compare"), Path("runs/compare")


def tables(
    names: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TABLE [TABLE ...]")],
    *,
    budget: Annotated[str, tyro.conf.arg(metavar="steps=N|seconds=N|processor=N|published")],
    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = DEFAULT_OUT,
    seeds: int = 3,
    scale: Scale = "miniature",
    pictures: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    runs: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = DEFAULT_RUNS,
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
    threads: int = 1,
    device: str = "auto",
    json: Json = None,
) -> int:
    """Train every system of a table alike and print the table, with the published numbers beside the measured ones.

    Of LAINR: 1, 1-celeba, 1-ffhq (systems), 2 (Tables 2 and 6: resolutions and bands), 3, 3-ffhq (both halves), 3-lamps
    (the same of posed views; --data is a folder of them), 4 (bandwidths), 7 (linear layers), figure-1 (while training),
    figure-5 (locality), figure-7 (test-time optimisation), heads. Of this project: locality (beside PSNR, for
    all ablations), sizes (values stored), depth (blocks of the anchored encoder), race (PSNR against processor seconds
    at four sizes; race-64, -178, -512, -1024: at one), factorial (which change to LAINR carries the gain of anchored
    tokens).

    Every row gets the same pictures, seeds, optimiser and budget, and one transformer in front. Runs are kept: the same
    command goes on where it was stopped, and a row that two tables share is trained once.

    Args:
        names: which ones, or all of photographs.
        budget: of every run: steps, seconds on the wall or of the processor, or as much as was published.
        data: pictures, with test pictures of their own; a folder of photographs unless the scale is published.
        out: TABLE/table.json, .md, .csv and .tex and TABLE/figure.png are written there.
        seeds: how many, from 0 on.
        scale: miniature, 16-pixel crops and all sizes divided, for two cores; photos, the published sizes on crops of
            photographs, for an accelerator; published, the papers' data sets.
        pictures: most held-out pictures; all of them by default.
        runs: where the runs themselves go.
        max_seconds: begin nothing after so many seconds and stop what is running; the same command goes on later.
        threads: of the processor, for each run.
        device: auto (an accelerator where there is one) or cpu.
        json: also write all tables there, for machines.
    """
    if seeds < 1 or threads < 1:
        raise UserError(f"--seeds {seeds} --threads {threads}: give at least 1 of each")
    every = {name: table for name, table in TABLES.items() if table.data == PHOTOGRAPHS}
    selection = every if names == ("all",) else dict(map(find_table, names))
    if not selection:
        raise UserError(f"give a table: {', '.join(TABLES)}, or all")
    setting = Setting(Budget.parse(budget), data, runs, pictures, device)
    rows = {name: rows_at(table, scale) for name, table in selection.items()}
    work = [(name, row, seed) for seed in range(seeds) for name in selection for row in rows[name]]
    work.sort(key=lambda item: item[1].extra)  # the papers' own rows first, for all seeds
    jobs = [Job(name, row.label, seed, partial(row.run, scale, seed, setting)) for name, row, seed in work]
    outcome = conduct(jobs, max_seconds, threads)
    options = f"--seeds {seeds} --scale {scale}" + (f" --pictures {pictures}" if pictures else "")
    reports = {}
    for name, table in selection.items():
        command = f"python -m experiments.tables {name} --budget {budget} --data {table.data} {options}"
        own = facts(budget, seeds, threads) | {"command": command, "scale": scale}
        reports[name] = report.gather(name, table, outcome.results.get(name, {}), own)
        report.write(reports[name], out / name)
        console.say(as_markdown(reports[name]))
    console.write_json(json, "tables", {"tables": reports})
    return finish(outcome, len(jobs), out)


def rows_at(table: Table, scale: Scale) -> list[Row]:
    """The rows of a table that exist at a scale; the others are named."""
    rows = []
    for row in table.rows:
        try:
            row.at(scale, 0)
        except UserError as error:
            console.notice(f"left out: {error}")
        else:
            rows.append(row)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, as `tokenfield.cli.main` does."""
    return app.main(argv, parse)


def parse(argv: list[str]) -> Callable[[], int]:
    """The command, ready to run with its options."""
    return app.one_line(lambda: tyro.cli(app.deferred(tables), prog="python -m experiments.tables", args=argv))
