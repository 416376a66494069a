"""What the sub-commands of `tokenfield generate` share: options, the models, and the files they write."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.cli.decode import MAX_PIXELS
from tokenfield.cli.options import Device, find_device
from tokenfield.errors import UserError
from tokenfield.generation.schedulers import Sampler
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from torch import Tensor

    from tokenfield.evaluation.figures import Panel
    from tokenfield.generation.denoiser import TokenDenoiser
    from tokenfield.models.base import FieldModel

SHEET_SIDE = 128
"""Pixels of a picture on the contact sheet, on its longer side."""
SHEET_COLUMNS, SHEET_MOST = 8, 64

LEAST = {"size": 1, "count": 1, "first": 0, "batch": 1, "frames": 2, "repeats": 1, "shard": 1, "shown": 1}
"""The smallest number that an option may be."""


def check_numbers(options: Mapping[str, object]) -> None:
    """Raises UserError for a number among the options that is smaller than its `LEAST`."""
    for name, least in LEAST.items():
        value = options.get(name)
        if isinstance(value, int) and value < least:
            raise UserError(f"--{name} {value}: give at least {least}")


@dataclass(frozen=True)
class Models:
    """A denoiser for the shape to draw, the model of its tokens, and the height and width in pixels to render."""

    denoiser: "TokenDenoiser"
    field_model: "FieldModel"
    sampler: Sampler
    size: tuple[int, int]


@dataclass(kw_only=True)
class Drawing(ABC):
    """Options that all of them have."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """Folder of a denoiser that tokenfield train made from latents."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Folder for the results; files of the same names in it are replaced."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class", metavar="NAME ...")] = ()
    """What to draw: sample i has class i mod the number of names; "each" is all classes in turn, equally often. Left
    out, no class is given."""
    size: int = 512
    """Pixels on the longer side."""
    aspect: Annotated[str | None, tyro.conf.arg(metavar="W:H")] = None
    """Width to height, such as 2:1, for tokens with anchors; the shorter side has as many cells as the pictures that
    were encoded."""
    cells: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="ROWS COLUMNS")] = None
    """Or rows and columns of cells."""
    seed: int = 0
    """Of all samples."""
    sampler: Annotated[Sampler, tyro.conf.arg(name="")] = Sampler()  # noqa: RUF009, frozen
    """How tokens are drawn."""
    field: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where the model of the latents is, if not where it was when they were made."""
    device: Device = "auto"
    json: Json = None

    @abstractmethod
    def draw(self, models: Models) -> tuple[str, Record]:
        """Draw and write; what was drawn, in words and for machines."""

    def check(self) -> None:
        """Raises UserError for options that do not go together, before anything is loaded."""
        check_numbers(vars(self))

    def run(self) -> int:
        """Check, load, draw, report."""
        self.check()
        models = self.load()
        config, sampler, (height, width) = models.denoiser.config, models.sampler, models.size
        begun = time.perf_counter()
        what, facts = self.draw(models)
        seconds = round(time.perf_counter() - begun, 3)
        console.say(f"{what}: {width} x {height} pixels, {sampler.scheduler}, {sampler.steps} steps, guidance "
                    f"{sampler.guidance:g}, seed {self.seed}, {seconds:.1f} s; in {self.output}")
        console.write_json(self.json, {
            "command": f"generate {type(self).__name__.lower()}",
            "model": {"origin": self.model, "field": config.field_model, "prediction": config.prediction},
            "sampler": {"scheduler": sampler.scheduler, "steps": sampler.steps, "guidance": sampler.guidance},
            "seed": self.seed, "classes": list(self.classes), "height": height, "width": width,
            "lattice": list(config.lattice), **facts, "seconds": seconds,
        })  # fmt: skip
        return console.OK

    def load(self) -> Models:
        """The models on the device, for the shape of the options."""
        from tokenfield.generation.samples_to_fields import load_denoiser, load_field_model, with_shape

        device = find_device(self.device)
        denoiser = load_denoiser(self.model)
        field_model = load_field_model(denoiser, self.field).to(device)
        denoiser = with_shape(denoiser.to(device), self.aspect, self.cells)
        sampler = self.sampler.resolved(denoiser.config.prediction, denoiser.config.steps)
        return Models(denoiser, field_model, sampler, pixels(denoiser.config.picture_size, self.size))

    def write(
        self, models: Models, tokens: "Tensor", labels: "Tensor", first: int, panels: "Sequence[Panel]" = ()
    ) -> Record:
        """Pictures and fields of samples, number `first` and those after it; the sheet of `panels` and the samples."""
        from tokenfield.data.pictures import write_picture
        from tokenfield.evaluation.figures import Panel, save_png, sheet
        from tokenfield.generation.samples_to_fields import to_field

        self.output.mkdir(parents=True, exist_ok=True)
        items, panels = [], list(panels)
        with console.progress("rendering", len(tokens)) as bar:
            for k, label in enumerate(labels.tolist()):
                number, name = f"{first + k:04d}", (*models.denoiser.config.names, None)[label]
                bar.file(k, number)
                field = to_field(models.denoiser, models.field_model, tokens[k])
                picture, stored = (self.output / f"{number}.{suffix}" for suffix in ("png", "field"))
                write_picture(picture, field.render(*models.size).cpu())
                field.save(stored)
                items.append({"number": first + k, "class": name, "picture": str(picture), "field": str(stored)})
                small = field.render(*pixels(field.native_size, SHEET_SIDE)).cpu()
                panels.append(Panel(small, number, name or ""))
        panels = panels[:SHEET_MOST]
        rows = [panels[k : k + SHEET_COLUMNS] for k in range(0, len(panels), SHEET_COLUMNS)]
        return {"first": first, "items": items, "sheet": str(save_png(self.output / "sheet.png", sheet(rows)))}


def pixels(native: tuple[int, int], size: int) -> tuple[int, int]:
    """(height, width) with `size` pixels on the longer side and the shape of the encoded pictures."""
    height, width = (max(1, round(side * size / max(native))) for side in native)
    if height * width > MAX_PIXELS:
        raise UserError(f"--size {size}: {height} x {width} pixels are more than are drawn at once; give less")
    return height, width
