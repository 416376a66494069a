"""Curves, drawn from a table's JSON alone, so that they can be drawn again without the runs."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from tokenfield.io.charts import COLOURS, RULE, plot
from tokenfield.io.record import Record


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
