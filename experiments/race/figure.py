"""The figure of the race: a panel per picture size, PSNR against processor seconds, a line per system with its name."""

import statistics
from pathlib import Path
from typing import Any

from tokenfield.comparison.report import rows_with_result
from tokenfield.io.atomic import written_aside
from tokenfield.io.charts import AXIS, COLOURS, FAINT, GRID, INK
from tokenfield.io.record import Record

STYLES: dict[str, tuple[str, str, str]] = {
    "anchored": ("anchored (linear)", COLOURS[0], "-"),
    "anchored-random": ("anchored (random)", COLOURS[0], "--"),
    "lainr": ("LAINR (local)", COLOURS[1], "-"),
    "lainr-published": ("LAINR (published)", COLOURS[1], "--"),
    "anr": ("ANR (local)", COLOURS[3], "-"),
    "ipc": ("IPC", COLOURS[4], "-"),
    "trans-inr": ("TransINR", COLOURS[2], "-"),
    "gb-lsr": ("GB-LSR", COLOURS[5], "-"),
    "liif": ("LIIF (per pixel)", COLOURS[5], "--"),
}
"""Name in the figure, colour and line of a system: the same in every panel, and in every figure of the race."""


def split_name(recipe: str) -> tuple[str, int]:
    """System and size of a row, which `recipe` names: race-SYSTEM-SIZE."""
    system, size = recipe.removeprefix("race-").rsplit("-", 1)
    return system, int(size)


def mean_course(row: Record) -> list[tuple[float, float]]:
    """(processor seconds, PSNR), means over the seeds, at the steps that all seeds were measured at.

    The last point of every run is at its own step, so it is matched by its place and not by the step.
    """
    curves = [run["curve"] for run in row["runs"] if run.get("curve")]
    if not curves:
        return []
    measured = [{point["step"]: point for point in curve[:-1]} for curve in curves]
    steps = sorted(set.intersection(*(set(points) for points in measured)))
    matched = [[points[step] for points in measured] for step in steps] + [[curve[-1] for curve in curves]]
    mean = statistics.fmean
    return [(mean(point["seconds"] for point in same), mean(point["psnr"] for point in same)) for same in matched]


def spread(places: list[float], gap: float) -> list[float]:
    """Heights of labels: as near to where they belong as they can be, `gap` apart, in the same order.

    Labels that would touch become a block around the mean of where they belong, and blocks that would touch merge.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    blocks: list[list[int]] = []

    def bottom(block: list[int]) -> float:
        return statistics.fmean(places[i] for i in block) - gap * (len(block) - 1) / 2

    for i in order:
        blocks.append([i])
        while len(blocks) > 1 and bottom(blocks[-1]) < bottom(blocks[-2]) + gap * len(blocks[-2]):
            last = blocks.pop()
            blocks[-1] += last
    heights = [0.0] * len(places)
    for block in blocks:
        for k, i in enumerate(block):
            heights[i] = bottom(block) + gap * k
    return heights


def race(data: Record, path: Path) -> None:
    """All panels; nothing but the table's JSON is needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: dict[int, dict[str, Record]] = {}
    for row in rows_with_result(data):
        system, size = split_name(row["recipe"])
        panels.setdefault(size, {})[system] = row
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.9 * columns, 0.7 + 3.3 * lines), facecolor="white")
    FigureCanvasAgg(figure)
    for place, (size, systems) in enumerate(sorted(panels.items()), 1):
        panel(figure.add_subplot(lines, columns, place), size, systems)
    tall = figure.get_figheight()
    figure.subplots_adjust(left=0.1 / columns, right=1 - 0.36 / columns, top=1 - 0.72 / tall, bottom=0.36 / tall,
                           wspace=0.74, hspace=0.34)
    figure.text(0.012, 1 - 0.22 / tall, "Held-out PSNR, dB, by processor seconds",
                fontsize=11.5, color=INK, fontweight="bold", va="center")
    with written_aside(path) as file:
        figure.savefig(file, format="png", dpi=160)


def panel(axes: Any, size: int, systems: dict[str, Record]) -> None:
    """One picture size."""
    courses = {system: mean_course(systems[system]) for system in STYLES if system in systems}
    courses = {system: course for system, course in courses.items() if course}
    ends = {system: course[-1] for system, course in courses.items()}
    last, first = max(x for x, _ in ends.values()), min(course[0][0] for course in courses.values())
    levels = [y for course in courses.values() for _, y in course]
    low, high = min(levels) - 1, max(levels) + 1.5
    low = max(low, min(y for _, y in ends.values()) - 4)  # what a system does in its first steps may be cut
    for system, course in reversed(courses.items()):
        _, colour, line = STYLES[system]
        width = 2.4 if system.startswith("anchored") else 1.6
        axes.plot(*zip(*course, strict=True), line, color=colour, linewidth=width, solid_capstyle="round")
        for run in systems[system]["runs"] if len(systems[system]["runs"]) > 1 else []:
            points = [(point["seconds"], point["psnr"]) for point in run.get("curve", [])]
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.4)
        axes.plot(*ends[system], "o", color=colour, markersize=4, clip_on=False, zorder=3)
    heights = spread([y for _, y in ends.values()], (high - low) * 0.072)
    for (system, (_, y)), height in zip(ends.items(), heights, strict=True):
        name, colour, _ = STYLES[system]
        axes.annotate(f"{y:.1f}  {name}", xy=(1, y), xytext=(1.05, height), xycoords=("axes fraction", "data"),
                      textcoords=("axes fraction", "data"), color=colour, fontsize=8.5, va="center",
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3,
                                  "relpos": (0, 0.5)})
    values = sorted({row["values_stored"] for system, row in systems.items() if system != "liif"})
    stored = f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"
    axes.set_title(f"{size} px", loc="left", fontsize=10.5, color=INK)
    axes.set_title(f"{stored} values stored", loc="right", fontsize=8.5, color=FAINT)
    axes.set_xscale("log")
    axes.set_xlim(max(first, last / 1000), last)
    axes.set_ylim(low, high)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(AXIS)
    axes.tick_params(labelsize=8.5, colors=FAINT, which="both")
    marks = [mark for mark in (1, 3, 10, 30, 100, 300, 1000) if mark < 0.75 * last]
    axes.set_xticks([*marks, last], [*map(str, marks), f"{last:.0f} s"])
    axes.minorticks_off()
