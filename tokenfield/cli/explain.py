"""`tokenfield explain PICTURE ...`: what each token governs, and where a pixel looks."""

import inspect
import shlex
from pathlib import Path
from typing import Annotated, Any

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.models import DEFAULT, load_model
from tokenfield.errors import UserError


def explain(
    pictures: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE [PICTURE ...]")],
    *,
    model: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODEL [MODEL ...]")] = (DEFAULT,),
    out: Out = None,
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None,
    tokens: int = 256,
    maps: Annotated[int, tyro.conf.arg(metavar="PIXELS")] = 64,
    queries: int = 24,
    count: int = 8,
    device: str = "auto",
    json: Json = None,
) -> int:
    """Show what tokens are for: what each one governs, and which ones a clicked pixel looks at.

    Every token is replaced by zero in turn; the map of what that changes, rescaled to a maximum of 1, and the share of
    the picture that holds 90 % of it (small is local) are computed for any system. For systems with attention from
    coordinates to tokens (LAINR, ANR and their compositions, anchored) the weights of a lattice of pixels are kept,
    too. Writes explained.html, one page that needs no network: click the photograph, point at a token; locality.json;
    and tokens.png, the same tokens over all pictures.

    Args:
        pictures: picture files or folders; the middle square of each, resized to what a model takes, is explained.
        model: packaged models, folders that hold one, training runs, or hf:owner/name; several are compared.
        out: folder for the three files; default: ./explained.
        size: side in pixels for models of any size; default 128.
        tokens: most tokens to remove and to show; of more, so many spread evenly.
        maps: side of the removal maps, on which areas are measured, in pixels.
        queries: pixels per side whose attention is kept.
        count: most pictures of a folder.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    from tokenfield.cli.superres import labels
    from tokenfield.data.pictures import SkippedFiles, find_pictures
    from tokenfield.evaluation import explain as analysis
    from tokenfield.evaluation.environment import machine, versions
    from tokenfield.evaluation.evaluate import describe_model
    from tokenfield.evaluation.explain_page import write_page
    from tokenfield.evaluation.figures import save_png

    check_options(pictures, model, size=size, tokens=tokens, maps=maps, queries=queries, count=count)
    names = labels(model)
    models = {name: load_model(path, device) for name, path in zip(names, model, strict=True)}
    skipped = SkippedFiles()
    files = [file for path in pictures for file in find_pictures(path, skipped)[:count]]
    read = analysis.read_all(files, skipped)
    if not read:
        raise UserError(f"no picture to explain; {skipped.summary(len(files))}")
    results: dict[str, list[Any]] = {}
    with console.progress("removing tokens", len(models) * len(read)) as bar:
        for name, loaded in models.items():
            for picture_name, picture in read:
                bar.file(sum(map(len, results.values())), picture_name)
                one = analysis.explain(loaded, picture_name, picture, size=size, most_tokens=tokens, map_size=maps,
                                       queries=queries, progress=bar.piece)
                results.setdefault(name, []).append(one)

    folder = out if out is not None else Path("explained")
    command = typed(pictures, model=model, out=out, size=size, tokens=tokens, maps=maps, queries=queries, count=count,
                    device=device, json=json)
    write_page(folder / "explained.html", results, {name: loaded.name for name, loaded in models.items()}, command)
    save_png(folder / "tokens.png", analysis.figure(list(results.items())))
    numbers = {
        name: {**analysis.locality(explained), "model": describe_model(models[name]), "areas": by_picture(explained)}
        for name, explained in results.items()
    }
    report = {"command": command, "held": 0.9, "models": numbers, "skipped": skipped.as_json(),
              "machine": machine(), "versions": versions()}
    console.write_json(folder / "locality.json", report)
    show(numbers, [name for name, _ in read])
    for name, explained in results.items():
        if explained[0].attention is None:
            console.say(f"{name}: {analysis.NO_ATTENTION}")
    console.notice(f"explained.html, tokens.png and locality.json are in {folder}")
    console.write_json(json, report)
    return console.finish(skipped, len(read) + len(skipped))


def check_options(pictures: tuple[Path, ...], model: tuple[str, ...], *, size: int | None, **counts: int) -> None:
    """Raises UserError for what no page could show."""
    if not pictures:
        raise UserError("no picture given; give picture files or a folder: tokenfield explain photo.jpg")
    if not model:
        raise UserError("--model without a name; give one or more models, or leave it out")
    for name, value in counts.items():
        if value < (8 if name == "maps" else 1):
            raise UserError(f"--{name} {value}; give at least {8 if name == 'maps' else 1}")
    if size is not None and size < 8:
        raise UserError(f"--size {size} is no picture; give at least 8 pixels")


def typed(pictures: tuple[Path, ...], **options: Any) -> str:
    """The command that makes the same page again: every option that is not at its default.

    Pages are handed on, so of a path that starts at this machine's root only the last part is told.
    """
    defaults = inspect.signature(explain).parameters
    words = ["tokenfield", "explain", *map(told, pictures)]
    for name, value in options.items():
        if value != defaults[name].default:
            words += [f"--{name}", *map(told, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def told(value: Path | str | int) -> str:
    """One word of a command, absolute paths by their last part."""
    return Path(value).name if isinstance(value, Path | str) and Path(value).is_absolute() else str(value)


def by_picture(explained: list[Any]) -> dict[str, float]:
    """Mean area over the tokens, of every picture."""
    return {one.name: round(sum(one.areas) / max(1, len(one.areas)), 5) for one in explained}


def show(numbers: dict[str, Any], pictures: list[str]) -> None:
    """The table that a person reads."""
    rows = [["model", "tokens", "area %", "median %", "x equal share", "PSNR dB"]]
    for name, number in numbers.items():
        areas = (console.number(100 * number[key]) for key in ("area_mean", "area_median"))
        rows.append([name, str(number["tokens"]), *areas, console.number(number["shares"]),
                     console.number(number["psnr"])])
    console.say(console.table(rows))
    console.say(f"Share of the picture that holds 90 % of what one token changes, over {len(pictures)} pictures; small "
                "is local.")
