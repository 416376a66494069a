"""The figure of the factorial: what every change does on average, when taken from all, and when added to LAINR."""

from pathlib import Path

from experiments.factorial.rows import analysis
from tokenfield.io.atomic import written_aside
from tokenfield.io.charts import COLOURS, FAINT, GRID, INK, RULE
from tokenfield.io.record import Record

PANELS = (("main", "on average over the design"), ("taken", "taken from all changes"), ("added", "added to LAINR"))
POSITIVE, NEGATIVE = COLOURS[1], COLOURS[0]


def effects(data: Record, path: Path) -> None:
    """Three panels of bars over the same changes, on one scale; whiskers are standard errors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    effects = analysis(data["rows"])
    effects["main"] = effects["main"] + [item | {"name": "content"} for item in effects["content"]]
    mean = {item["name"]: item["effect"] for item in effects["main"]}
    names = sorted({item["name"] for item in effects["taken"]} | set(mean), key=lambda name: mean.get(name, -99.0))
    place = {name: i for i, name in enumerate(names)}
    bars = [item for key, _ in PANELS for item in effects[key]]
    low = min([0.0, *(item["effect"] - (item["error"] or 0) for item in bars)])
    high = max([0.0, *(item["effect"] + (item["error"] or 0) for item in bars)])
    reach = max(high - low, 1e-3)
    figure = Figure(figsize=(11.5, 1.1 + 0.4 * len(names)), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for column, (key, title) in enumerate(PANELS, 1):
        axes = figure.add_subplot(1, 3, column)
        items = effects[key]
        heights = [place[item["name"]] for item in items]
        values, errors = [item["effect"] for item in items], [item["error"] or 0 for item in items]
        colours = [POSITIVE if value >= 0 else NEGATIVE for value in values]
        axes.barh(heights, values, xerr=errors, color=colours, height=0.62, ecolor=FAINT,
                  error_kw={"elinewidth": 1, "capsize": 2})
        for y, value, error in zip(heights, values, errors, strict=True):
            beyond = value + (error + 0.015 * reach) * (1 if value >= 0 else -1)
            axes.annotate(f"{value:+.1f}", (beyond, y), va="center", ha="left" if value >= 0 else "right", fontsize=10,
                          color=INK)
        axes.set_xlim(low - 0.2 * reach, high + 0.2 * reach)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_yticks(range(len(names)), names if column == 1 else [""] * len(names), fontsize=11, color=INK)
        axes.set_title(title, loc="left", fontsize=11, color=INK)
        axes.set_xlabel("dB", fontsize=11, color=FAINT)
        axes.axvline(0, color=RULE, linewidth=0.8)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False, labelsize=10, colors=FAINT)
        axes.tick_params(axis="y", labelcolor=INK, labelsize=11)
    with written_aside(path) as file:
        figure.savefig(file, format="png", dpi=140)
