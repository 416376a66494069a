"""Photographs as stacks of ever smaller copies, decoded, on disk.

A random crop of a 24-megapixel JPEG costs a second when the file is decoded for it, and ten microseconds when the
pixels already lie on disk uncompressed and are mapped into memory. So every photograph is decoded once, halved until it
is small, and all its levels are written to one file in the cache folder: `$TOKENFIELD_CACHE`, or `~/.cache/tokenfield`.
It takes four bytes per pixel of the photograph; the folder can be deleted at any time.

The file's name is a hash of the photograph's path, size and time of change, so a changed photograph is decoded anew.
Files are written aside and renamed: processes that build the same pyramid at once do the work twice, but none ever
reads half of it. A file that is damaged all the same is built again.
"""

import functools
import hashlib
import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.data.skipped import SkippedFiles, usable
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown, written_aside

SMALLEST = 16
"""Halving stops before a level whose shorter side would be below this many pixels."""

HEAD = struct.Struct("<8sII")
MAGIC = b"tfpyr-1\n"
"""A pyramid file: MAGIC, height, width (little-endian), then the levels, a byte per value, row-major (y, x, rgb)."""

OPEN_FILES = 256
"""Pyramids mapped at once: each holds a file descriptor, and 1024 per process is a common limit."""

Levels = tuple[UInt8[np.ndarray, "_h _w 3"], ...]


def cache_folder() -> Path:
    """Where pyramids are kept: `$TOKENFIELD_CACHE`, or `~/.cache/tokenfield`."""
    return Path(os.environ.get("TOKENFIELD_CACHE") or "~/.cache/tokenfield").expanduser()


def level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of every level, the picture itself first, each half the one before, rounded down."""
    shapes = [(height, width)]
    while min(height, width) // 2 >= SMALLEST:
        height, width = height // 2, width // 2
        shapes.append((height, width))
    return shapes


def levels_of(picture: UInt8[np.ndarray, "h w 3"]) -> Levels:
    """The pyramid of a picture: each level is the mean of 2 x 2 pixels of the one before, rounded to 8 bits.

    An odd last row or column is left out of the level below, so that every pixel there averages four.
    """
    levels = [picture]
    for height, width in level_shapes(*picture.shape[:2])[1:]:
        image = Image.fromarray(levels[-1])
        levels.append(np.asarray(image.reduce(2, box=(0, 0, 2 * width, 2 * height))))
    return tuple(levels)


class PyramidCache:
    """Pyramids of picture files, built at first use, mapped afterwards. Safe between threads and processes."""

    def __init__(self) -> None:
        self.folder = cache_folder() / "pyramids"
        self.levels = functools.lru_cache(OPEN_FILES)(self._levels)
        """path -> its levels, read-only views of the mapped file. Raises PictureError as `read_picture` does."""

    def file(self, path: Path) -> Path:
        """Where the pyramid of a picture lies, whether it exists or not. The picture has to exist (PictureError)."""
        try:
            status = path.stat()
        except OSError as error:
            raise PictureError(path, f"cannot be opened ({error.strerror})") from error
        identity = f"{os.path.realpath(path)}\0{status.st_size}\0{status.st_mtime_ns}"
        return self.folder / f"{hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.pyramid"

    def _levels(self, path: Path) -> Levels:
        file = self.file(path)
        levels = open_pyramid(file)
        if levels is None:
            write_pyramid(file, levels_of(read_rgb8(path)))
            levels = open_pyramid(file)
        if levels is None:
            raise UserError(f"{shown(file)}: the crop cache was written but cannot be read back; "
                            "set TOKENFIELD_CACHE to a folder on another disk")
        return levels

    def build(self, paths: Sequence[Path], skipped: SkippedFiles) -> list[Path]:
        """Makes sure that every picture has its pyramid; see `usable`.

        Raises UserError if the cache folder cannot be written, or its disk is full.
        """
        return usable(paths, self.levels, skipped, f"decoding pictures into {self.folder}")


def write_pyramid(file: Path, levels: Levels) -> None:
    """Writes the levels as one array file. Raises UserError where that cannot be, or the disk lacks the room."""
    size = HEAD.size + sum(level.nbytes for level in levels)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(file.parent).free
    except OSError as error:
        raise UserError(f"{shown(file.parent)}: the crop cache cannot be made here ({error.strerror}); "
                        "set TOKENFIELD_CACHE to a folder you may write to") from error
    if room < size:
        raise UserError(f"{shown(file.parent)}: the crop cache needs {size / 1e6:.0f} MB more and the disk has "
                        f"{room / 1e6:.0f}; free some space or set TOKENFIELD_CACHE to a folder on another disk")
    with written_aside(file) as out:
        out.write(HEAD.pack(MAGIC, *levels[0].shape[:2]))
        for level in levels:
            out.write(np.ascontiguousarray(level).data)


def open_pyramid(file: Path) -> Levels | None:
    """The levels of a pyramid file, mapped read-only; None if there is no such file or it is not whole."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(HEAD.size)
            magic, height, width = HEAD.unpack(head) if len(head) == HEAD.size else (b"", 0, 0)
            shapes = level_shapes(height, width)
            size = HEAD.size + sum(3 * h * w for h, w in shapes)
            if magic != MAGIC or os.fstat(opened.fileno()).st_size != size:
                return None
            data = np.asarray(np.memmap(opened, np.uint8, mode="r"))  # a plain view: slicing np.memmap itself is slow
    except OSError:
        return None
    parts = np.split(data[HEAD.size :], np.cumsum([3 * h * w for h, w in shapes])[:-1])
    return tuple(part.reshape(*shape, 3) for part, shape in zip(parts, shapes, strict=True))
