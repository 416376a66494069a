"""`tokenfield fit`: one picture, one MLP, from scratch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Folder, Json
from tokenfield.errors import UserError

Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS")]
Steps = Annotated[int | None, tyro.conf.arg(metavar="STEPS")]
Rate = Annotated[float | None, tyro.conf.arg(metavar="RATE")]
Pixels = Annotated[int | None, tyro.conf.arg(metavar="PIXELS")]
MOST_PIXELS = 4096
"""Pixels per step of an MLP: on a processor many small steps come further in the same seconds than few exact ones."""


def fit(
    picture: tyro.conf.Positional[Path],
    *,
    output: Annotated[Folder, tyro.conf.arg(aliases=("-o",))] = None,
    kind: Literal["ffnet", "siren"] = "ffnet",
    seconds: Seconds = None,
    steps: Steps = None,
    rate: Rate = None,
    pixels: int = MOST_PIXELS,
    dim: int = 256,
    depth: int = 5,
    sigma: float = 128.0,
    seed: int = 0,
    device: str = "auto",
    figure: File = None,
    json: Json = None,
) -> int:
    """Fit an MLP of its own to one picture: FFNet (Fourier features and ReLU) or SIREN (sines).

    Nothing is learned from other pictures: this is what generalizable models are compared with. PSNR is shown while it
    goes on; Ctrl-C ends it. The best state is kept and written as a folder that holds the model and a .field file,
    which every other command takes: tokenfield decode FOLDER/NAME.field --size 4096.

    Args:
        picture: a picture of any size from 4 x 4 pixels.
        output: the folder; it must not exist yet. Default: beside the picture, named after it and the kind of MLP.
        kind: ffnet or siren.
        seconds: to optimise for; measuring PSNR does not count. 60 unless --steps is given.
        steps: of Adam, in place of seconds or as another limit.
        rate: learning rate at the start of a cosine; by default 1e-3 for ffnet and 3e-4 for siren.
        pixels: per step, random rows times random columns.
        dim: width of the MLP.
        depth: linear layers, the output included.
        sigma: highest frequency of the Fourier features (ffnet): so many half-turns per half side of the picture.
        seed: of the initial weights and of the pixels.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        figure: also draw PSNR against seconds there, a PNG file.
        json: also write the results there, for machines.
    """
    from tokenfield.cli.models import find_device
    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.optimization import MLP_RATES, Optimization, save_with_model, untrained

    image = read_picture(picture)
    height, width = image.shape[1:]
    folder = new_folder(output, picture, kind)
    sizes = {"dim": dim, "depth": depth, "sigma": sigma}
    start = untrained(kind, (height, width), seed=seed, device=find_device(device), **sizes)
    rates = {"latents": MLP_RATES[kind] if rate is None else rate}
    fitting = Optimization(start, image, "latents", rates=rates, pixels=pixels, seed=seed)
    curve, interrupted = watch(fitting, kind, seconds=default_seconds(seconds, steps, 60.0), steps=steps)
    best = fitting.best
    path = save_with_model(best, folder, picture.stem)
    report = {
        "command": "fit", "picture": picture.name, "height": height, "width": width, "kind": kind,
        **sizes, **rates, "pixels": pixels, "seed": seed, "field": str(path), "interrupted": interrupted,
        "curves": [curve.to_json()],
    }
    finish(report, [curve], path, figure=figure, json=json, title=f"{picture.name}: an MLP from scratch")
    return console.INTERRUPTED if interrupted else console.OK


def default_seconds(seconds: float | None, steps: int | None, usual: float) -> float | None:
    """The budget of seconds: as given, or the usual one where steps are no limit either. Raises UserError below 0."""
    for name, value in (("seconds", seconds), ("steps", steps)):
        if value is not None and not 0 <= value < float("inf"):
            raise UserError(f"--{name} {value:g}: give how long to optimise, a number of at least 0")
    return usual if seconds is None and steps is None else seconds


def new_folder(output: Path | None, picture: Path, kind: str) -> Path:
    """Where a field with a model of its own goes. Raises UserError if something is there: it is found out at once."""
    folder = output or picture.with_name(f"{picture.stem}-{kind}")
    if folder.exists():
        raise UserError(f"{folder} exists already; name a new folder with -o")
    return folder


def watch(
    fitting: Any, name: str, *, seconds: float | None, steps: int | None, head_start: float = 0.0
) -> tuple[Any, bool]:
    """Run an `Optimization`, with its PSNR on a bar.

    Args:
        fitting: the optimisation.
        name: what is optimised, for the bar and the curve.
        seconds, steps: the budget.
        head_start: see `Curve`.
    Returns:
        The curve so far, and whether Ctrl-C ended it. Ctrl-C before the first point is passed on: there is nothing yet.
    """
    from tokenfield.evaluation.optimization_curves import Curve
    from tokenfield.fields.optimization import share_of

    points, interrupted = [], False
    with console.progress(f"optimising {name}:") as bar:
        try:
            for point in fitting.run(seconds=seconds, steps=steps):
                points.append(point)
                bar.name = f"{point.psnr:.2f} dB"
                bar.piece(round(1000 * min(1.0, share_of(point.seconds, seconds, point.step, steps))), 1000)
        except KeyboardInterrupt:
            if not points:
                raise
            interrupted = True
    return Curve(name, tuple(points), fitting.best_psnr, fitting.values, head_start), interrupted


def table(curves: Sequence[Any]) -> str:
    """A row per curve, aligned."""
    from tokenfield.evaluation.optimization_curves import MEANING

    rows = [("", "start, dB", "best, dB", "steps", "seconds", "values")]
    for c in curves:
        last = c.points[-1]
        numbers = f"{c.points[0].psnr:.2f}", f"{c.best_psnr:.2f}", str(last.step), f"{c.head_start + last.seconds:.1f}"
        rows.append((MEANING[c.name], *numbers, str(c.values)))
    return console.table(rows)


def finish(
    report: dict[str, Any], curves: list[Any], path: Path, *, figure: Path | None, json: Path | None, title: str
) -> None:
    """Say what came of it, and write the figure and the JSON that were asked for."""
    from tokenfield.evaluation.environment import machine, versions
    from tokenfield.evaluation.optimization_curves import draw

    console.say(table(curves))
    console.say(f"{path}: {curves[0].best_psnr:.2f} dB" + (", interrupted; the best is kept" * report["interrupted"]))
    if figure is not None:
        draw(curves, figure, title=title)
        console.notice(f"figure: {figure}")
    console.write_json(json, report | {"machine": machine(), "versions": versions()})
