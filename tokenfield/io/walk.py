"""Going through folders: nothing hidden, links followed once, no folder passed over because it may not be read."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.io.atomic import shown

Unreadable = Callable[[str, str], None]
"""Notes a folder and why it may not be read."""


def walk(folder: Path, unreadable: Unreadable | None = None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Every folder below one, itself first, with the names of folders and files in it, sorted; see `os.walk`.

    Raises UserError where it may not be read, and for those below it unless `unreadable` notes them.
    """
    visited: set[str] = set()

    def note(error: OSError) -> None:
        reason = f"the folder may not be read ({error.strerror})"
        if unreadable is None or Path(error.filename) == folder:
            raise UserError(f"{shown(error.filename)}: {reason}") from error
        unreadable(error.filename, reason)

    for root, folders, files in os.walk(folder, followlinks=True, onerror=note):
        real = os.path.realpath(root)
        if real in visited:  # a link that leads back up would be walked for ever
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # Also the ._ companions are hidden that some systems leave beside every file.
        yield Path(root), folders, sorted(name for name in files if not name.startswith("."))


def files_below(folder: Path, unreadable: Unreadable | None = None) -> list[Path]:
    """Every file below a folder, sorted by its path; see `walk`."""
    return sorted(root / name for root, _, files in walk(folder, unreadable) for name in files)
