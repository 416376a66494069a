"""`tokenfield encode`: photographs become `.field` files."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.options import DEFAULT, Device, ModelName, Precision, Rate, find_precision, load_model
from tokenfield.cli.types import Field, FieldModel, Tensor
from tokenfield.errors import UserError
from tokenfield.io.record import Record


@dataclass(frozen=True)
class Storing:
    """How a picture is encoded and stored."""

    rate: Rate = None
    half: bool = False
    """Store tokens as 16-bit numbers: half the file."""
    check: bool = True
    """Decode what was stored and print its PSNR; --no-check saves that time."""
    precision: Precision = "fp32"


def encode(
    input: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    model: ModelName = DEFAULT,
    storing: tyro.conf.OmitArgPrefixes[Storing] = Storing(),
    device: Device = "auto",
    json: Json = None,
) -> int:
    """Turn photographs into tokens: a picture becomes a .field file, a folder of pictures a folder of them.

    Prints what every picture stores and how well the stored tokens give it back. Pictures of any size and shape are
    taken. A .field file names the model that made it; the same model is needed to decode it.

    Args:
        input: a picture, or a folder; sub-folders are searched and their structure is kept.
        output: the .field file, or the folder for them. Default for a picture: beside it, ending in .field; a file
            that is there already is only replaced if it is named here.
    """
    from tokenfield.data.pictures import PictureError, SkippedFiles, find_pictures

    skipped = SkippedFiles()
    files = find_pictures(input, skipped)
    targets = plan(input, files, output, ".field")
    field_model = load_model(model, device)
    items: list[Record] = []
    with console.progress("encoding", len(files)) as bar:
        for i, (path, target) in enumerate(zip(files, targets, strict=True)):
            bar.file(i, path.name)
            try:
                items.append(encode_one(field_model, path, target, storing, bar))
            except PictureError as error:
                if not input.is_dir():
                    raise
                skipped.catch(error)
                continue
            console.say(line(items[-1]))
    console.write_json(json, {"command": "encode", "items": items, "skipped": skipped.as_json()})
    return console.finish(skipped, len(items) + len(skipped))


def plan(source: Path, files: list[Path], output: Path | None, suffix: str, others: Iterable[str] = ()) -> list[Path]:
    """Where the result of each file goes: beside it with this suffix, or to a file with this or another one.

    Two pictures that differ in their ending alone, a.jpg and a.png, keep it: a.jpg.field and a.png.field. Raises
    UserError for a folder without an output folder, an output of the wrong kind, or a file in the way without -o.
    """
    if not source.is_dir():
        target, endings = output or source.with_suffix(suffix), list(dict.fromkeys([suffix, *others]))
        if output is None and target.exists():
            raise UserError(f"{target} exists already; name it with -o to replace it, or give another name")
        if target.is_dir():
            raise UserError(f"{target} is a folder; for one file name a file, such as {target / source.stem}{suffix}")
        if target.suffix.lower() not in endings:
            raise UserError(f"{target}: give a name ending in {' '.join(endings)}")
        if target.exists() and target.samefile(source):
            raise UserError(f"{target} is the input itself; give another name")
        return [target]
    if output is None:
        raise UserError(f"{source} is a folder; say with -o FOLDER where the results go")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; for a folder of files give a folder with -o")
    short = [path.relative_to(source).with_suffix(suffix) for path in files]
    shared = Counter(short)
    full = [path.relative_to(source).with_name(path.name + suffix) for path in files]
    return [output / (long if shared[brief] > 1 else brief) for brief, long in zip(short, full, strict=True)]


def encode_one(model: FieldModel, path: Path, target: Path, storing: Storing, bar: console.Bar) -> Record:
    """Encode one picture, write its file, and return what is printed about it."""
    import torch

    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.field import Field

    picture = read_picture(path)
    begun = time.perf_counter()
    field = Field.of(model, picture, rate=storing.rate, dtype=find_precision(storing.precision), progress=bar.piece)
    seconds = time.perf_counter() - begun
    target.parent.mkdir(parents=True, exist_ok=True)
    field.save(target, dtype=torch.float16 if storing.half else torch.float32)
    return {
        "file": str(path),
        "field": str(target),
        "height": picture.shape[1],
        "width": picture.shape[2],
        "tokens": field.tokens[..., 0].numel(),
        "values_stored": field.values_stored,
        "values_per_pixel_value": field.values_stored / picture.numel(),
        "bytes": target.stat().st_size,
        "encode_seconds": seconds,
    } | (fidelity(Field.load(target, model), picture, storing.precision, bar) if storing.check else {})


def fidelity(field: Field, picture: Tensor, precision: str, bar: console.Bar) -> dict[str, float]:
    """PSNR of a stored field against its picture (C, H, W), in bands of rows, so that any size fits in memory."""
    import torch

    from tokenfield.metrics import decibels, mse, to_8bit

    height, width = picture.shape[1:]
    squared = torch.zeros(2, dtype=torch.float64)  # sums of squares: of the values, and of 8-bit files
    top, begun = 0, time.perf_counter()
    for band in field.rows(height, width, dtype=find_precision(precision)):         # (C, n, W)
        band, true = band.float().cpu(), picture[:, top : top + band.shape[1]]
        both = torch.stack([band, to_8bit(band)]), torch.stack([true, to_8bit(true)])
        squared += mse(*both).double() * true.numel()
        top += band.shape[1]
        bar.piece(top, height)
    seconds = time.perf_counter() - begun
    papers, files = (decibels(total / picture.numel()) for total in squared.tolist())
    return {"psnr": papers, "psnr_8bit": files, "decode_seconds": seconds}


def line(item: Record) -> str:
    """The line that a person reads."""
    text = (f"{item['file']}: {item['width']} x {item['height']} -> {item['tokens']} tokens, {item['values_stored']} "
            f"values ({item['values_per_pixel_value']:.3f} per pixel value), {console.size_of(item['bytes'])} in "
            f"{item['field']}, {item['encode_seconds']:.2f} s")
    return text + (f"; {item['psnr_8bit']:.2f} dB as 8-bit picture" if "psnr_8bit" in item else "")
