"""Dots of a table's rows, drawn from its JSON alone."""

from pathlib import Path

from tokenfield.comparison.report import heading, rows_with_result
from tokenfield.io.charts import COLOURS, GRID, plot
from tokenfield.io.record import Record


def dots(data: Record, path: Path) -> None:
    """PSNR of every row, with its deviation and the values stored behind its name.

    Dots and not bars, whose lengths would lie: no axis of decibels begins at nothing.
    """
    rows = rows_with_result(data)[::-1]
    with plot(path, title=heading(data), size=(10.0, 1.4 + 0.4 * len(rows)), xlabel="PSNR / dB") as axes:
        labels = [f"{row['label']} ({row['values_stored']} values)" for row in rows]
        spread = max(row["psnr"] for row in rows) - min(row["psnr"] for row in rows) or 1.0
        for y, row in enumerate(rows):
            colour, deviation = COLOURS[3 if row["extra"] else 1], row["deviation"] or 0
            axes.errorbar(row["psnr"], y, xerr=deviation, fmt="o", color=colour, capsize=3)
            at = (row["psnr"] + deviation + 0.02 * spread, y)
            axes.annotate(f"{row['psnr']:.2f}", at, va="center", color="0.3", fontsize=10)
        axes.set_yticks(range(len(rows)), labels)
        axes.margins(x=0.12)
        axes.grid(axis="both", color=GRID, linewidth=0.8)
