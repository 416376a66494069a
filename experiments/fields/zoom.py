"""Zoom of models beside interpolation, at 2, 3, 4 and 8 times the encoded size: tables, a chart and a sheet of details.

    python -m experiments.fields.zoom [MODEL ...] --data build/photos
"""

from dataclasses import dataclass
from math import lcm
from pathlib import Path

import torch
import tyro

from experiments.fields import zoom_protocol as protocol
from tokenfield.cli import console
from tokenfield.cli.options import labels
from tokenfield.errors import UserError
from tokenfield.evaluation import tables
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.evaluate import describe_model
from tokenfield.evaluation.figures import Panel, repeat, save_png, sheet
from tokenfield.io.atomic import write_whole
from tokenfield.io.charts import COLOURS, FAINT, plot
from tokenfield.models import pretrained

PHOTOGRAPHS = ("ipc-photos", "lainr-photos", "photos-codec", "photos-ladder", "photos-s", "photos-zoom")
"""Packaged models whose fields are photographs."""
SHOWN = ("astronaut", "coffee")
"""Photographs of the sheet."""
DETAIL = 96
"""Pixels of a detail's side."""


@dataclass(frozen=True)
class Options:
    """Which models, on what."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """Packaged models or folders of runs; none: all packaged models of photographs."""
    data: Path | None = None
    """A pool of photographs, of whose test split the middles are measured beside scikit-image's photographs."""
    magnifications: tuple[int, ...] = (2, 3, 4, 8)
    """Whole numbers of at least 2."""
    side: int = 192
    """Largest square of a photograph, in pixels."""
    out: Path = Path("results/zoom")
    """Folder for table, numbers, chart and sheet of details."""

    def __post_init__(self) -> None:
        if not self.magnifications or min(self.magnifications) < 2 or self.side < self.multiple:
            raise UserError(f"--magnifications {self.magnifications} of --side {self.side}; give whole numbers of at "
                            f"least 2, and a side of {self.multiple} or more")

    @property
    def multiple(self) -> int:
        """What sides are whole multiples of, so that every reduction is by the magnification itself."""
        return lcm(*self.magnifications, *protocol.SMALLER)

    @property
    def command(self) -> str:
        """What to type for the same."""
        data = "" if self.data is None else " --data build/photos"
        return " ".join(["python -m experiments.fields.zoom", *self.models]) + data


def main(options: Options) -> None:
    """Measure, print, write."""
    models = options.models or PHOTOGRAPHS
    loaded = {name: pretrained.load(path) for name, path in zip(labels(models), models, strict=True)}
    facts = {name: describe_model(model) for name, model in loaded.items()}
    report = {"command": options.command, "protocol": " ".join((protocol.__doc__ or "").split()), "side": options.side}
    text, details = f"`{options.command}`\n", {}
    for kind, pictures in protocol.sets(options.data, options.side, options.multiple).items():
        result = protocol.compare(loaded, pictures, options.magnifications, facts=facts, shown=SHOWN,
                                  before=lambda name: console.notice(name))
        table = protocol.rows(result, options.magnifications)
        text += f"\n## {kind}: {len(result.pictures)} pictures\n\n{tables.markdown(table)}\n"
        report[kind] = {"pictures": result.pictures, "methods": [method.to_json() for method in result.methods]}
        details |= result.details
        if kind == "scikit-image":
            chart(options, result)
    text += ("\nPSNR in dB, in brackets above bicubic. 1x: the encoded picture itself. 1/2, 1/4: encoded whole, "
             "rendered smaller, beside means over whole pixels.\n")
    console.say(text)
    options.out.mkdir(parents=True, exist_ok=True)
    write_whole(options.out / "zoom.md", text)
    console.write_json(options.out / "zoom.json", "zoom", report | {"machine": machine(), "versions": versions()})
    if details:
        save_png(options.out / "details.png", sheet([panels(parts) for parts in details.values()]))


def chart(options: Options, result: protocol.Comparison) -> None:
    """Decibels above bicubic interpolation by magnification."""
    bicubic, *others = result.methods
    labelled = {"title": "PSNR above bicubic interpolation, dB", "xlabel": "magnification", "xscale": "log"}
    with plot(options.out / "zoom.png", **labelled) as axes:
        for number, method in enumerate(others):
            gains = [method.psnr(n) - bicubic.psnr(n) for n in options.magnifications]
            line = ("o-", "o--")[number // len(COLOURS) % 2]
            axes.plot(options.magnifications, gains, line, color=COLOURS[number % len(COLOURS)], label=method.name)
        axes.axhline(0, color=FAINT, linewidth=1)
        axes.set_xticks(options.magnifications, [f"{n}x" for n in options.magnifications])
        axes.minorticks_off()


def panels(parts: dict[str, torch.Tensor]) -> list[Panel]:
    """The middle of one photograph by every method, enlarged by whole pixels."""
    photograph = parts["photograph"]
    top, left = ((side - DETAIL) // 8 * 4 for side in photograph.shape[1:])

    def cut(image: torch.Tensor) -> torch.Tensor:
        return repeat(image[:, top : top + DETAIL, left : left + DETAIL], 2)

    found = [Panel(cut(photograph), "photograph"), Panel(cut(repeat(parts["pixels"], 4)), "encoded, 1/4")]
    for name, image in parts.items():
        if name not in ("photograph", "pixels"):
            decibels = protocol.psnr(image[None], photograph[None]).item()
            found.append(Panel(cut(image), name, f"{decibels:.2f} dB"))
    return found


if __name__ == "__main__":
    main(tyro.cli(Options))
