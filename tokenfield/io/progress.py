"""A progress bar for work that turns out to take long, silence for work that does not."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from tokenfield.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds before a bar appears."""


class Bar:
    """A progress bar that appears once the work has taken two seconds; `with closing(Bar(...)) as bar`.

    Work is a number of files, `file(i, name)`, each in any number of pieces, `piece(done, total)`. Where stderr is no
    terminal a line every ten seconds says the same.
    """

    def __init__(self, label: str, files: int = 1):
        from rich.console import Console  # not before it is used: a command's help needs no bar

        self.label, self.files = label, max(1, files)
        self.console = Console(stderr=True, highlight=False, emoji=False)
        self.start = self.printed = time.monotonic()
        self.bar: Progress | None = None
        self.done, self.name = 0, ""

    def file(self, index: int, name: str = "") -> None:
        """The work on file `index` (from 0) begins."""
        self.done, self.name = index, printable(name)
        self._show(index)

    def piece(self, done: int, total: int) -> None:
        """So many of the pieces of the current file are done."""
        self._show(self.done + done / max(1, total))

    def _show(self, done: float | int) -> None:
        now, text = time.monotonic(), f"{self.label} {self.name}".rstrip()
        if now - self.start < PATIENCE:
            return
        if self.console.is_terminal and not self.console.is_dumb_terminal:  # TERM=dumb moves no cursor
            if self.bar is None:
                from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

                text_column = TextColumn("{task.description}", markup=False)  # [/] is a name like others
                columns = text_column, BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
                # Results must reach a file or a pipe untouched; on a terminal they are printed above the bar.
                above = sys.stdout.isatty()
                self.bar = Progress(*columns, console=self.console, transient=True, redirect_stdout=above)
                self.task = self.bar.add_task(self.label, total=self.files)
                self.bar.start()
            self.bar.update(self.task, completed=done, description=text[:60])
        elif now - self.printed >= 5 * PATIENCE:
            self.printed = now
            print(f"{text}: {100 * done / self.files:.0f} %", file=sys.stderr)

    def close(self) -> None:
        """Take the bar down."""
        if self.bar is not None:
            self.bar.stop()


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Passes the items on, with a bar for so many of them."""
    with closing(Bar(label, total)) as bar:
        for index, item in enumerate(items):
            bar.file(index)
            yield item
