"""`tokenfield decode`: `.field` files become pictures, at any size."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out, Pixels
from tokenfield.cli.encode import plan
from tokenfield.cli.options import Device, Precision, check_at_least, find_precision, load_model
from tokenfield.cli.types import Field, FieldModel, SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.atomic import BadName, shown
from tokenfield.io.walk import files_below

MAX_PIXELS = 256_000_000
"""The largest picture that is rendered, 16000 x 16000: a mistyped size should not fill the memory."""

Crop = Annotated[tuple[int, int, int, int] | None, tyro.conf.arg(metavar="TOP LEFT HEIGHT WIDTH")]


@dataclass(frozen=True)
class Size:
    """What is drawn, and how large: at most one of --size, --scale, or --width and/or --height."""

    size: Pixels = None
    """Pixels on the longer side."""
    width: Pixels = None
    """Pixels from left to right."""
    height: Pixels = None
    """Pixels from top to bottom."""
    scale: Annotated[float | None, tyro.conf.arg(metavar="TIMES")] = None
    """Times as many pixels on each side; 4 for four times the zoom."""
    crop: Crop = None
    """Only this part, in pixels of the original picture: rows above it, columns to its left, its height and width. The
    other options then say how large it is drawn."""

    def check(self) -> None:
        """Raises UserError for sizes that exclude each other or that no picture has."""
        sizes = [f"--{name}" for name in ("size", "scale") if getattr(self, name) is not None]
        sizes += ["--width/--height"] if self.width is not None or self.height is not None else []
        if len(sizes) > 1:
            raise UserError(f"{' and '.join(sizes)} say different things; give one of them")
        check_at_least(1, size=self.size, width=self.width, height=self.height)
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise UserError(f"--scale {self.scale:g}: give a number above 0, such as 4")

    def part(self, native_size: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Which part of a picture of (height, width) is drawn: top, left, rows, columns.

        Raises UserError for one that is empty or leaves the picture.
        """
        tall, wide = native_size
        top, left, rows, columns = self.crop if self.crop is not None else (0, 0, tall, wide)
        if min(top, left) < 0 or min(rows, columns) < 1 or top + rows > tall or left + columns > wide:
            raise UserError(f"--crop {top} {left} {rows} {columns} is not inside the picture of {tall} rows and {wide} "
                            "columns; give top, left, height and width in its pixels")
        return top, left, rows, columns

    def box(self, native_size: tuple[int, ...]) -> tuple[float, float, float, float]:
        """The same as a box for `Field.crop`."""
        (tall, wide), (top, left, rows, columns) = native_size, self.part(native_size)
        return 2 * top / tall - 1, 2 * left / wide - 1, 2 * (top + rows) / tall - 1, 2 * (left + columns) / wide - 1

    def pixels(self, native_size: tuple[int, ...]) -> tuple[int, int]:
        """At how many (height, width) pixels it is drawn. Raises UserError for more than `MAX_PIXELS`."""
        _, _, rows, columns = self.part(native_size)
        scale = self.size / max(rows, columns) if self.size is not None else self.scale or 1
        if self.width is not None or self.height is not None:
            across, down = (self.width or 0) / columns, (self.height or 0) / rows
            pixels = self.height or max(1, round(rows * across)), self.width or max(1, round(columns * down))
        else:
            pixels = max(1, round(rows * scale)), max(1, round(columns * scale))
        if pixels[0] * pixels[1] > MAX_PIXELS:
            raise UserError(f"{pixels[1]} x {pixels[0]} pixels; at most {MAX_PIXELS:,} are drawn at once: give a "
                            "smaller size, or draw parts with --crop")
        return pixels


@dataclass(frozen=True)
class Reading:
    """How much of a coded .field file is read."""

    layers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Only so many layers, from the coarsest on: a softer picture from fewer bytes."""
    partial: bool = False
    """Of a file that is cut short draw what is there."""


def decode(
    input: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    size: tyro.conf.OmitArgPrefixes[Size] = Size(),
    reading: tyro.conf.OmitArgPrefixes[Reading] = Reading(),
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None,
    precision: Precision = "fp32",
    nodes: Annotated[int | None, tyro.conf.arg(metavar="NODES")] = None,
    fused: bool = False,
    device: Device = "auto",
    overwrite: bool = False,
    json: Json = None,
) -> int:
    """Turn tokens into pictures: a .field file becomes a picture of any size, a folder of them a folder of PNGs.

    Without a size the picture has as many pixels as the one it was made from. The shape is kept unless both --width and
    --height are given.

    Args:
        input: a .field file, or a folder; sub-folders are searched and their structure is kept.
        output: the picture (its ending chooses the format: .png, .jpg, .webp, .tif, .bmp), or the folder for them.
            Default for a file: beside it, ending in .png; a file that is there already is only replaced if it is
            named here.
        model: where the model that made the tokens is, if not where the file says.
        nodes: LAINR only: compute the attention on so many points per axis and interpolate. Several times faster for
            large pictures and not quite exact: 16 times the query bandwidth gives some 60 dB.
        fused: LAINR only, on processors with AMX and a C++ compiler: decode by one kernel, compiled once, in bfloat16.
        overwrite: replace what lies in the output folder already.
    """
    from tokenfield.data.pictures import WRITERS, SkippedFiles, write_picture

    size.check()
    check_at_least(1, layers=reading.layers)
    if fused and nodes is not None:
        raise UserError("--fused and --nodes are two ways of decoding; give one")
    skipped, items = SkippedFiles(), []
    files = find_fields(input, skipped)
    targets = plan(input, files, output, list(WRITERS), overwrite=overwrite)
    override = None if model is None else load_model(model, device)
    models: dict[str, FieldModel] = {}  # a folder's files are mostly of one model, and each is loaded once
    with console.progress("decoding", len(files)) as bar:
        for i, (path, target) in enumerate(zip(files, targets, strict=True)):
            bar.file(i, path.name)
            try:
                field = open_field(path, override, models, device, reading, size)
                if len(field.native_size) != 2:
                    raise UserError(f"{path}: a field of {field.domain}, no picture; use tokenfield "
                                    f"{field.model.command}")
                field = field.fused() if fused else field if nodes is None else field.coarse(nodes)
                box, pixels = size.box(field.native_size), size.pixels(field.native_size)
            except UserError as error:
                if not input.is_dir():
                    raise
                skipped.add(path, str(error).removeprefix(str(path)).lstrip(": "))
                continue
            start = time.perf_counter()
            values = field.crop(box, pixels, dtype=find_precision(precision), progress=bar.piece).float().cpu()
            seconds = time.perf_counter() - start
            try:
                write_picture(target, values)
            except BadName as error:
                if not input.is_dir():
                    raise
                skipped.add(path, str(error))
                continue
            items.append({"field": str(path), "file": str(target), "height": pixels[0], "width": pixels[1],
                          "bytes": target.stat().st_size, "decode_seconds": seconds})
            console.say(f"{shown(path)} -> {shown(target)}: {pixels[1]} x {pixels[0]}, {seconds:.2f} s")
    console.write_json(json, "decode", {"items": items, "skipped": skipped.as_json()})
    return console.finish(skipped, len(items) + len(skipped))


def find_fields(source: Path, skipped: Optional[SkippedFiles] = None) -> list[Path]:  # noqa: UP045
    """The file, or every .field file under the folder in a fixed order. Raises UserError if there is none."""
    if not source.is_dir():
        return [source]
    files = files_below(source, None if skipped is None else skipped.add)
    fields = [path for path in files if path.suffix.lower() == ".field" and path.is_file()]
    if not fields:
        raise UserError(f"{source}: no file in it ends in .field; tokenfield encode makes them")
    return fields


def open_field(
    path: Path,
    override: Optional[FieldModel],  # noqa: UP045
    models: dict[str, FieldModel],
    device: str,
    reading: Reading = Reading(),
    size: Optional[Size] = None,  # noqa: UP045
) -> Field:
    """The field in a file, with the chosen model or the one that the file names; no more of it than a size needs.

    Raises UserError for no .field file, a damaged one, or one whose model is another one or cannot be found.
    """
    from tokenfield.fields.domains import domain_from_dict
    from tokenfield.fields.field import Field
    from tokenfield.fields.field_file import read_field
    from tokenfield.models.pretrained import find_model

    def load(name: str) -> FieldModel:
        if name not in models:
            models[name] = load_model(name, device)
        return models[name]

    file = read_field(path, tokens=False)
    if override is None:
        override = find_model(path, file.model, load=load, hint="say with --model where it is")
    box = None
    if size is not None and file.version > 1 and len(native := domain_from_dict(file.domain).size) == 2:
        size.pixels(native)  # too many are said before any are decoded
        box = size.box(native) if size.crop is not None else None
    return Field.load(path, override, box=box, layers=reading.layers, partial=reading.partial)
