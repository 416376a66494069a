"""How `tokenfield encode` stores a field: as finely as asked for, or within so many bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli.options import Precision, Rate
from tokenfield.cli.types import Field
from tokenfield.errors import UserError

CODEC = "photos-codec"
"""The packaged model that `encode` takes unless another one is named: the one that files are smallest with."""
QUALITY = 50
"""The default: steps of 11 levels of 255, some 40 to 45 dB, and then never more bytes than the picture had."""

Quality = Annotated[float | None, tyro.conf.arg(metavar="0..100")]
Bytes = Annotated[int | None, tyro.conf.arg(metavar="N")]
Psnr = Annotated[float | None, tyro.conf.arg(metavar="DB")]


@dataclass(frozen=True)
class Storing:
    """How a picture is encoded and stored: at most one of --quality, --bytes, --psnr, --lossless and --half."""

    quality: Quality = None
    """How finely tokens are quantised. Default: 50, or less where the file would be larger than the picture's."""
    bytes: Bytes = None
    """The finest quality at which the file has at most so many bytes."""
    psnr: Psnr = None
    """The coarsest quality at which the picture has this PSNR as an 8-bit file."""
    lossless: bool = False
    """Store the tokens as they are, 32-bit numbers; so does a model of tiles, or without tables, by itself."""
    half: bool = False
    """Store the tokens as 16-bit numbers: half of that."""
    rate: Rate = None
    check: bool = True
    """Decode what was stored and print its PSNR and SSIM; --no-check saves that time."""
    precision: Precision = "fp32"

    def options(self) -> list[str]:
        """What was given, of what excludes each other."""
        options = [f"--{name}" for name in ("quality", "bytes", "psnr") if getattr(self, name) is not None]
        return options + [f"--{name}" for name in ("lossless", "half") if getattr(self, name)]

    def check_options(self) -> None:
        """Raises UserError for options that exclude each other or mean nothing."""
        if len(self.options()) > 1:
            raise UserError(f"{' and '.join(self.options())} say different things; give one of them")
        if self.quality is not None and not 0 <= self.quality <= 100:
            raise UserError(f"--quality {self.quality:g}: give a number from 0 to 100")
        if self.bytes is not None and self.bytes < 1:
            raise UserError(f"--bytes {self.bytes}: give at least 1")
        if self.psnr is not None and not 0 < self.psnr < 100:
            raise UserError(f"--psnr {self.psnr:g}: give decibels, such as 40")


def store(field: Field, target: Path, storing: Storing, source_bytes: int, psnr: Callable[[Field], float]) -> None:
    """Write a field's file. `psnr` says how near a field is to its picture, as 8-bit files.

    Raises UserError for bytes or decibels that no quality gives.
    """
    import torch

    from tokenfield.fields.codec.tables import tables_of
    from tokenfield.io.atomic import write_whole

    by_itself = has_tables(field) and field.model.input_size is None  # tokens of tiles are coded where it is asked for
    if storing.lossless or storing.half or (not storing.options() and not by_itself):
        field.save(target, dtype=torch.float16 if storing.half else torch.float32)
        return
    tables_of(field.model)  # a model without them is said so before any search
    if (aim := storing.psnr) is not None:
        quality = least(lambda q: psnr(field.quantised(q)) >= aim)
        if quality is None:
            most = psnr(field.quantised(100))
            raise UserError(f"--psnr {aim:g}: {most:.2f} dB is what {field.model.origin} reaches here; give "
                            "less, or --lossless with a finer model")
        write_whole(target, field.coded(quality))
        return
    limit = storing.bytes if storing.bytes is not None else source_bytes if storing.quality is None else None
    data = field.coded(QUALITY if storing.quality is None else storing.quality)
    if limit is not None and (storing.bytes is not None or len(data) > limit):
        data = within(field, limit, storing)
    write_whole(target, data)


def within(field: Field, limit: int, storing: Storing) -> bytes:
    """The finest coded file of at most so many bytes."""
    too_large = least(lambda q: len(field.coded(q)) > limit)
    if too_large == 0:
        smallest = len(field.coded(0))
        if storing.bytes is None:  # a picture of a few bytes has no smaller field
            return field.coded(0)
        raise UserError(f"--bytes {limit}: the smallest file is {smallest} bytes; give at least that")
    return field.coded(100 if too_large is None else too_large - 1)


def least(holds: Callable[[int], bool]) -> int | None:
    """The least whole quality at which something holds that then holds for all above; None: at no quality."""
    low, high = 0, 101
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low if low <= 100 else None


def has_tables(field: Field) -> bool:
    """Whether the field's model can code its tokens."""
    from tokenfield.fields.codec.tables import tables_of

    try:
        tables_of(field.model)
    except UserError:
        return False
    return True
