"""The files a folder command could not use: named, counted, and no reason to stop."""

from pathlib import Path

from tokenfield.data.decoding import PictureError
from tokenfield.io.atomic import shown


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
        named = [f"{shown(Path(file).name)} ({reason})" for file, reason in list(self.reasons.items())[:show]]
        more = f" and {len(self) - show} more" if len(self) > show else ""
        count = f"{len(self)} of {total}" if total is not None else f"{len(self)}"
        return f"skipped {count}: {', '.join(named)}{more}"
