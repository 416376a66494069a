"""Photographs as stacks of ever smaller copies, decoded, on disk.

A random crop of a 24-megapixel JPEG costs a second when the file is decoded for it, and ten microseconds when the
pixels already lie on disk uncompressed and are mapped into memory. So every photograph is decoded once, halved until it
is small, and all its levels are written to one file of the cache (`io.cache`), four bytes per pixel of the photograph.
"""

import functools
import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.data.shards import identity
from tokenfield.io import cache

SMALLEST = 16
"""Halving stops before a level whose shorter side would be below this many pixels."""

Levels = tuple[UInt8[np.ndarray, "_h _w 3"], ...]


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


def packed(levels: Levels) -> np.ndarray:
    """Levels as the fields of one record, which is what a file holds."""
    record = np.empty(1, [(f"level {number}", np.uint8, level.shape) for number, level in enumerate(levels)])
    for name, level in zip(record.dtype.names or (), levels, strict=True):
        record[name] = level
    return record


class PyramidCache:
    """Pyramids of picture files, built at first use, mapped afterwards. Safe between threads and processes."""

    def __init__(self) -> None:
        self.folder = cache.cache_folder() / "pyramids"
        self.levels = functools.lru_cache(cache.OPEN_FILES)(self._levels)
        """path -> its levels, read-only views of the mapped file. Raises PictureError as `read_picture` does."""

    def _levels(self, path: Path) -> Levels:
        try:
            name = hashlib.sha256(identity(path)).hexdigest()[:32]
        except OSError as error:
            raise PictureError(path, f"cannot be opened ({error.strerror})") from error
        record = cache.cached(self.folder / f"{name}.npy", lambda: packed(levels_of(read_rgb8(path))))
        return tuple(record[level][0] for level in record.dtype.names or ())
