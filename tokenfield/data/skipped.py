"""The files a folder command could not use: named, counted, and no reason to stop."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tokenfield.data.decoding import PictureError
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.progress import progress

T = TypeVar("T")


class SkippedFiles:
    """Names and reasons of the files that were left out, each file once, in the order of reading.

    Safe to share between threads. `if skipped:` is true when there are any.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def add(self, path: object, reason: str) -> None:
        """Notes one file; of a file with several reasons the first counts."""
        self.reasons.setdefault(str(path), reason)

    def catch(self, error: PictureError) -> None:
        """Notes the file that a reader refused."""
        self.add(error.path, error.reason)

    def __len__(self) -> int:
        return len(self.reasons)

    def as_json(self) -> list[dict[str, str]]:
        """`[{"file": ..., "reason": ...}, ...]` for machines."""
        return [{"file": file, "reason": reason} for file, reason in self.reasons.items()]

    def summary(self, total: int | None = None, *, show: int = 5) -> str:
        """One line for people: "skipped 3 of 10000: a.jpg (is empty (0 bytes)), b.png (...) and 1 more"; "" if none.

        `total` is how many files there were, those skipped included; `show`, how many to name.
        """
        if not self.reasons:
            return ""
        examples = [f"{shown(Path(file).name)} ({reason})" for file, reason in list(self.reasons.items())[:show]]
        more = f" and {len(self) - show} more" if len(self) > show else ""
        count = f"{len(self)} of {total}" if total is not None else f"{len(self)}"
        return f"skipped {count}: {', '.join(examples)}{more}"


def usable(
    items: Sequence[T], use: Callable[[T], object], skipped: SkippedFiles, label: str, things: str = "pictures"
) -> list[T]:
    """Those that `use` takes without a PictureError, in the order given; the others are noted in `skipped`.

    It runs in threads, with a progress bar when it takes more than two seconds. Raises UserError where none is left.
    """
    def attempt(item: T) -> PictureError | None:
        try:
            use(item)
        except PictureError as error:
            return error
        return None

    # Four photographs in memory at once are enough: decoding 24 megapixels takes 0.2 GB each.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="decoding") as threads:
        try:
            errors = list(progress(threads.map(attempt, items), len(items), label))
        except BaseException:
            threads.shutdown(cancel_futures=True)  # an interrupted run ends after the items in hand
            raise
    for error in filter(None, errors):
        skipped.catch(error)
    good = [item for item, error in zip(items, errors, strict=True) if error is None]
    if not good:
        raise UserError(f"none of the {len(items)} {things} can be used; {skipped.summary(len(items))}")
    return good
