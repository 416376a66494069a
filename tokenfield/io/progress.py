"""A progress bar for work that turns out to take long, silence for work that does not."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds before a bar appears."""


def progress(items: Iterable[T], total: int, label: str, unit: str = "files") -> Iterator[T]:
    """Passes the items on; after two seconds a bar on standard error says how many are done and what is left.

    Where standard error is no terminal, one line with the label and the total is printed in place of the bar.
    """
    console = Console(stderr=True)
    bar: Progress | None = None
    begin = time.monotonic()
    said = False
    try:
        for done, item in enumerate(items):
            if not said and time.monotonic() - begin > PATIENCE:
                said = True
                if console.is_terminal:
                    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
                    bar = Progress(*columns, console=console, transient=True)
                    bar.start()
                    task = bar.add_task(label, total=total)
                else:
                    console.print(f"{label}: {total} {unit}", markup=False, highlight=False)
            if bar is not None:
                bar.update(task, completed=done + 1)
            yield item
    finally:
        if bar is not None:
            bar.stop()
