"""Charts in one look: the palette, axes, letters, and where the names of curves stand.

Colours are told apart by colour-blind readers; letters can be read where a figure is shown at half its size; the names
of curves stand beside the axes, where they hide nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tokenfield.io.atomic import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER, INK, FAINT = "#ffffff", "#222428", "#787c84"
GRID, RULE, AXIS = "#e6e7ea", "#8a8d94", "#b9bcc4"
"""Lines behind a chart, lines that mark a level in it, and curves of little weight."""
MISSING, SHADE = "#d8d5cf", "#f4f2ee"
"""Cells of a map that have no value; a part of a chart that is another regime."""
COLOURS = ("#d55e00", "#009e73", "#e69f00", "#0072b2", "#cc79a7", "#56b4e9")
"""One per token, curve, ...: those of Okabe and Ito (2008), which colour-blind readers tell apart."""
LETTERS, DOTS = 11, 140
"""Points of a letter, dots per inch: 21 pixels, 11 at half size."""


@contextmanager
def charts(path: Path, *titles: str, size: tuple[float, float], columns: int = 2,
           **labels: str) -> Iterator[list["Axes"]]:
    """Charts in one PNG file, row by row, which is written when the block ends; yields the axes of each.

    `size` is in inches; `labels` are what `Figure.add_subplot` takes: xlabel, ylabel, xscale, ... What several charts
    call alike is named once.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context({"font.size": LETTERS, "axes.titlesize": LETTERS + 1}):
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
        FigureCanvasAgg(figure)  # no display, and no global state of pyplot
        columns = min(columns, len(titles))
        every = [figure.add_subplot(-(-len(titles) // columns), columns, n + 1, **labels) for n in range(len(titles))]
        for axes, title in zip(every, titles, strict=True):
            axes.set_title(title, loc="left", color=INK)
            axes.grid(axis="y", color=GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        yield every
        pairs = [pair for axes in every[::-1] for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
        if names := {name: curve for curve, name in pairs}:
            figure.legend(names.values(), names, loc="outside right center", frameon=False)
        with written_aside(path) as file:
            figure.savefig(file, format="png", dpi=DOTS)


@contextmanager
def plot(path: Path, *, title: str, size: tuple[float, float] = (9.5, 4.6), **labels: str) -> Iterator["Axes"]:
    """One chart; see `charts`."""
    with charts(path, title, size=size, columns=1, **labels) as (axes,):
        yield axes
