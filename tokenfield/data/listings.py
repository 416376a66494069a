"""Lists of picture files, and what it takes to make them from folders and text files."""

import contextlib
import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tokenfield.data.pictures import SUFFIXES
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown

T = TypeVar("T")


@dataclass(frozen=True)
class Listing:
    """The files of one split, in a fixed order, and their unique names: paths below the data set's folder, by slashes.

    `labels` are the class of each file, an index into `classes`; None and () where there are no classes.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    labels: tuple[int, ...] | None = None

    def keep(self, indices: Iterable[int]) -> "Listing":
        """The files at `indices` alone."""
        indices = list(indices)
        labels = None if self.labels is None else tuple(self.labels[i] for i in indices)
        return replace(self, paths=tuple(self.paths[i] for i in indices), names=tuple(self.names[i] for i in indices),
                       labels=labels)


def relative_listing(root: Path, paths: Iterable[Path]) -> Listing:
    """The files under `root`, named by their paths below it."""
    paths = tuple(paths)
    return Listing(paths, tuple(path.relative_to(root).as_posix() for path in paths))


def _entries(folder: Path, directories: bool) -> list[str]:
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir() == directories)
    except OSError as error:
        raise UserError(f"{shown(folder)}: the folder may not be read ({error.strerror})") from error


def folders_in(folder: Path) -> list[str]:
    """Names of the sub-folders that are not hidden, sorted; none if there is no such folder."""
    return _entries(folder, True)


def pictures_in(folder: Path) -> list[str]:
    """Names of the files that end like pictures and are not hidden, sorted; none if there is no such folder."""
    return [name for name in _entries(folder, False) if name.lower().endswith(SUFFIXES)]


def text_lines(file: Path) -> list[str]:
    """The lines of a small text file. Raises UserError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(file)}: cannot be read as text ({error.__class__.__name__})") from error


def shares(items: Sequence[T], parts: tuple[float, float], split: str) -> list[T]:
    """The part of a sorted list that a split by shares gives to training or testing.

    `parts` are the shares for training and for validation; what is left over is for testing, and validation is in
    neither.
    """
    begin = int(len(items) * parts[0])
    end = int(len(items) * (parts[0] + parts[1]) + 1e-9)  # 0.75 + 0.2 is a hair below 0.95
    return list(items[:begin] if split == "train" else items[end:])


def distinct(paths: tuple[Path, ...]) -> list[int]:
    """Indices of the files that are no copy of an earlier one, which a warning counts: they are read, but once.

    Only files of equal size are read to compare.
    """
    by_size = defaultdict(list)
    for index, path in enumerate(paths):
        with contextlib.suppress(OSError):                                   # a broken link: named when it is read
            by_size[path.stat().st_size].append(index)
    copies: dict[int, str] = {}
    for size, group in by_size.items():
        first: dict[bytes, Path] = {}
        for index in group if len(group) > 1 and size else ():
            digest = _digest(paths[index])
            if digest and digest in first:
                copies[index] = f"{shown(paths[index].name)} of {shown(first[digest].name)}"
            first.setdefault(digest, paths[index])
    if copies:
        more = f" and {len(copies) - 5} more" if len(copies) > 5 else ""
        warnings.warn(f"{len(copies)} of {len(paths)} pictures are copies of others and count once: "
                      f"{', '.join(list(copies.values())[:5])}{more}", stacklevel=2)
    return [index for index in range(len(paths)) if index not in copies]


def _digest(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""
