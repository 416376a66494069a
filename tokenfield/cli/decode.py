"""`tokenfield decode`: `.field` files become pictures, at any size."""

import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.encode import plan
from tokenfield.cli.models import Precision, find_precision, load_model
from tokenfield.errors import UserError

MAX_PIXELS = 256_000_000
"""The largest picture that is rendered, 16000 x 16000: a mistyped size should not fill the memory."""

Pixels = Annotated[int | None, tyro.conf.arg(metavar="PIXELS")]
Crop = Annotated[tuple[int, int, int, int] | None, tyro.conf.arg(metavar="TOP LEFT HEIGHT WIDTH")]


def decode(
    input: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    size: Pixels = None,
    width: Pixels = None,
    height: Pixels = None,
    scale: Annotated[float | None, tyro.conf.arg(metavar="TIMES")] = None,
    crop: Crop = None,
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None,
    precision: Precision = "fp32",
    nodes: Annotated[int | None, tyro.conf.arg(metavar="NODES")] = None,
    device: str = "auto",
    json: Json = None,
) -> int:
    """Turn tokens into pictures: a .field file becomes a picture of any size, a folder of them a folder of PNGs.

    Without a size the picture has as many pixels as the one it was made from. At most one of --size, --scale, or
    --width and/or --height is given; the shape is kept unless both --width and --height are.

    Args:
        input: a .field file, or a folder; sub-folders are searched and their structure is kept.
        output: the picture (its ending chooses the format: .png, .jpg, .webp, .tif, .bmp), or the folder for them.
            Default for a file: beside it, ending in .png; a file that is there already is only replaced if it is
            named here.
        size: pixels on the longer side.
        width: pixels from left to right.
        height: pixels from top to bottom.
        scale: times as many pixels on each side; 4 for four times the zoom.
        crop: only this part, in pixels of the original picture: rows above it, columns to its left, its height and
            width. The other options then say how large it is drawn.
        model: where the model that made the tokens is, if not where the file says.
        precision: arithmetic inside the model.
        nodes: LAINR only: compute the attention on so many points per axis and interpolate. Several times faster for
            large pictures and not quite exact: 16 times the query bandwidth gives some 60 dB.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    from tokenfield.data.pictures import WRITERS, SkippedFiles

    check_options(size=size, width=width, height=height, scale=scale)
    if output is not None and not input.is_dir() and not output.is_dir() and output.suffix.lower() not in WRITERS:
        raise UserError(f"{output}: pictures are written as {' '.join(WRITERS)}; choose one of these endings")
    files = find_fields(input)
    targets = plan(input, files, output, ".png")
    chosen = None if model is None else load_model(model, device)
    loaded: dict[str, Any] = {}  # a folder's files are mostly of one model, and each is loaded once
    skipped, items = SkippedFiles(), []
    with console.progress("decoding", len(files)) as bar:
        for i, (path, target) in enumerate(zip(files, targets, strict=True)):
            bar.file(i, path.name)
            try:
                made = open_field(path, chosen, loaded, device)
                made = made if nodes is None else made.coarse(nodes)
                box, pixels = window(made, size=size, width=width, height=height, scale=scale, crop=crop)
            except UserError as error:
                if not input.is_dir():
                    raise
                skipped.add(path, str(error).removeprefix(str(path)).lstrip(": "))
                continue
            item = decode_one(made, path, target, box, pixels, precision, bar)
            items.append(item)
            console.say(f"{path} -> {target}: {item['width']} x {item['height']}, {item['decode_seconds']:.2f} s")
    console.write_json(json, {"command": "decode", "items": items, "skipped": skipped.as_json()})
    return console.finish(skipped, len(files))


def check_options(*, size: int | None, width: int | None, height: int | None, scale: float | None) -> None:
    """Raises UserError for sizes that exclude each other or that no picture has."""
    given = [name for name, value in (("--size", size), ("--scale", scale)) if value is not None]
    given += ["--width/--height"] if width is not None or height is not None else []
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} say different things; give one of them")
    for name, value in (("size", size), ("width", width), ("height", height)):
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}: a picture has at least 1 pixel a side")
    if scale is not None and not 0 < scale < float("inf"):
        raise UserError(f"--scale {scale:g}: give a number above 0, such as 4")


def find_fields(source: Path) -> list[Path]:
    """The file, or every .field file under the folder in a fixed order. Raises UserError if there is none."""
    if not source.is_dir():
        return [source]
    found = [path for path in sorted(source.rglob("*")) if path.suffix.lower() == ".field" and path.is_file()
             and not any(part.startswith(".") for part in path.relative_to(source).parts)]
    if not found:
        raise UserError(f"{source}: no file in it ends in .field; tokenfield encode makes them")
    return found


def open_field(path: Path, chosen: Any, loaded: dict[str, Any], device: str) -> Any:
    """The field in a file, with the chosen model or the one that the file names.

    Raises:
        UserError: no .field file, a damaged one, or one whose model is another one or not at hand.
    """
    from tokenfield.fields.field import Field
    from tokenfield.fields.field_file import read_field
    from tokenfield.models.pretrained import find_model

    def load(name: str) -> Any:
        if name not in loaded:
            loaded[name] = load_model(name, device)
        return loaded[name]

    if chosen is None:
        wanted = read_field(path, tokens=False).model
        chosen = find_model(path, wanted, load=load, hint="say with --model where it is")
    return Field.load(path, chosen)


def window(
    made: Any,
    *,
    size: int | None,
    width: int | None,
    height: int | None,
    scale: float | None,
    crop: tuple[int, int, int, int] | None,
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Which part of a field to draw, as a box for `Field.crop`, and at how many (height, width) pixels.

    Raises:
        UserError: a crop that is empty or leaves the picture, or more pixels than `MAX_PIXELS`.
    """
    tall, wide = made.native_size
    top, left, rows, columns = crop if crop is not None else (0, 0, tall, wide)
    if min(top, left) < 0 or min(rows, columns) < 1 or top + rows > tall or left + columns > wide:
        raise UserError(f"--crop {top} {left} {rows} {columns} is not inside the picture of {tall} rows and {wide} "
                        "columns; give top, left, height and width in its pixels")
    if size is not None:
        scale = size / max(rows, columns)
    if width is not None or height is not None:
        across, down = (width or 0) / columns, (height or 0) / rows
        pixels = height or max(1, round(rows * across)), width or max(1, round(columns * down))
    else:
        pixels = max(1, round(rows * (scale or 1))), max(1, round(columns * (scale or 1)))
    if pixels[0] * pixels[1] > MAX_PIXELS:
        raise UserError(f"{pixels[1]} x {pixels[0]} pixels; at most {MAX_PIXELS:,} are drawn at once: give a smaller "
                        "size, or draw parts with --crop")
    return made.pixel_box(top, left, top + rows, left + columns), pixels


def decode_one(
    made: Any,
    path: Path,
    target: Path,
    box: tuple[float, float, float, float],
    pixels: tuple[int, int],
    precision: Precision,
    bar: console.Bar,
) -> dict[str, Any]:
    """Render a field, write the picture, and say what came of it."""
    from tokenfield.data.pictures import write_picture

    begun = time.perf_counter()
    values = made.crop(box, pixels, dtype=find_precision(precision), progress=bar.piece)
    values = values.float().cpu()
    took = time.perf_counter() - begun
    write_picture(target, values)
    return {
        "field": str(path),
        "file": str(target),
        "height": pixels[0],
        "width": pixels[1],
        "bytes": target.stat().st_size,
        "decode_seconds": took,
    }
