"""`tokenfield encode`: photographs become `.field` files."""

import math
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.models import DEFAULT, Precision, find_precision, load_model
from tokenfield.errors import UserError


def encode(
    input: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")] = DEFAULT,
    rate: Annotated[float | None, tyro.conf.arg(metavar="RATE")] = None,
    half: bool = False,
    check: bool = True,
    precision: Precision = "fp32",
    device: str = "auto",
    json: Json = None,
) -> int:
    """Turn photographs into tokens: a picture becomes a .field file, a folder of pictures a folder of them.

    Prints what every picture stores and how well the stored tokens give it back. Pictures of any size and shape are
    taken. A .field file names the model that made it; the same model is needed to decode it.

    Args:
        input: a picture, or a folder; sub-folders are searched and their structure is kept.
        output: the .field file, or the folder for them. Default for a picture: beside it, ending in .field; a file
            that is there already is only replaced if it is named here.
        model: a packaged model, a folder that holds one, a training run, or hf:owner/name.
        rate: store at most so many values per pixel value, such as 0.125, with a model that knows several rates
            (photos-ladder).
        half: store tokens as 16-bit numbers: half the file.
        check: decode what was stored and print its PSNR; --no-check saves that time.
        precision: arithmetic inside the model.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    from tokenfield.data.pictures import PictureError, SkippedFiles, find_pictures

    if output is not None and input.is_file() and not output.is_dir() and output.suffix.lower() != ".field":
        raise UserError(f"{output}: tokens are written to files ending in .field; give such a name")
    skipped = SkippedFiles()
    files = find_pictures(input, skipped)
    targets = plan(input, files, output, ".field")
    loaded = load_model(model, device)
    items: list[dict[str, Any]] = []
    with console.progress("encoding", len(files)) as bar:
        for i, (path, target) in enumerate(zip(files, targets, strict=True)):
            bar.file(i, path.name)
            try:
                item = encode_one(
                    loaded, path, target, rate=rate, half=half, check=check, precision=precision, bar=bar
                )
            except PictureError as error:
                if not input.is_dir():
                    raise
                skipped.catch(error)
                continue
            items.append(item)
            console.say(line(item))
    console.write_json(json, {"command": "encode", "items": items, "skipped": skipped.as_json()})
    return console.finish(skipped, len(items) + len(skipped))


def plan(source: Path, files: list[Path], output: Path | None, suffix: str) -> list[Path]:
    """Where the result of each file goes.

    Two pictures that differ in their ending alone, a.jpg and a.png, keep it: a.jpg.field and a.png.field.

    Raises:
        UserError: a folder without an output folder, an output of the wrong kind, or a file in the way that was not
            named by the user.
    """
    if not source.is_dir():
        if output is not None and output.is_dir():
            raise UserError(f"{output} is a folder; for one file name a file, such as {output / source.stem}{suffix}")
        target = output or source.with_suffix(suffix)
        if output is not None and output.exists() and output.samefile(source):
            raise UserError(f"{output} is the input itself; give another name")
        if output is None and target.exists():
            raise UserError(f"{target} exists already; name it with -o to replace it, or give another name")
        return [target]
    if output is None:
        raise UserError(f"{source} is a folder; say with -o FOLDER where the results go")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; for a folder of files give a folder with -o")
    short = [path.relative_to(source).with_suffix(suffix) for path in files]
    shared = Counter(short)
    full = [path.relative_to(source).with_name(path.name + suffix) for path in files]
    return [output / (long if shared[brief] > 1 else brief) for brief, long in zip(short, full, strict=True)]


def encode_one(
    model: Any,
    path: Path,
    target: Path,
    *,
    rate: float | None,
    half: bool,
    check: bool,
    precision: Precision,
    bar: console.Bar,
) -> dict[str, Any]:
    """Encode one picture, write its file, and say what came of it."""
    import torch

    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.field import Field

    picture, dtype = read_picture(path), find_precision(precision)
    begun = time.perf_counter()
    made = Field.of(model, picture, rate=rate, dtype=dtype, progress=bar.piece)
    took = time.perf_counter() - begun
    target.parent.mkdir(parents=True, exist_ok=True)
    made.save(target, dtype=torch.float16 if half else torch.float32)
    item = {
        "file": str(path),
        "field": str(target),
        "height": picture.shape[1],
        "width": picture.shape[2],
        "tokens": made.tokens[..., 0].numel(),
        "values_stored": made.values_stored,
        "values_per_pixel_value": made.values_stored / picture.numel(),
        "bytes": target.stat().st_size,
        "encode_seconds": took,
    }
    if check:
        item |= fidelity(Field.load(target, model), picture, dtype, bar)
    return item


def fidelity(made: Any, picture: Any, dtype: Any, bar: console.Bar) -> dict[str, float]:
    """PSNR of a stored `Field` against its picture (C, H, W), in bands of rows, so that any size fits in memory."""
    from tokenfield.metrics import PSNR_CEILING, mse, to_8bit

    height, width = picture.shape[1:]
    squared, squared_8bit, top = 0.0, 0.0, 0
    begun = time.perf_counter()
    for band in made.rows(height, width, dtype=dtype):                              # (C, n, W)
        band, wanted = band.float().cpu(), picture[:, top : top + band.shape[1]]
        squared += mse(band[None], wanted[None]).item() * wanted.numel()
        squared_8bit += mse(to_8bit(band)[None], to_8bit(wanted)[None]).item() * wanted.numel()
        top += band.shape[1]
        bar.piece(top, height)
    took = time.perf_counter() - begun
    means = (total / picture.numel() for total in (squared, squared_8bit))
    papers, files = (PSNR_CEILING if mean == 0 else decibels(mean) for mean in means)
    return {"psnr": papers, "psnr_8bit": files, "decode_seconds": took}


def decibels(mean_squared_error: float) -> float:
    """-10 log10 MSE, for values in [0, 1]."""
    return -10 * math.log10(mean_squared_error)


def line(item: dict[str, Any]) -> str:
    """The line that a person reads."""
    text = (
        f"{item['file']}: {item['width']} x {item['height']} -> {item['tokens']} tokens, "
        f"{item['values_stored']} values ({item['values_per_pixel_value']:.3f} per pixel value), "
        f"{console.size_of(item['bytes'])} in {item['field']}, {item['encode_seconds']:.2f} s"
    )
    return text + (f"; {item['psnr_8bit']:.2f} dB as 8-bit picture" if "psnr_8bit" in item else "")
