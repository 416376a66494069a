"""`tokenfield explain PICTURE ...`: what each token governs, and where a pixel looks."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out, Pixels, Table
from tokenfield.cli.options import DEFAULT, Device, check_at_least, labels, load_model
from tokenfield.cli.types import Explained, Tensor
from tokenfield.errors import UserError
from tokenfield.io.atomic import typed
from tokenfield.io.lock import take
from tokenfield.io.outputs import check_free
from tokenfield.io.record import Record


@dataclass(frozen=True)
class Detail:
    """How much of every picture is looked at."""

    size: Pixels = None
    """Side in pixels for models of any size; default 128."""
    tokens: int = 256
    """Most tokens to remove and to show; of more, so many spread evenly."""
    maps: Annotated[int, tyro.conf.arg(metavar="PIXELS")] = 64
    """Side of the removal maps, on which areas are measured, in pixels."""
    queries: int = 24
    """Pixels per side whose attention is kept."""
    count: int = 8
    """Most pictures of a folder."""

    def check(self) -> None:
        """Raises UserError for what no page could show."""
        check_at_least(1, tokens=self.tokens, queries=self.queries, count=self.count)
        check_at_least(8, size=self.size, maps=self.maps)


def explain(
    pictures: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE [PICTURE ...]")],
    *,
    model: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODEL [MODEL ...]")] = (DEFAULT,),
    out: Out = None,
    detail: tyro.conf.OmitArgPrefixes[Detail] = Detail(),
    device: Device = "auto",
    overwrite: bool = False,
    json: Json = None,
    table: Table = None,
) -> int:
    """Show what tokens are for: what each one governs, and which ones a clicked pixel looks at.

    Every token is replaced by zero in turn; the map of what that changes, rescaled to a maximum of 1, and the share of
    the picture that holds 90 % of it (small is local) are computed for any system. For systems in which coordinates
    attend to tokens the weights of a lattice of pixels are kept, too. Writes explained.html, one page that needs no
    network: click the photograph, point at a token; locality.json; and tokens.png, the same tokens over all pictures.

    Args:
        pictures: picture files or folders; the middle square of each, resized to what a model takes, is explained.
        model: packaged models, folders that hold one, training runs, or hf:owner/name; several are compared.
        out: folder for the three files; default: ./explained.
        overwrite: replace what lies there already.
    """
    from tokenfield.data.pictures import SkippedFiles, find_pictures, read_pictures
    from tokenfield.evaluation import explain as analysis
    from tokenfield.evaluation.environment import machine, versions
    from tokenfield.evaluation.evaluate import describe_model
    from tokenfield.evaluation.explain_page import write_page
    from tokenfield.evaluation.figures import save_png

    if not pictures:
        raise UserError("no picture given; give picture files or a folder: tokenfield explain photo.jpg")
    if not model:
        raise UserError("--model without a name; give one or more models, or leave it out")
    detail.check()
    models = {name: load_model(path, device) for name, path in zip(labels(model), model, strict=True)}
    skipped = SkippedFiles()
    files = [file for path in pictures for file in find_pictures(path, skipped)[: detail.count]]
    folder = out if out is not None else Path("explained")
    page, tiles, numbers_file = (folder / name for name in ("explained.html", "tokens.png", "locality.json"))
    take(folder)
    check_free([page, tiles, numbers_file], overwrite=overwrite, inputs={os.path.realpath(file) for file in files})
    read: dict[str, Tensor] = {}
    for path, picture in read_pictures(files, skipped):
        read[path.stem if path.stem not in read else str(path)] = picture
    if not read:
        raise UserError(f"no picture to explain; {skipped.summary(len(files))}")
    results: dict[str, list[Explained]] = {name: [] for name in models}
    with console.progress("removing tokens", len(models) * len(read)) as bar:
        for index, (name, (title, picture)) in enumerate((name, one) for name in models for one in read.items()):
            bar.file(index, title)
            results[name].append(analysis.explain(
                models[name], title, picture, size=detail.size, most_tokens=detail.tokens, map_size=detail.maps,
                queries=detail.queries, progress=bar.piece))

    command = command_line(pictures, detail, model=model, out=out, device=device, json=json)
    write_page(page, results, command)
    save_png(tiles, analysis.figure(list(results.items())))
    numbers = {}
    for name, explained in results.items():
        areas = {one.name: round(sum(one.areas) / max(1, len(one.areas)), 5) for one in explained}  # means over tokens
        numbers[name] = {**analysis.locality(explained), "model": describe_model(models[name]), "areas": areas}
    report = {"again": command, "held": 0.9, "models": numbers, "skipped": skipped.as_json(),
              "machine": machine(), "versions": versions()}
    console.write_json(numbers_file, "explain", report)
    show(numbers, len(read), table)
    for name, (first, *_) in results.items():
        if first.attention is None:
            console.say(f"{name}: {first.without_attention}")
    console.notice(f"explained.html, tokens.png and locality.json are in {folder}")
    console.write_json(json, "explain", report)
    return console.finish(skipped, len(read) + len(skipped))


def command_line(pictures: Sequence[Path], detail: Detail, *, model: tuple[str, ...], out: Path | None, device: str,
                 json: Path | None) -> str:
    """The command that makes the same page again: every option that is not at its default.

    Pages are handed on, so of a path that starts at this machine's root only the last part is named.
    """
    options: Record = {"model": () if model == (DEFAULT,) else model, "out": out}
    options |= {one.name: value for one in fields(detail) if (value := getattr(detail, one.name)) != one.default}
    options |= {"device": None if device == "auto" else device, "json": json}
    words = ["tokenfield", "explain", *map(word, pictures)]
    for name, value in options.items():
        if value not in (None, ()):
            words += [f"--{name}", *map(word, value if isinstance(value, tuple) else (value,))]
    return typed(*words)


def word(value: object) -> str:
    """One word of a command, absolute paths by their last part."""
    return Path(value).name if isinstance(value, Path | str) and Path(value).is_absolute() else str(value)


def show(numbers: Mapping[str, Record], pictures: int, table: Path | None) -> None:
    """The table that a person reads."""
    rows = [["model", "tokens", "area %", "median %", "x equal share", "PSNR dB", "values", "bytes"]]
    for name, number in numbers.items():
        values = 100 * number["area_mean"], 100 * number["area_median"], number["shares"], number["psnr"]
        rows.append([name, str(number["tokens"]), *map(console.number, values), str(number["values_stored"]),
                     str(number["bytes"])])
    console.show_table(rows, table)
    console.say("area: share of the picture that holds 90 % of what one token changes, mean and median over the tokens "
                f"of {console.counted(pictures, 'picture')}; small is local. x equal share: 1 where each has a part.")
