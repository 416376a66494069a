"""`tokenfield encode`: photographs become `.field` files."""

import time
from collections.abc import Sequence
from pathlib import Path

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.options import Device, ModelName, find_precision, load_model
from tokenfield.cli.storing import CODEC, Storing, store
from tokenfield.cli.types import Field, FieldModel, Tensor
from tokenfield.io.atomic import BadName, shown
from tokenfield.io.outputs import plan_file, plan_folder
from tokenfield.io.record import Record


def encode(
    input: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    model: ModelName = CODEC,
    storing: tyro.conf.OmitArgPrefixes[Storing] = Storing(),  # noqa: B008, frozen
    device: Device = "auto",
    overwrite: bool = False,
    json: Json = None,
) -> int:
    """Turn photographs into tokens: a picture becomes a .field file, a folder of pictures a folder of them.

    Prints the bytes before and after, and how well the stored tokens give the picture back. Pictures of any size and
    shape are taken. Without options a file looks good and is no larger than the picture's.

    A .field file names the model that made it; the same model is needed to decode it. A recording, a film or a netCDF
    file is given to `sound encode`, `film encode` or `climate encode`, whose options then apply.

    Args:
        input: a picture, or a folder; sub-folders are searched and their structure is kept.
        output: the .field file, or the folder for them. Default for a picture: beside it, ending in .field; a file
            that is there already is only replaced if it is named here.
        overwrite: replace what lies in the output folder already.
    """
    from tokenfield.data.pictures import PictureError, SkippedFiles, find_pictures

    skipped = SkippedFiles()
    files = find_pictures(input, skipped)
    targets = plan(input, files, output, [".field"], overwrite=overwrite)
    storing.check_options()
    field_model = load_model(model, device)
    items: list[Record] = []
    with console.progress("encoding", len(files)) as bar:
        for i, (path, target) in enumerate(zip(files, targets, strict=True)):
            bar.file(i, path.name)
            try:
                items.append(encode_one(field_model, path, target, storing, bar))
            except (PictureError, BadName) as error:
                if not input.is_dir():
                    raise
                skipped.add(path, error.reason if isinstance(error, PictureError) else str(error))
                continue
            console.say(line(items[-1]))
    if input.is_dir() and items:
        console.say(total(items))
    console.write_json(json, "encode", {"items": items, "skipped": skipped.as_json()})
    return console.finish(skipped, len(items) + len(skipped))


def plan(source: Path, files: Sequence[Path], output: Path | None, endings: Sequence[str], *,
         overwrite: bool = False) -> list[Path]:
    """Where the result of each file goes; raises UserError for what would be overwritten (`tokenfield.io.outputs`)."""
    if not source.is_dir():
        return [plan_file(source, output, endings)]
    return plan_folder(source, files, output, endings[0], overwrite=overwrite)


def encode_one(model: FieldModel, path: Path, target: Path, storing: Storing, bar: console.Bar) -> Record:
    """Encode one picture, write its file, and return what is printed about it."""
    from tokenfield.data.pictures import read_picture
    from tokenfield.data.shards import size_of
    from tokenfield.fields.field import Field

    picture = read_picture(path)
    start = time.perf_counter()
    field = Field.of(model, picture, rate=storing.rate, dtype=find_precision(storing.precision), progress=bar.piece)
    before = size_of(path)
    store(field, target, storing, before, lambda other: fidelity(other, picture, storing.precision, bar)["psnr_8bit"])
    seconds = time.perf_counter() - start
    after, pixels = target.stat().st_size, picture.shape[1] * picture.shape[2]
    facts: Record = {
        "file": str(path),
        "field": str(target),
        "height": picture.shape[1],
        "width": picture.shape[2],
        "tokens": field.tokens[..., 0].numel(),
        "values_stored": field.values_stored,
        "values_per_pixel_value": field.values_stored / picture.numel(),
        "bytes_before": before,
        "bytes": after,
        "bits_per_pixel": 8 * after / pixels,
        "encode_seconds": seconds,
    }
    if storing.check:
        stored = Field.load(target, model)
        facts |= fidelity(stored, picture, storing.precision, bar) | {"ssim": similarity(stored, picture)}
    return facts


def similarity(field: Field, picture: Tensor) -> float:
    """SSIM of a stored field against its picture (C, H, W)."""
    from tokenfield.metrics import ssim

    return ssim(field.render(*picture.shape[1:]).cpu()[None], picture[None]).item()


def fidelity(field: Field, picture: Tensor, precision: str, bar: console.Bar) -> dict[str, float]:
    """PSNR of a stored field against its picture (C, H, W), in bands of rows, so that any size fits in memory."""
    import torch

    from tokenfield.metrics import decibels, mse, to_8bit

    height, width = picture.shape[1:]
    squared = torch.zeros(2, dtype=torch.float64)  # sums of squares: of the values, and of 8-bit files
    top, start = 0, time.perf_counter()
    for band in field.rows(height, width, dtype=find_precision(precision)):         # (C, n, W)
        band, true = band.float().cpu(), picture[:, top : top + band.shape[1]]
        both = torch.stack([band, to_8bit(band)]), torch.stack([true, to_8bit(true)])
        squared += mse(*both).double() * true.numel()
        top += band.shape[1]
        bar.piece(top, height)
    seconds = time.perf_counter() - start
    papers, files = (decibels(total / picture.numel()) for total in squared.tolist())
    return {"psnr": papers, "psnr_8bit": files, "decode_seconds": seconds}


def line(item: Record) -> str:
    """The line that a person reads."""
    text = (f"{shown(item['file'])}: {item['width']} x {item['height']}, {console.size_of(item['bytes_before'])} -> "
            f"{console.size_of(item['bytes'])} in {shown(item['field'])} ({item['bits_per_pixel']:.2f} bits per pixel; "
            f"{console.counted(item['tokens'], 'token')}, {item['values_stored']} values, "
            f"{item['values_per_pixel_value']:.3f} per pixel value), {item['encode_seconds']:.2f} s")
    return text + (f"; {item['psnr_8bit']:.2f} dB as 8-bit picture, SSIM {item['ssim']:.4f}" if "ssim" in item else "")


def total(items: list[Record]) -> str:
    """The last line of a folder: sums, and means over pictures."""
    def added(name: str) -> float | int:
        return sum(item[name] for item in items)

    text = (f"{len(items)} pictures: {console.size_of(added('bytes_before'))} -> {console.size_of(added('bytes'))}, "
            f"{added('tokens')} tokens, {added('values_stored')} values, {added('encode_seconds'):.2f} s")
    scores = [item["psnr_8bit"] for item in items if "psnr_8bit" in item]
    return text + (f"; mean {sum(scores) / len(scores):.2f} dB as 8-bit pictures" if scores else "")
