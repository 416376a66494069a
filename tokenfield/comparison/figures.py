"""One figure per kind of table, drawn from the table's JSON alone, so that it can be drawn again without the runs."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenfield.evaluation.figures import COLOURS, plot
from tokenfield.evaluation.optimization_curves import STYLES

Data = dict[str, Any]


def shown(data: Data) -> list[dict[str, Any]]:
    """Rows with a result."""
    return [row for row in data["rows"] if row["psnr"] is not None]


def heading(data: Data) -> str:
    """The title of a figure, which says where the sizes are not those of the table's own title."""
    return f"{data['title']}{', in miniature' if data.get('scale') == 'miniature' else ''}: held-out PSNR"


def dots(data: Data, path: Path) -> None:
    """PSNR of every row, with its deviation and the values stored behind its name.

    Dots and not bars, whose lengths would lie: no axis of decibels begins at nothing.
    """
    rows = shown(data)[::-1]
    with plot(path, title=heading(data), size=(8.0, 1.2 + 0.36 * len(rows)), xlabel="PSNR / dB") as axes:
        labels = [f"{row['label']} ({row['values_stored']} values)" for row in rows]
        spread = max(row["psnr"] for row in rows) - min(row["psnr"] for row in rows) or 1.0
        for y, row in enumerate(rows):
            colour, deviation = COLOURS[3 if row["extra"] else 1], row["deviation"] or 0
            axes.errorbar(row["psnr"], y, xerr=deviation, fmt="o", color=colour, capsize=3)
            at = (row["psnr"] + deviation + 0.02 * spread, y)
            axes.annotate(f"{row['psnr']:.2f}", at, va="center", color="0.3", fontsize=9)
        axes.set_yticks(range(len(rows)), labels)
        axes.margins(x=0.12)
        axes.grid(axis="both", color="#e6e7ea", linewidth=0.8)


def mean_curve(row: dict[str, Any]) -> list[tuple[int, float]]:
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


def curves(data: Data, path: Path) -> None:
    """PSNR over steps: a line per seed and their mean; where the first row reaches the last row's final PSNR."""
    rows = shown(data)
    with plot(path, title=heading(data), xlabel="step", ylabel="PSNR / dB") as axes:
        for row, colour in zip(rows, COLOURS, strict=False):
            for run in row["runs"]:
                points = [(point["step"], point["psnr"]) for point in run.get("curve", [])]
                if points:
                    axes.plot(*zip(*points, strict=True), color=colour, alpha=0.3, linewidth=0.8)
            mean = mean_curve(row)
            if mean:
                axes.plot(*zip(*mean, strict=True), "o-", color=colour, markersize=3,
                          label=f"{row['label']}: {row['psnr']:.2f} dB, {row['values_stored']} values")
        goal, step = rows[-1]["psnr"], reached(mean_curve(rows[0]), rows[-1]["psnr"])
        if step is not None and len(rows) > 1:
            axes.axhline(goal, color="#8a8d94", linewidth=0.8, linestyle="--")
            axes.axvline(step, color="#8a8d94", linewidth=0.8, linestyle="--")
        axes.legend(frameon=False, loc="lower right")


def sizes(data: Data, path: Path) -> None:
    """PSNR against values stored, a line per family of rows (the label up to its comma)."""
    families: dict[str, list[dict[str, Any]]] = {}
    for row in shown(data):
        families.setdefault(row["label"].split(",")[0], []).append(row)
    labels = {"xlabel": "values stored per picture", "ylabel": "PSNR / dB", "xscale": "log"}
    with plot(path, title=data["title"], size=(8.0, 5.0), **labels) as axes:
        for (family, rows), colour in zip(families.items(), COLOURS, strict=False):
            rows = sorted(rows, key=lambda row: row["values_stored"])
            x, y = [row["values_stored"] for row in rows], [row["psnr"] for row in rows]
            deviations = [row["deviation"] or 0 for row in rows]
            axes.errorbar(x, y, deviations, fmt="o", color=colour, markersize=4, capsize=3, label=family)
            axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.5)
            for row in rows:
                note = row["label"].split(",", 1)[-1].strip()
                place = (row["values_stored"], row["psnr"])
                axes.annotate(note, place, (4, 4), textcoords="offset points", fontsize=7, color=colour)
        axes.legend(frameon=False, loc="best")


def areas(data: Data, path: Path) -> None:
    """The locality number of every row beside its PSNR, a point per seed; colour and mark tell the rows apart."""
    share = "share of the picture that holds 90 % of a token's effect"
    with plot(path, title=heading(data), xlabel=share, ylabel="PSNR / dB", size=(9.0, 4.4)) as axes:
        for number, row in enumerate(shown(data)):
            points = [(run["locality"], run["psnr"]) for run in row["runs"] if run.get("locality") is not None]
            if points:
                name = f"{row['label']}: {row['locality']:.3f}, {row['values_stored']} values"
                colour, mark = COLOURS[number % len(COLOURS)], "os^Dv"[number // len(COLOURS) % 5]
                axes.plot(*zip(*points, strict=True), mark, color=colour, label=name)
        axes.set_xlim(0, 0.95)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def optimized(data: Data, path: Path) -> None:
    """PSNR against seconds of optimisation: a thin line per seed, a thick one for their mean."""
    labels = {"xlabel": "seconds per picture, encoding included", "ylabel": "PSNR / dB", "xscale": "log"}
    with plot(path, title=heading(data), size=(10.0, 4.6), **labels) as axes:
        for row in shown(data):
            good = [run for run in row["runs"] if not run.get("failure")]
            colour, line = STYLES[good[0]["system"]]
            seeds = [{point["seconds"]: point["psnr"] for point in run["curve"]} for run in good]
            times = sorted(set.intersection(*map(set, seeds)))
            for seed in seeds:
                axes.plot(times, [seed[at] for at in times], line, color=colour, alpha=0.35, linewidth=0.7)
            means = [statistics.fmean(seed[at] for seed in seeds) for at in times]
            label = f"{row['label']}: {row['psnr']:.1f} dB, {row['values_stored']} values"
            axes.plot(times, means, line, color=colour, linewidth=2, label=label)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


FIGURES: dict[str, Callable[[Data, Path], None]] = {
    "dots": dots, "curves": curves, "sizes": sizes, "locality": areas, "optimized": optimized,
}  # fmt: skip
"""What `Table.figure` names; `report` knows the figures that have files of their own."""
