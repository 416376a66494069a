"""All runs of a table -> JSON, the same table as Markdown, CSV and LaTeX, and a figure, in one folder."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tokenfield.evaluation import tables
from tokenfield.evaluation.tables import number
from tokenfield.io.atomic import write_whole
from tokenfield.io.charts import COLOURS, RULE, plot
from tokenfield.io.lock import LOCK, held
from tokenfield.io.record import Record, json_text


def rows_with_result(data: Record) -> list[Record]:
    """Those that have a PSNR."""
    return [row for row in data["rows"] if row["psnr"] is not None]


def heading(data: Record) -> str:
    """The title of a figure, which says where the sizes are not those of the table's own title."""
    return f"{data['title']}{', in miniature' if data.get('scale') == 'miniature' else ''}: held-out PSNR"


def mean_curve(row: Record) -> list[tuple[int, float]]:
    """(step, mean PSNR over the seeds) at the steps that all seeds were evaluated at."""
    curves = [{point["step"]: point["psnr"] for point in run["curve"]} for run in row["runs"] if run.get("curve")]
    if not curves:
        return []
    common = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [(step, statistics.fmean(curve[step] for curve in curves)) for step in common]


def reached(curve: Sequence[tuple[int | float, float]], goal: float) -> float | None:
    """The step (or second) at which a curve first reaches a PSNR, between evaluations interpolated; None if never."""
    for (before, low), (step, high) in zip([(0, float("-inf")), *curve], curve, strict=False):
        if high >= goal:
            return float(step) if low == float("-inf") else before + (step - before) * (goal - low) / (high - low)
    return None


def curves(data: Record, path: Path) -> None:
    """PSNR while training: a line per seed over steps and their mean, or a line per seed over seconds if those decide.

    Of two systems, also the step at which the first reaches the final PSNR of the second.
    """
    rows = rows_with_result(data)
    axis = "seconds" if str(data["budget"]).startswith(("seconds", "processor")) else "step"
    with plot(path, title=heading(data), size=(11.0, 4.8), xlabel=axis, ylabel="PSNR / dB") as axes:
        for number, row in enumerate(rows):
            colour, line = COLOURS[number % len(COLOURS)], ("-", "--", ":")[number // len(COLOURS) % 3]
            label: str | None = f"{row['label']}: {row['psnr']:.2f} dB, {row['values_stored']} values"
            mean = mean_curve(row) if axis == "step" else []
            if mean:
                axes.plot(*zip(*mean, strict=True), line, marker="o", color=colour, markersize=3, label=label)
            for run in (run for run in row["runs"] if run.get("curve")):
                points = [(point[axis], point["psnr"]) for point in run["curve"]]
                style = {"alpha": 0.3, "linewidth": 0.8} if mean else {"marker": "o", "markersize": 3, "label": label}
                axes.plot(*zip(*points, strict=True), line, color=colour, **style)
                label = None  # once for all seeds
        step = reached(mean_curve(rows[0]), rows[1]["psnr"]) if len(rows) == 2 and axis == "step" else None
        if step is not None:
            axes.axhline(rows[1]["psnr"], color=RULE, linewidth=0.8, linestyle="--")
            axes.axvline(step, color=RULE, linewidth=0.8, linestyle="--")


Results = Mapping[str, Sequence[Record]]
"""By the label of a row, the results of its seeds so far, in any order."""

TIMES = ("encode_seconds", "decode_seconds_per_pixel")
"""Numbers of a run that some tables have, the same for all seeds."""


def gather(rows: Sequence[Record], results: Results) -> list[Record]:
    """The rows of a table's JSON: what each row says of itself, means and deviations of its runs, and the runs."""
    every = [sorted(results.get(row["label"], []), key=lambda run: run["seed"]) for row in rows]
    return [{**row, **summary(runs), "runs": runs} for row, runs in zip(rows, every, strict=True)]


def summary(runs: Sequence[Record]) -> Record:
    """Means over the seeds of a row, and the standard deviation of PSNR between them."""
    good = [run for run in runs if not run.get("failure")]
    facts: Record = {"seeds": len(good), "failed": len(runs) - len(good)}
    if not good:
        return facts | {"psnr": None, "deviation": None}
    first = good[0]  # what is the same for all seeds
    return facts | {
        **mean_and_deviation([run["psnr"] for run in good], "psnr", "deviation"),
        "values_stored": first["values_stored"],
        "values_per_pixel_value": round(first["values_per_pixel_value"], 4),
        **({"bytes": first["bytes"]} if "bytes" in first else {}),
        "parameters": first["parameters"],
        **{key: first[key] for key in TIMES if key in first},
        "steps": round(statistics.fmean(run["steps"] for run in good)),
        "seconds": round(statistics.fmean(run["seconds"] for run in good), 1),
    }


def mean_and_deviation(values: Sequence[float], mean: str, deviation: str) -> Record:
    """Both under these names; None for what too few values do not have."""
    return {mean: round(statistics.fmean(values), 3) if values else None,
            deviation: round(statistics.stdev(values), 3) if len(values) > 1 else None}


def spread(mean: float, deviation: float | None, sign: str = "") -> str:
    """`21.00 ± 1.41`, or `21.00`."""
    return f"{mean:{sign}.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def timed(data: Record) -> bool:
    """Whether any row says how long encoding and decoding take."""
    return any(row.get(key) is not None for row in data["rows"] for key in TIMES)


def columns(data: Record) -> dict[str, Callable[[Record], str]]:
    """Headings, and what a row has under each; `data["columns"]` are headings under which rows themselves have text."""
    def psnr(row: Record) -> str:
        if row["psnr"] is None:
            return "diverged" if row["failed"] else "-"
        return spread(row["psnr"], row["deviation"])

    def seeds(row: Record) -> str:
        failed = row["psnr"] is not None and row["failed"]
        return f"{row['seeds']}" + (f" ({row['failed']} diverged)" if failed else "")

    def whole(key: str) -> Callable[[Record], str]:
        return lambda row: str(row.get(key, "-"))

    def some(key: str, digits: int = 2, unit: float = 1.0) -> Callable[[Record], str]:
        return lambda row: number(None if row.get(key) is None else row[key] / unit, digits)

    times = {"encode, ms": some(TIMES[0], 1, 1e-3), "decode, us / pixel": some(TIMES[1], 3, 1e-6)}
    return {
        "system": whole("label"),
        "PSNR, dB": psnr,
        **{heading: whole(heading) for heading in data.get("columns", ())},
        "seeds": seeds,
        "values stored": whole("values_stored"),
        "per pixel value": some("values_per_pixel_value"),
        "bytes": whole("bytes"),
        "parameters": whole("parameters"),
        **(times if timed(data) else {}),
        "steps": whole("steps"),
        "seconds": some("seconds", 0),
    }


def cells(data: Record) -> list[list[str]]:
    """The table as text; the first row is the heading."""
    parts = columns(data)
    return [list(parts), *([cell(row) for cell in parts.values()] for row in data["rows"])]


def as_markdown(data: Record) -> str:
    """The table for people, with all that is needed to read it."""
    machines = [run["machine"] for row in data["rows"] for run in row["runs"] if "machine" in run]
    machine = machines[0] if machines else {}
    where = f"{machine.get('device', '-')} ({machine.get('name', '-')}), {machine.get('threads', '-')} threads"
    notes = [
        *data["notes"],
        f"budget of every row: {data['budget']}; seeds: {', '.join(map(str, data['seed_list']))}.",
        "Means over pictures, then mean ± standard deviation over seeds.",
        "Seconds: of training alone." + (" Encoding: of one picture alone. Decoding: of many pixels of it at once."
                                         if timed(data) else ""),
        f"measured on {where}; {data['date']}.",
    ]
    lines = [f"# {data['title']}", "", f"`{data['command']}`", "", tables.markdown(cells(data)),
             *data.get("findings", []), "", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def write(data: Record, folder: Path, draw: Callable[[Record, Path], None] = curves) -> list[Path]:
    """The files of a table; each is whole or absent.

    `data` has title, command, budget, seed_list, date, notes, rows (from `gather`), and whatever else the JSON holds.
    `draw` makes the figure.
    """
    rows, files = cells(data), []
    with held(folder / LOCK, wait=True):  # processes that share the runs of a table all write it, in turn
        for kind, text in (("json", json_text(data)), ("md", as_markdown(data)),
                           ("csv", tables.as_csv(rows)), ("tex", tables.as_latex(rows))):
            files.append(folder / f"table.{kind}")
            write_whole(files[-1], text)
        if any(row["psnr"] is not None for row in data["rows"]):
            files.append(folder / "figure.png")
            draw(data, files[-1])
    return files
