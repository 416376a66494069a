"""Tables of text: aligned for a terminal, and as Markdown."""

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]
"""Cells; the first row is the heading."""


def aligned(rows: Rows) -> str:
    """Rows as aligned text, the first column to the left and the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip())
    return "\n".join(lines)


def markdown(rows: Rows) -> str:
    """Rows as a table in Markdown."""
    heading, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([heading, "|---" * len(rows[0]) + "|", *body])


def number(value: float | int | None, digits: int = 2) -> str:
    """A number for a table; a dash for one that there is not."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"
