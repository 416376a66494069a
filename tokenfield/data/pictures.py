"""Pictures in and out: files and folders, checked when they are read.

Inside the package a picture is float32 (C, H, W) in [0, 1], upright, alpha composited on white. Everything that files
do differently is dealt with here, once; what cannot be is a `UserError` of one line.
"""

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from tokenfield.data.decoding import PictureError as PictureError
from tokenfield.data.decoding import on_white
from tokenfield.data.decoding import read_picture as read_picture
from tokenfield.data.deep import ENDINGS
from tokenfield.data.shards import shard_of
from tokenfield.data.skipped import SkippedFiles as SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown, written_aside
from tokenfield.io.record import Record

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm",
            ".jp2", ".avif", ".qoi", *(ending for endings in ENDINGS.values() for ending in endings))
"""Endings, in any case, of the files that `find_pictures` takes for pictures: also of kinds that a package of their own
reads, so that they are named and counted where it is absent."""

WRITERS: dict[str, tuple[str, Record]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".bmp": ("BMP", {}),
}
"""Ending -> Pillow's format and options. All 8 bits per channel; JPEG alone loses something."""


def read_pictures(paths: Iterable[str | Path], skipped: SkippedFiles) -> Iterator[tuple[Path, Float[Tensor, "c h w"]]]:
    """Reads one picture after another; files that cannot be read are noted in `skipped` and left out."""
    for path in map(Path, paths):
        try:
            picture = read_picture(path)
        except PictureError as error:
            skipped.catch(error)
        else:
            yield path, picture


def find_pictures(folder: str | Path, skipped: SkippedFiles | None = None) -> list[Path]:
    """Every picture file under a folder, by its ending, sorted by its path relative to the folder.

    Hidden files and folders are passed over; links to folders are followed, each folder once. The order is that of the
    names alone and so the same on every machine. A path that is a file, also one in a shard, is returned as the only
    one.

    Raises UserError for no such folder, no pictures in it, and, unless `skipped` notes them, sub-folders that may not
    be read.
    """
    folder = Path(folder)
    if folder.is_file() or shard_of(folder):
        return [folder]
    if not folder.is_dir():
        raise UserError(f"{shown(folder)}: no such folder; give a folder of pictures or a picture")
    paths: list[Path] = []
    others = 0
    visited: set[str] = set()

    def unreadable(error: OSError) -> None:
        if skipped is None or Path(error.filename) == folder:
            raise UserError(f"{shown(error.filename)}: the folder may not be read ({error.strerror})") from error
        skipped.add(error.filename, f"the folder may not be read ({error.strerror})")

    for root, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(root)
        if real in visited:                  # a link that leads back up would be walked for ever
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.startswith("."):      # also the ._ companions that some systems leave beside every file
                continue
            if name.lower().endswith(SUFFIXES):
                paths.append(Path(root, name))
            else:
                others += 1
    if not paths:
        holds = f"holds {others} files, none of them a picture" if others else "holds no pictures"
        raise UserError(f"{shown(folder)}: {holds}; files ending in {' '.join(SUFFIXES)} are read")
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())


def write_picture(path: str | Path, image: Tensor) -> None:
    """Writes a picture, its values clamped to [0, 1] and rounded to 8 bits.

    The file is written aside and renamed: it is whole or, after an error, as it was. Missing folders are made. The path
    ends in one of `WRITERS`; the picture (C, H, W) has 1, 3 or 4 channels: grey, RGB, RGBA, which is composited on
    white where the format, JPEG or BMP, has no alpha. Raises UserError for another ending or shape, values that are not
    finite, or a file that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise UserError(f"{shown(path)}: cannot write pictures ending in {path.suffix or 'nothing'}; "
                        f"give a name ending in {' '.join(WRITERS)}")
    image = image.detach().cpu().float()
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4) or 0 in image.shape:
        raise UserError(f"{shown(path)}: cannot write a picture of shape {tuple(image.shape)}; "
                        "give (1, H, W), (3, H, W) or (4, H, W)")
    bad = int((~image.isfinite()).sum())
    if bad:
        raise UserError(f"{shown(path)}: the picture has {bad} values that are NaN or infinite and was not written")
    kind, options = WRITERS[path.suffix.lower()]
    image = image.clamp(0, 1)
    if image.shape[0] == 4 and kind in ("JPEG", "BMP"):
        image = on_white(image)
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()   # (H, W, C)
    pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    buffer = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, kind, **options)
    except (OSError, ValueError, MemoryError) as error:      # such as 65501 pixels wide as JPEG
        raise UserError(f"{shown(path)}: a picture of {image.shape[2]} x {image.shape[1]} pixels cannot be written as "
                        f"{kind} ({' '.join(str(error).split())}); try .png") from error
    with written_aside(path) as file:
        file.write(buffer.getbuffer())
