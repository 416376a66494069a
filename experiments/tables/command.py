"""`tokenfield compare TABLE ...`: the papers' tables and figures, measured on the user's pictures."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.errors import UserError

DEFAULT_OUT, DEFAULT_RUNS = Path("results/compare"), Path("runs/compare")


def compare(
    tables: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TABLE [TABLE ...]")],
    *,
    budget: Annotated[str, tyro.conf.arg(metavar="steps=N|seconds=N|processor=N|published")],
    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = DEFAULT_OUT,
    seeds: int = 3,
    scale: Literal["miniature", "photos", "published"] = "miniature",
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
        tables: which ones, or all of photographs.
        budget: of every run: steps, seconds on the wall or of the processor, or as much as was published.
        data: pictures, with test pictures of their own; a folder of photographs unless the scale is published.
        out: TABLE/table.json, TABLE/table.md and TABLE/figure.png are written there.
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
    import datetime

    import torch

    from experiments.tables import report
    from experiments.tables.rows import PHOTOGRAPHS
    from experiments.tables.tables import TABLES, find_table
    from tokenfield.comparison.running import Budget, Busy, Circumstances
    from tokenfield.training import Interrupted

    if seeds < 1 or threads < 1:
        raise UserError(f"--seeds {seeds} --threads {threads}: give at least 1 of each")
    every = {name: table for name, table in TABLES.items() if table.data == PHOTOGRAPHS}
    chosen = every if tables == ("all",) else dict(map(find_table, tables))
    if not chosen:
        raise UserError(f"give a table: {', '.join(TABLES)}, or all")
    torch.set_num_threads(threads)
    told = Circumstances(Budget.parse(budget), data, runs, pictures, device)
    begun = time.monotonic()

    interrupted = False

    def left() -> float | None:
        """Nothing after Ctrl-C: what is finished is read, and nothing begun."""
        if interrupted:
            return 0.0
        return None if max_seconds is None else max_seconds - (time.monotonic() - begun)

    options = f"--seeds {seeds} --scale {scale}" + (f" --pictures {pictures}" if pictures else "")
    facts = {"budget": budget, "scale": scale, "seed_list": list(range(seeds)), "threads": threads,
             "date": str(datetime.date.today())}
    results: dict[str, dict[str, list[dict]]] = {name: {} for name in chosen}
    rows = {name: there(table, scale) for name, table in chosen.items()}
    work = [(name, row, seed) for seed in range(seeds) for name in chosen for row in rows[name]]
    work.sort(key=lambda item: item[1].extra)  # the papers' own rows first, for all seeds
    total, over = len(work), False
    with console.progress("comparing", total) as bar:
        while work:
            name, row, seed = item = work.pop(0)
            bar.file(total - len(work) - 1, f"{name}: {row.label}, seed {seed}")
            try:
                result = row.run(scale, seed, told, left)
            except Busy:  # another process is at it; its result is read later
                if not interrupted:
                    work.append(item)
                    time.sleep(0.2)
                continue
            except (KeyboardInterrupt, Interrupted):  # a run that trained has saved a checkpoint first
                if interrupted:
                    raise
                interrupted, over = True, True
                continue
            if result is None:
                over = True
                continue
            results[name].setdefault(row.label, []).append(result)
    written = {}
    for name, table in chosen.items():
        told_facts = facts | {"command": f"tokenfield compare {name} --budget {budget} --data {table.data} {options}"}
        written[name] = report.gather(name, table, results[name], told_facts | {"figure": table.figure})
        report.write(written[name], out / name, figure=True)
        console.say(report.markdown(written[name]))
    console.write_json(json, {"command": "compare", "tables": written})
    if over:
        done = sum(len(runs) for table in results.values() for runs in table.values())
        told_why = f"{done} of {total} runs; what is finished is in {out}; the same command goes on"
        console.fail(f"interrupted after {told_why}" if interrupted else f"the time was over after {told_why}")
    return console.INTERRUPTED if interrupted else console.FAILED if over else console.OK


def there(table: Any, scale: str) -> list[Any]:
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
