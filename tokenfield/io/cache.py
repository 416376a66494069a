"""The folder that this library has on a machine for itself: everything in it can be deleted at any time.

Arrays that take long to make are NPY files in it, mapped read-only. Files are written aside and renamed: processes that
make the same array at once do the work twice, but none ever reads half of it. A damaged one is made again.
"""

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from tokenfield.errors import DAMAGE, UserError
from tokenfield.io.atomic import shown, write_whole, written_aside


def cache_folder() -> Path:
    """`$TOKENFIELD_CACHE`, or `~/.cache/tokenfield`."""
    return Path(os.environ.get("TOKENFIELD_CACHE") or "~/.cache/tokenfield").expanduser()


def remember_model(digest: str, folder: Path) -> None:
    """Note where the model of a hash was when this machine used it last; where nothing can be noted, nothing is."""
    with suppress(UserError, OSError):
        if remembered_model(digest) != folder:
            write_whole(cache_folder() / "models" / digest, os.fsencode(folder) + b"\n")


def remembered_model(digest: str) -> Path | None:
    """Where a model was that this machine used before; None for one that it never had."""
    if len(digest) != 64 or not digest.isalnum():  # from a file, it may be anything
        return None
    with suppress(OSError, ValueError):
        return Path(os.fsdecode((cache_folder() / "models" / digest).read_bytes().rstrip(b"\n")))
    return None


HEADERS = threading.Lock()
"""NumPy parses headers by `ast`, which until CPython 3.11.8 counts its depth for all threads together and may fail."""
OPEN_FILES = 256
"""Arrays mapped at once by a source: each holds a file descriptor, and 1024 per process is a common limit."""


def identity(path: Path) -> bytes:
    """A file's path, size and time of change: of a changed file they are others. Raises OSError without the file."""
    status = path.stat()
    return f"{os.path.realpath(path)}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape")


def cached(file: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in a file of the cache, made if it is not there. Raises UserError where the file cannot be written."""
    array = open_array(file)
    if array is None:
        write_array(file, make())
        array = open_array(file)
    if array is None:
        raise UserError(f"{shown(file)}: the cache was written but cannot be read back; "
                        "set TOKENFIELD_CACHE to a folder on another disk")
    return array


def write_array(file: Path, array: np.ndarray) -> None:
    """Writes an NPY file. Raises UserError where that cannot be, or the disk lacks the room."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(file.parent).free
    except OSError as error:
        raise UserError(f"{shown(file.parent)}: the cache cannot be made here ({error.strerror}); "
                        "set TOKENFIELD_CACHE to a folder you may write to") from error
    if room < array.nbytes:
        raise UserError(f"{shown(file.parent)}: the cache needs {array.nbytes / 1e6:.0f} MB more and the disk has "
                        f"{room / 1e6:.0f}; free some space or set TOKENFIELD_CACHE to a folder on another disk")
    with written_aside(file) as out:
        np.save(out, array)


def open_array(file: Path) -> np.ndarray | None:
    """The array in an NPY file, mapped read-only; None if there is no such file or it is not whole."""
    try:
        with HEADERS:
            array = np.lib.format.open_memmap(file, mode="r")
        whole = array.offset + array.nbytes == file.stat().st_size
    except DAMAGE:
        return None
    return np.asarray(array) if whole else None  # a plain view: slicing np.memmap itself is slow
