"""Figures of the papers' tables that no other comparison has, drawn from a table's JSON alone."""

import statistics
from collections.abc import Callable
from pathlib import Path

from experiments.factorial.figure import effects
from experiments.race.figure import race
from experiments.tables.dots import dots
from tokenfield.comparison.report import curves, heading, rows_with_result
from tokenfield.evaluation.optimization_curves import STYLES
from tokenfield.io.charts import COLOURS, plot
from tokenfield.io.record import Record


def areas(data: Record, path: Path) -> None:
    """The locality number of every row beside its PSNR, a point per seed; colour and mark tell the rows apart."""
    share = "share of the picture that holds 90 % of a token's effect"
    with plot(path, title=heading(data), xlabel=share, ylabel="PSNR / dB", size=(11.0, 4.8)) as axes:
        for number, row in enumerate(rows_with_result(data)):
            points = [(run["locality"], run["psnr"]) for run in row["runs"] if run.get("locality") is not None]
            if points:
                name = f"{row['label']}: {row['locality']:.3f}, {row['values_stored']} values"
                colour, mark = COLOURS[number % len(COLOURS)], "os^Dv"[number // len(COLOURS) % 5]
                axes.plot(*zip(*points, strict=True), mark, color=colour, label=name)
        axes.set_xlim(0, 0.95)


def optimized(data: Record, path: Path) -> None:
    """PSNR against seconds of optimisation: a thin line per seed, a thick one for their mean."""
    labels = {"xlabel": "seconds per picture, encoding included", "ylabel": "PSNR / dB", "xscale": "log"}
    with plot(path, title=heading(data), size=(12.0, 4.8), **labels) as axes:
        for row in rows_with_result(data):
            good = [run for run in row["runs"] if not run.get("failure")]
            colour, line = STYLES[good[0]["system"]]
            seeds = [{point["seconds"]: point["psnr"] for point in run["curve"]} for run in good]
            times = sorted(set.intersection(*map(set, seeds)))
            for seed in seeds:
                axes.plot(times, [seed[at] for at in times], line, color=colour, alpha=0.35, linewidth=0.7)
            means = [statistics.fmean(seed[at] for seed in seeds) for at in times]
            label = f"{row['label']}: {row['psnr']:.1f} dB, {row['values_stored']} values"
            axes.plot(times, means, line, color=colour, linewidth=2, label=label)


FIGURES: dict[str, Callable[[Record, Path], None]] = {
    "dots": dots, "curves": curves, "locality": areas, "optimized": optimized, "race": race,
    "factorial": effects,
}  # fmt: skip
"""What `Table.figure` names."""
