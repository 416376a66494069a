"""What every command shares: results on stdout, everything else on stderr, progress, JSON, exit codes.

Results go to stdout, so that `tokenfield encode photos -o fields > list.txt` keeps them and nothing else; notices,
progress and errors go to stderr.
"""

import json as json_module
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro

OK = 0
"""Everything that was asked for was done."""
FAILED = 1
"""Nothing, or not the thing that was asked for, was done; one line on stderr says why."""
USAGE = 2
"""The command line itself was not understood."""
SKIPPED = 3
"""A folder was worked through, but some files in it were skipped; they are named and counted on stderr."""
INTERRUPTED = 130
"""Ctrl-C, as shells count it: 128 + SIGINT."""

PATIENCE = 2.0
"""Seconds after which a piece of work gets a progress bar."""

File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
Json = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
Out = Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="PATH")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]


class Usage(Exception):
    """A command line that names no command, or options that the command does not have."""


def say(text: str = "") -> None:
    """A line of results."""
    print(text)


def notice(text: str) -> None:
    """A line that is no result: what was skipped, where something was saved."""
    print(text, file=sys.stderr)


def fail(text: str) -> None:
    """The one line of an error, however many the message came with."""
    print(f"tokenfield: error: {' '.join(text.split())}", file=sys.stderr)


def warn(message: Any) -> None:
    """A Python warning as one line, without the path and the source line that Python would add."""
    print(f"tokenfield: warning: {' '.join(str(message).split())}", file=sys.stderr)


def write_json(path: Path | None, data: Any) -> None:
    """The results for machines, whole or not at all; nothing without a path. NaN is refused: it is no JSON."""
    if path is not None:
        from tokenfield.io.atomic import written_aside

        text = json_module.dumps(data, indent=2, allow_nan=False) + "\n"
        with written_aside(path) as file:
            file.write(text.encode())


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text, the first column to the left and the others to the right; the first row is the heading."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip())
    return "\n".join(lines)


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash for one that there is not."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def size_of(count: float | int) -> str:
    """Bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def finish(skipped: Any, total: int) -> int:
    """The end of a folder run: name and count the `SkippedFiles`, if any, and choose the exit code."""
    if not skipped:
        return OK
    notice(f"tokenfield: warning: {skipped.summary(total)}")
    return FAILED if len(skipped) >= total else SKIPPED


class Bar:
    """A progress bar that appears once the work has taken two seconds.

    Work is a number of files, each of which may tell how far it is: `file(i, name)`, then any number of
    `piece(done, total)`. Where stderr is no terminal a line every ten seconds says the same.
    """

    def __init__(self, label: str, files: int):
        from rich.console import Console

        self.label, self.files = label, max(1, files)
        self.console = Console(stderr=True, highlight=False)
        self.begun = self.said = time.monotonic()
        self.bar: Any = None
        self.done, self.name = 0, ""

    def file(self, index: int, name: str) -> None:
        """The work on file `index` (from 0) begins."""
        self.done, self.name = index, name
        self._show(index)

    def piece(self, done: int, total: int) -> None:
        """So many of the pieces of the current file are done."""
        self._show(self.done + done / max(1, total))

    def _show(self, done: float | int) -> None:
        now = time.monotonic()
        if now - self.begun < PATIENCE:
            return
        if self.console.is_terminal:
            if self.bar is None:
                from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

                columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
                # Results must reach a file or a pipe untouched; on a terminal they are printed above the bar.
                self.bar = Progress(
                    *columns, console=self.console, transient=True, redirect_stdout=sys.stdout.isatty()
                )
                self.task = self.bar.add_task(self.label, total=self.files)
                self.bar.start()
            self.bar.update(self.task, completed=done, description=f"{self.label} {self.name}"[:60])
        elif now - self.said >= 5 * PATIENCE:
            self.said = now
            notice(f"{self.label} {self.name}: {100 * done / self.files:.0f} %")

    def close(self) -> None:
        """Take the bar down."""
        if self.bar is not None:
            self.bar.stop()


@contextmanager
def progress(label: str, files: int = 1) -> Iterator[Bar]:
    """A `Bar` for the length of a block."""
    bar = Bar(label, files)
    try:
        yield bar
    finally:
        bar.close()
