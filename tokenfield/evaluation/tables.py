"""Tables of text: aligned for a terminal, and as files: comma-separated values, LaTeX, Markdown."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenfield.errors import UserError, printable
from tokenfield.io.atomic import shown, write_whole

Rows = Sequence[Sequence[str]]
"""Cells; the first row is the heading. What is not printable in one, of a file's name perhaps, is escaped."""


def aligned(rows: Rows) -> str:
    """Rows as aligned text, the first column to the left and the others to the right."""
    rows = printable_cells(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip())
    return "\n".join(lines)


def printable_cells(rows: Rows) -> Rows:
    """The same in letters alone, so that a row is a line."""
    return [[*map(printable, row)] for row in rows]


def markdown(rows: Rows) -> str:
    """Rows as a table in Markdown."""
    heading, *body = (f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)
    return "\n".join([heading, "|---" * len(rows[0]) + "|", *body])


def as_csv(rows: Rows) -> str:
    """Rows as comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def as_latex(rows: Rows) -> str:
    """Rows as a `tabular` with the rules of booktabs."""
    signs = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
             **{sign: "\\" + sign for sign in "&%#_${}"}}
    heading, *body = (" & ".join("".join(signs.get(sign, sign) for sign in cell) for cell in row) + r" \\"
                      for row in rows)
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", r"\toprule", heading, r"\midrule", *body,
             r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[Rows], str]] = {".csv": as_csv, ".tex": as_latex,
                                             ".md": lambda rows: markdown(rows) + "\n"}
"""Endings of a table's file -> what is written there."""


def check_file(path: Path) -> None:
    """Raises UserError for a path that no table is written to: another ending, a folder, or text that is no table."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{shown(path)}: give a table's file a name ending in {', '.join(FORMATS)}")
    if path.is_dir():
        raise UserError(f"{shown(path)} is a folder; give a file name for the table")
    beginning = {".tex": rb"\begin{tabular}", ".md": b"|"}.get(path.suffix.lower(), b"")
    if path.is_file() and not path.read_bytes().startswith(beginning):
        raise UserError(f"{shown(path)} exists and is no table; it was left as it is: give another name for the table")


def write(path: Path, rows: Rows) -> None:
    """The table as a file, whole or absent, as the ending of its name says. Raises UserError for other endings."""
    check_file(path)
    write_whole(path, FORMATS[path.suffix.lower()](printable_cells(rows)))


def number(value: float | int | None, digits: int = 2) -> str:
    """A number for a table; a dash for one that there is not."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"
