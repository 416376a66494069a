"""`tokenfield fit`: one picture, one MLP, from scratch. What it shares with `tokenfield optimize` stands here."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Folder, Json, Seconds, Table
from tokenfield.cli.options import Device, check_at_least, find_device
from tokenfield.cli.types import Curve, Optimization, Tensor
from tokenfield.errors import UserError
from tokenfield.io.record import Record

LearningRate = Annotated[float | None, tyro.conf.arg(metavar="RATE")]
MOST_PIXELS = 4096
"""Pixels per step of an MLP: on a processor many small steps come further in the same seconds than few exact ones."""


@dataclass(frozen=True)
class Course:
    """How an optimisation runs, and what is written about it."""

    seconds: Seconds = None
    """Measuring PSNR does not count; by default 60 of fit and 30 of optimize, unless --steps is given."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="STEPS")] = None
    """Of Adam, in place of seconds or as another limit."""
    seed: int = 0
    """Of the initial weights of MLPs and of drawn pixels."""
    device: Device = "auto"
    figure: Annotated[File, tyro.conf.arg(help="also draw PSNR against seconds there, a PNG file.")] = None
    json: Json = None
    table: Table = None

    def limits(self, usual: float) -> Record:
        """Seconds and steps; the usual seconds where neither is given. Raises UserError for a number below 0."""
        limits = {"seconds": self.seconds, "steps": self.steps}
        for name, value in limits.items():
            if value is not None and not 0 <= value < float("inf"):
                raise UserError(f"--{name} {value:g}: give how long to optimise, a number of at least 0")
        return {"seconds": usual, "steps": None} if self.seconds is self.steps is None else limits

    def finish(self, command: str, report: Record, picture: Path, image: Tensor, curves: Sequence[Curve],
               title: str) -> int:
        """Print the results, write the figure and the JSON if their paths are given, and choose the exit code."""
        from tokenfield.evaluation.environment import machine, versions
        from tokenfield.evaluation.optimization_curves import MEANING, draw

        rows = [["", "start, dB", "best, dB", "steps", "seconds", "values", "bytes"]]
        for c in curves:
            last = c.points[-1]
            psnrs = f"{c.points[0].psnr:.2f}", f"{c.best_psnr:.2f}"
            rows.append([MEANING[c.name], *psnrs, str(last.step), f"{c.head_start + last.seconds:.1f}", str(c.values),
                         str(c.bytes)])
        console.show_table(rows, self.table)
        interrupted = ", interrupted; the best is kept" if report["interrupted"] else ""
        console.say(f"{report['field']}: {curves[0].best_psnr:.2f} dB{interrupted}")
        if self.figure is not None:
            draw(curves, self.figure, title=f"{picture.name}: {title}")
            console.notice(f"figure: {self.figure}")
        facts = {"picture": picture.name, "height": image.shape[1], "width": image.shape[2], "seed": self.seed}
        results = {"curves": [curve.to_json() for curve in curves], "machine": machine(), "versions": versions()}
        console.write_json(self.json, command, facts | report | results)
        return console.INTERRUPTED if interrupted else console.OK


USUAL = Course()


@dataclass(frozen=True)
class Mlp:
    """The MLP."""

    kind: Literal["ffnet", "siren"] = "ffnet"
    """Ffnet or siren."""
    dim: int = 256
    """Width of the MLP."""
    depth: int = 5
    """Linear layers, the output included."""
    sigma: float = 128.0
    """Highest frequency of the Fourier features (ffnet): so many half-turns per half side of the picture."""


def fit(picture: tyro.conf.Positional[Path], *, output: Annotated[Folder, tyro.conf.arg(aliases=("-o",))] = None,
        mlp: tyro.conf.OmitArgPrefixes[Mlp] = Mlp(), course: tyro.conf.OmitArgPrefixes[Course] = USUAL,
        rate: LearningRate = None, pixels: int = MOST_PIXELS) -> int:
    """Fit an MLP of its own to one picture: FFNet (Fourier features and ReLU) or SIREN (sines).

    Nothing is learned from other pictures: this is what generalizable models are compared with. PSNR is shown while it
    goes on; Ctrl-C ends it. The best state is kept and written as a folder that holds the model and a .field file,
    which every other command takes: tokenfield decode FOLDER/NAME.field --size 4096.

    Args:
        picture: a picture of any size from 4 x 4 pixels.
        output: the folder; it must not exist yet. Default: beside the picture, named after it and the kind of MLP.
        rate: learning rate at the start of a cosine; by default 1e-3 for ffnet and 3e-4 for siren.
        pixels: per step, random rows times random columns.
    """
    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.optimization import MLP_RATES, Optimization, save_with_model, untrained

    check_at_least(1, pixels=pixels)
    image = read_picture(picture)
    folder = new_folder(output, picture, mlp.kind)
    size = image.shape[1], image.shape[2]
    start = untrained(size=size, seed=course.seed, device=find_device(course.device), **asdict(mlp))
    rates = {"latents": MLP_RATES[mlp.kind] if rate is None else rate}
    fitting = Optimization(start, image, "latents", rates=rates, pixels=pixels, seed=course.seed)
    curve, interrupted = watch(fitting, mlp.kind, **course.limits(60.0))
    path = save_with_model(fitting.best, folder, picture.stem)
    report = {**asdict(mlp), **rates, "pixels": pixels, "field": str(path), "interrupted": interrupted}
    return course.finish("fit", report, picture, image, [curve], "an MLP from scratch")


def new_folder(output: Path | None, picture: Path, kind: str) -> Path:
    """Where a field with a model of its own goes. Raises UserError if something is there, before any work."""
    folder = output or picture.with_name(f"{picture.stem}-{kind}")
    if folder.exists():
        raise UserError(f"{folder} exists already; name a new folder with -o")
    return folder


def watch(fitting: Optimization, name: str, *, seconds: float | None, steps: int | None,
          head_start: float = 0.0) -> tuple[Curve, bool]:
    """Run an optimisation, with its PSNR on a bar: the curve so far (see `Curve`), and whether Ctrl-C ended it.

    Ctrl-C before the first point is passed on: there is nothing yet.
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
