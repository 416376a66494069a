"""A cache of decoded views on disk, so that a training step costs a copy and no decoding.

Every object is decoded once, composited on white, brought to the size of the data set, and written to one NPY file
of the cache (`tokenfield.io.cache`). The file's name is a hash of the pictures' paths, sizes and times of change and
of the JSON's content, so changed views are read anew.
"""

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.io import cache
from tokenfield.io.atomic import shown
from tokenfield.views.layouts import PosedFrames, read_object

Views = tuple[UInt8[np.ndarray, "n 3 s s"], Float32[np.ndarray, "n 4 4"], float]
"""Pictures, camera-to-world poses, horizontal field of view in radians."""

LARGER = "give larger views, or train a model of smaller ones (--data.size)"
"""What to do about views that are too small."""


def cached_views(transforms: Path, size: int, first: int | None = None, part: str = "") -> Views:
    """Views of the object that a `transforms*.json` or a COLMAP model describes, mapped read-only.

    They are decoded if they never were. `size` is their side in pixels; of `first` views only the beginning, of one
    file for both splits those of the `part`. Raises PictureError, naming the object.
    """
    frames = read_object(transforms, first, part)
    file = cache.cache_folder() / "views" / f"{identity(transforms.parent, frames, size)}.npy"
    pictures = cache.cached(file, lambda: decode(transforms.parent, frames, size))
    return pictures, frames.poses.astype(np.float32), frames.angle_x


def identity(folder: Path, frames: PosedFrames, size: int) -> str:
    """The name of an object's file: changed pictures, poses or sizes have another one."""
    digest = hashlib.sha256(f"{size} {frames.angle_x!r}".encode() + frames.poses.tobytes())
    digest.update(b"" if frames.boxes is None else frames.boxes.tobytes())
    for file in frames.pictures:
        try:
            digest.update(b"\0" + cache.identity(file))
        except OSError as error:
            raise PictureError(folder, f"its view {file.name} cannot be opened ({error.strerror})") from error
    return digest.hexdigest()[:32]


def decode(folder: Path, frames: PosedFrames, size: int) -> UInt8[np.ndarray, "n 3 s s"]:
    """The pictures of an object."""
    out = np.empty((len(frames.pictures), 3, size, size), np.uint8)
    boxes = [None] * len(out) if frames.boxes is None else list(frames.boxes)
    for place, file, box in zip(out, frames.pictures, boxes, strict=True):
        try:
            picture = read_rgb8(file)
            view = to_size(picture, size) if box is None else cut(picture, box, size)
            place[:] = view.transpose(2, 0, 1)
        except ValueError as error:
            reason = error.reason if isinstance(error, PictureError) else error
            raise PictureError(folder, f"its view {shown(file.name)} {reason}") from error
    return out


def cut(picture: UInt8[np.ndarray, "h w 3"], box: Float64[np.ndarray, " 4"], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """A box of a picture, in shares of its sides, as a square of `size` pixels. Raises ValueError for a smaller one."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box * [width, height, width, height]
    if min(right - left, bottom - top) < size - 0.5:
        raise ValueError(f"holds {right - left:.0f} x {bottom - top:.0f} pixels around its principal point, less than "
                         f"{size}; {LARGER}")
    if (left, top, right, bottom) == (0, 0, width, height) and width == height:
        return to_size(picture, size)
    # A triangle of weights: the mean over whole pixels alone would shift edges that fall between them by half of one.
    box_of_view = left, top, right, bottom
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR, box=box_of_view))


def to_size(picture: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """A square view at `size` pixels, each the mean of those it covers. Raises ValueError for other or smaller ones."""
    height, width = picture.shape[:2]
    if height != width:
        raise ValueError(f"is {width} x {height}; square views are read")
    if height < size:
        raise ValueError(f"is {width} x {height}, smaller than {size} pixels; {LARGER}")
    if height == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
