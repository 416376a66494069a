"""A cache of decoded views on disk, so that a training step costs a copy and no decoding.

Every object is decoded once, composited on white, brought to the size of the data set, and written to one NPY file
below the cache folder (`tokenfield.data.pyramid.cache_folder`), which can be deleted at any time. The file's name is a
hash of the pictures' paths, sizes and times of change and of the JSON's content, so changed views are read anew. Files
are written aside and renamed; a damaged one is made again.
"""

import functools
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.data.pyramid import cache_folder
from tokenfield.data.skipped import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown, written_aside
from tokenfield.io.progress import progress
from tokenfield.views.layouts import Place, PosedFrames, read_object

OPEN_FILES = 256
"""Objects mapped at once: each holds a file descriptor, and 1024 per process is a common limit."""

Views = tuple[UInt8[np.ndarray, "n 3 s s"], Float32[np.ndarray, "n 4 4"], float]
"""Pictures, camera-to-world poses, horizontal field of view in radians."""


class ViewCache:
    """Views of objects at one size, decoded the first time and mapped afterwards. Safe between threads.

    Args:
        size: side of the views in pixels.
        first: only so many views of an object, from the beginning; None for all.
    """

    def __init__(self, size: int, first: int | None = None):
        self.size, self.first, self.folder = size, first, cache_folder() / "views"
        self.views = functools.lru_cache(OPEN_FILES)(self._views)
        """`transforms*.json` -> its views, read-only. Raises PictureError naming the object."""

    def _views(self, transforms: Path) -> Views:
        frames = read_object(transforms, self.first)
        file = self.folder / f"{self._identity(transforms.parent, frames)}.npy"
        shape = (len(frames.pictures), 3, self.size, self.size)
        pictures = open_pictures(file, shape)
        if pictures is None:
            with written_aside(file) as out:
                np.save(out, self._decode(transforms.parent, frames))
            pictures = open_pictures(file, shape)
        if pictures is None:
            raise UserError(f"{shown(file)}: the cache of views was written but cannot be read back; "
                            "set TOKENFIELD_CACHE to a folder on another disk")
        return pictures, frames.poses.astype(np.float32), frames.angle_x

    def _identity(self, folder: Path, frames: PosedFrames) -> str:
        digest = hashlib.sha256(f"{self.size} {frames.angle_x!r}".encode() + frames.poses.tobytes())
        for file in frames.pictures:
            try:
                status = file.stat()
            except OSError as error:
                raise PictureError(folder, f"its view {file.name} cannot be opened ({error.strerror})") from error
            identity = f"\0{os.path.realpath(file)}\0{status.st_size}\0{status.st_mtime_ns}"
            digest.update(identity.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:32]

    def _decode(self, folder: Path, frames: PosedFrames) -> UInt8[np.ndarray, "n 3 s s"]:
        out = np.empty((len(frames.pictures), 3, self.size, self.size), np.uint8)
        for place, file in zip(out, frames.pictures, strict=True):
            try:
                place[:] = to_size(read_rgb8(file), self.size).transpose(2, 0, 1)
            except (PictureError, ValueError) as error:
                reason = error.reason if isinstance(error, PictureError) else error
                raise PictureError(folder, f"its view {shown(file.name)} {reason}") from error
        return out

    def build(self, places: Sequence[Place], skipped: SkippedFiles, fewest: int) -> list[Place]:
        """Makes the files of all objects; returns those objects that have one, in the same order.

        The others, and objects with fewer views than `fewest`, are noted in `skipped` with the reason.
        """
        def fault(place: Place) -> PictureError | None:
            try:
                count = len(self.views(place[1])[0])
            except PictureError as error:
                return error
            return PictureError(place[1].parent, f"has {count} views, {fewest} are needed") if count < fewest else None

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="views") as threads:
            try:
                results = threads.map(fault, places)
                faults = list(progress(results, len(places), f"decoding views into {self.folder}"))
            except BaseException:
                threads.shutdown(cancel_futures=True)  # an interrupted build ends after the objects in hand
                raise
        for error in filter(None, faults):
            skipped.catch(error)
        return [place for place, error in zip(places, faults, strict=True) if error is None]


def to_size(picture: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """A square view at `size` pixels, each the mean of those it covers. Raises ValueError for other or smaller ones."""
    height, width = picture.shape[:2]
    if height != width:
        raise ValueError(f"is {width} x {height}; square views are read")
    if height < size:
        raise ValueError(f"is {width} x {height}, smaller than {size} pixels; lower data.size")
    if height == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))


def open_pictures(file: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "n 3 s s"] | None:
    """The pictures in a file, mapped read-only; None if there is no such file or it is not whole."""
    try:
        pictures = np.asarray(np.load(file, mmap_mode="r"))
    except (OSError, ValueError, EOFError):
        return None
    return pictures if pictures.shape == shape and pictures.dtype == np.uint8 else None
