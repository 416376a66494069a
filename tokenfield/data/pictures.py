"""Pictures in and out: files and folders, checked when they are read; what cannot be used is named and counted.

Inside the package a picture is float32 (C, H, W) in [0, 1], upright, alpha composited on white. Everything that files
do differently is dealt with here, once; what cannot be is a `UserError` of one line.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

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
from tokenfield.errors import UserError, explained
from tokenfield.io.atomic import shown, written_aside
from tokenfield.io.progress import progress
from tokenfield.io.record import Record
from tokenfield.io.walk import files_below

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

    def update(self, other: "SkippedFiles") -> None:
        """Notes the files of another."""
        for file, reason in other.reasons.items():
            self.add(file, reason)

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


def usable(items: Sequence[T], use: Callable[[T], object], skipped: SkippedFiles, label: str,
           things: str = "pictures") -> list[T]:
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
        what = "is no regular file" if folder.exists() else "no such folder or file"
        raise UserError(f"{shown(folder)}: {what}; give a folder of pictures or a picture")
    files = files_below(folder, None if skipped is None else skipped.add)
    paths = [path for path in files if path.name.lower().endswith(SUFFIXES)]
    if not paths:
        holds = f"holds {len(files)} files, none of them a picture" if files else "holds no pictures"
        raise UserError(f"{shown(folder)}: {holds}; files ending in {' '.join(SUFFIXES)} are read")
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())


BAND = 256
"""Rows of pixels that are rounded at once."""


def to_pil(image: Float[Tensor, "c h w"]) -> Image.Image:
    """Values in [0, 1], clamped and rounded to 8 bits: grey of one channel, RGB of three, RGBA of four."""
    image = image.detach().cpu()
    pixels = np.empty((*image.shape[1:], len(image)), np.uint8)
    for top in range(0, image.shape[1], BAND):  # never the whole picture in floating point once more
        band = image[:, top : top + BAND].float().clamp(0, 1).mul_(255).round_().byte()
        pixels[top : top + BAND] = band.permute(1, 2, 0)
    return Image.fromarray(pixels.squeeze(-1) if len(image) == 1 else pixels)


@explained
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
    if not isinstance(image, Tensor) or not image.is_floating_point() or image.is_sparse or image.is_meta:
        what = f"tensor of {image.dtype}" if isinstance(image, Tensor) else type(image).__name__
        raise UserError(f"{shown(path)}: cannot write a {what}; give a dense tensor in floating point, in [0, 1]")
    image = image.detach().cpu().float()
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4) or 0 in image.shape:
        raise UserError(f"{shown(path)}: cannot write a picture of shape {tuple(image.shape)}; "
                        "give (1, H, W), (3, H, W) or (4, H, W)")
    if not torch.stack(image.aminmax()).isfinite().all():  # NaN is both; `isfinite` of all takes twice the picture
        bad = int((~image.isfinite()).sum())
        raise UserError(f"{shown(path)}: the picture has {bad} values that are NaN or infinite and was not written")
    kind, options = WRITERS[path.suffix.lower()]
    if image.shape[0] == 4 and kind in ("JPEG", "BMP"):
        image = on_white(image.clamp(0, 1))
    buffer = io.BytesIO()
    try:
        to_pil(image).save(buffer, kind, **options)
    except (OSError, ValueError, MemoryError) as error:      # such as 65501 pixels wide as JPEG
        raise UserError(f"{shown(path)}: a picture of {image.shape[2]} x {image.shape[1]} pixels cannot be written as "
                        f"{kind} ({' '.join(str(error).split())}); try .png") from error
    with written_aside(path) as file:
        file.write(buffer.getbuffer())
