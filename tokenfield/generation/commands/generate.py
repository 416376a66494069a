"""`tokenfield generate`: new pictures, animations between two, parts of a photograph; a sub-command for each.

All have the options of `Drawing`, which loads the models and writes pictures, fields and the contact sheet.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.cli.decode import MAX_PIXELS
from tokenfield.cli.options import Device, check_at_least, find_device
from tokenfield.cli.types import FieldModel, Tensor
from tokenfield.errors import UserError
from tokenfield.generation.schedulers import Sampler
from tokenfield.io.lock import take
from tokenfield.io.outputs import check_free
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from tokenfield.evaluation.figures import Panel
    from tokenfield.generation.denoiser import TokenDenoiser

SHEET_SIDE = 128
"""Pixels of a picture on the contact sheet, on its longer side."""
SHEET_COLUMNS, SHEET_MOST = 8, 64
LARGEST = 512
"""Pixels of a picture on its longer side, unless others are asked for."""


@dataclass(frozen=True)
class Models:
    """A denoiser for the shape to draw, the model of its tokens, and the height and width in pixels to render."""

    denoiser: "TokenDenoiser"
    field_model: FieldModel
    sampler: Sampler
    size: tuple[int, int]


@dataclass(kw_only=True)
class Drawing(ABC):
    """Options that all of them have."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A packaged denoiser, such as generate-fashion, or the folder of one that tokenfield train made from latents."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Folder for the results."""
    overwrite: bool = False
    """Replace files of the same names in it."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class", metavar="NAME ...")] = ()
    """What to draw: sample i has class i mod the number of names; "each" is all classes in turn, equally often. Left
    out, no class is given."""
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """On the longer side; left out, eight times that of the pictures that were encoded, and at most 512."""
    shape: Annotated[str | None, tyro.conf.arg(metavar="W:H|ROWSxCOLUMNS")] = None
    """Of tokens with anchors: width to height, such as 2:1, whose shorter side has as many cells as the pictures that
    were encoded; or rows and columns of cells, such as 7x3."""
    seed: int = 0
    """Of all samples."""
    batch: int = 16
    """Samples drawn at once, which changes none of them."""
    sampler: tyro.conf.OmitArgPrefixes[Sampler] = Sampler()  # noqa: RUF009, frozen
    """How tokens are drawn."""
    field: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where the model of the latents is, if not where it was when they were made."""
    device: Device = "auto"
    json: Json = None

    @abstractmethod
    def draw(self, models: Models) -> tuple[str, Record]:
        """Draw and write; what was drawn, in words and for machines."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of the files that are written."""

    def check(self) -> None:
        """Raises UserError for options that do not go together and files in the way, before anything is loaded."""
        check_at_least(1, size=self.size, batch=self.batch)
        take(self.output)
        check_free([self.output / name for name in self.names()], overwrite=self.overwrite)

    def run(self) -> int:
        """Check, load, draw, report."""
        from tokenfield.generation.samples_to_fields import load_denoiser, load_field_model, with_shape

        self.check()
        device, denoiser = find_device(self.device), load_denoiser(self.model)
        field_model = load_field_model(denoiser, self.field).to(device)
        denoiser = with_shape(denoiser.to(device), self.shape)
        config = denoiser.config
        sampler = self.sampler.resolved(config.prediction, config.steps)
        height, width = pixels(config.picture_size, self.size or min(LARGEST, 8 * max(config.picture_size)))
        start = time.perf_counter()
        what, facts = self.draw(Models(denoiser, field_model, sampler, (height, width)))
        seconds = round(time.perf_counter() - start, 3)
        console.say(f"{what}: {width} x {height} pixels, {sampler.scheduler}, {sampler.steps} steps, guidance "
                    f"{sampler.guidance:g}, seed {self.seed}, {seconds:.1f} s; in {self.output}")
        console.write_json(self.json, f"generate {type(self).__name__.lower()}", {
            "model": {"origin": self.model, "field": config.field_model, "prediction": config.prediction},
            "sampler": {"scheduler": sampler.scheduler, "steps": sampler.steps, "guidance": sampler.guidance},
            "seed": self.seed, "classes": list(self.classes), "height": height, "width": width,
            "lattice": list(config.lattice), **facts, "seconds": seconds,
        })  # fmt: skip
        return console.OK

    def write(self, models: Models, tokens: Tensor, labels: Tensor, first: int,
              panels: "Sequence[Panel]" = ()) -> Record:
        """Pictures and fields of samples, number `first` and those after it; the sheet of `panels` and the samples."""
        from tokenfield.data.pictures import write_picture
        from tokenfield.evaluation.figures import Panel, save_png, sheet
        from tokenfield.generation.samples_to_fields import to_field

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


@dataclass(kw_only=True)
class Numbered(Drawing):
    """What draws samples: number i is a function of --seed and i, and of its class."""

    count: int = 16
    """Samples."""
    first: int = 0
    """Number of the first sample; 1000 continues where another call, or another machine, stops."""

    def names(self) -> list[str]:
        numbers = range(self.first, self.first + self.count)
        return [*(f"{n:04d}.{suffix}" for n in numbers for suffix in ("png", "field")), "sheet.png"]

    def check(self) -> None:
        check_at_least(1, count=self.count)
        check_at_least(0, first=self.first)
        super().check()


@dataclass(kw_only=True)
class Samples(Numbered):
    """Draw new pictures: 0000.png, 0000.field, ..., and a contact sheet of them."""

    def draw(self, models: Models) -> tuple[str, Record]:
        from tokenfield.generation.samples_to_fields import labels_for
        from tokenfield.generation.sampling import sample

        labels = labels_for(models.denoiser, self.classes, self.count, self.first)
        with console.progress("drawing") as bar:
            tokens = sample(models.denoiser, labels, models.sampler, seed=self.seed, first=self.first,
                            batch=self.batch, progress=bar.piece)
        facts = self.write(models, tokens, labels, self.first)
        kinds = ", ".join(dict.fromkeys(item["class"] for item in facts["items"] if item["class"])) or "no class"
        return f"{self.count} samples ({kinds})", facts


@dataclass(kw_only=True)
class Interpolate(Drawing):
    """Write an animation between two photographs, whose tokens are joined by a straight line, or between two samples
    named by their numbers, whose noise is joined along a great circle: between.webp, and its ends 0000.png, 0001.png.
    """

    between: Annotated[tyro.conf.Positional[tuple[str, str]], tyro.conf.arg(metavar="A B")]
    """Two pictures, or two sample numbers."""
    frames: int = 24
    """Of the animation, one way."""

    def names(self) -> list[str]:
        return ["between.webp", "0000.png", "0001.png"]

    def check(self) -> None:
        super().check()
        check_at_least(2, frames=self.frames)

    def draw(self, models: Models) -> tuple[str, Record]:
        import torch

        from tokenfield.data.pictures import read_picture, write_picture
        from tokenfield.fields.field import Field
        from tokenfield.generation.interpolation import between_fields, between_samples, write_animation
        from tokenfield.generation.samples_to_fields import cut_to_fit, labels_for, to_field

        denoiser, model = models.denoiser, models.field_model
        if all(name.isdecimal() and not Path(name).exists() for name in self.between):
            kind, (a, b) = "samples", map(int, self.between)
            labels = torch.cat([labels_for(denoiser, self.classes, 1, number) for number in (a, b)])
            with console.progress("drawing") as bar:
                tokens = between_samples(denoiser, (a, b), labels, models.sampler, self.frames, seed=self.seed,
                                         batch=self.batch, progress=bar.piece)
            fields = [to_field(denoiser, model, frame) for frame in tokens]
        else:
            kind = "photographs"
            one, other = (Field.of(model, cut_to_fit(denoiser, read_picture(name))) for name in self.between)
            fields = between_fields(one, other, self.frames)
        pictures = []
        with console.progress("rendering", self.frames) as bar:
            for k, field in enumerate(fields):
                bar.file(k, str(k))
                pictures.append(field.render(*models.size, progress=bar.piece).cpu())
        film = self.output / "between.webp"
        write_animation(film, pictures)
        for name, picture in (("0000.png", pictures[0]), ("0001.png", pictures[-1])):
            write_picture(self.output / name, picture)
        facts = {"animation": str(film), "frames": self.frames, "between": list(self.between), "of": kind}
        return f"{self.frames} frames between {kind} {self.between[0]} and {self.between[1]}", facts


@dataclass(kw_only=True)
class Infill(Numbered):
    """Keep the tokens of a photograph that lie outside --region and draw the others, --count times."""

    picture: tyro.conf.Positional[Path]
    """A photograph."""
    region: Annotated[str, tyro.conf.arg(metavar="PICTURE|TOP,LEFT,HEIGHT,WIDTH")]
    """Where it is drawn anew: a picture of the photograph's size, white there; or a box in its pixels, as rows above
    it, columns to its left, its height and width."""
    share: float = 0.5
    """A token is drawn anew if so much of what it governs lies inside."""
    repeats: int = 5
    """How often every step is taken; more fits better and takes longer."""

    def check(self) -> None:
        super().check()
        check_at_least(1, repeats=self.repeats)
        if not 0 < self.share <= 1:
            raise UserError(f"--share {self.share:g}: give a part of what a token governs, above 0 and at most 1")

    def draw(self, models: Models) -> tuple[str, Record]:
        import torch

        from tokenfield.data.pictures import read_picture
        from tokenfield.evaluation.figures import Panel, bicubic
        from tokenfield.fields.field import Field
        from tokenfield.generation import infill
        from tokenfield.generation.samples_to_fields import cut_to_fit, labels_for, to_tokens

        denoiser, whole = models.denoiser, read_picture(self.picture)
        covered = self.covered((whole.shape[1], whole.shape[2])).expand(3, -1, -1)
        picture, covered = cut_to_fit(denoiser, whole), cut_to_fit(denoiser, covered)[0]
        field = Field.of(models.field_model, picture)
        with console.progress("finding the tokens under the mask") as bar:
            redrawn = infill.inside(field, covered, bar.piece) >= self.share
        if not redrawn.any():
            raise UserError(f"no token has {self.share:.0%} of what it governs inside the mask; give a larger mask, or "
                            "a smaller --share")
        places = redrawn if denoiser.config.lattice else redrawn.flatten()
        console.say(f"drawing {infill.describe(places)} anew: those of which {self.share:.0%} or more of what they "
                    "govern is inside")
        count, first, batch = self.count, self.first, self.batch
        labels, tokens = labels_for(denoiser, self.classes, count, first), to_tokens(denoiser, field)
        gap = infill.Gap(tokens, redrawn.reshape(tokens.shape[:-1]))
        with console.progress("drawing", -(-count // batch)) as bar:
            parts = []
            for start in range(0, count, batch):
                bar.file(start // batch)
                parts.append(infill.fill(denoiser, gap, labels[start : start + batch], models.sampler, seed=self.seed,
                                         repeats=self.repeats, first=first + start, progress=bar.piece))
        visible, small = picture * (1 - covered) + 0.5 * covered, pixels(denoiser.config.picture_size, SHEET_SIDE)
        panels = [Panel(bicubic(picture, *small), "photograph"), Panel(bicubic(visible, *small), "kept"),
                  Panel(field.render(*small).cpu(), "its tokens")]
        facts = self.write(models, torch.cat(parts), labels, first, panels) | {
            "drawn": places.nonzero().tolist(), "of": places.numel(), "share": self.share, "repeats": self.repeats
        }  # fmt: skip
        return f"{count} fillings of {self.picture}", facts

    def covered(self, size: tuple[int, int]) -> Tensor:
        """(1, H, W), 1 where a photograph of this size is drawn anew. Raises UserError for a mask that does not fit."""
        import torch

        from tokenfield.data.pictures import read_picture

        if box := re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", self.region):
            top, left, height, width = map(int, box.groups())
            if min(height, width) < 1 or top + height > size[0] or left + width > size[1]:
                raise UserError(f"--region {self.region} is not inside the picture of {size[0]} rows and {size[1]} "
                                "columns; give top, left, height and width in its pixels")
            inside = torch.zeros(1, *size)
            inside[:, top : top + height, left : left + width] = 1
            return inside
        inside = (read_picture(self.region).mean(0, keepdim=True) > 0.5).float()
        if tuple(inside.shape[1:]) != size:
            raise UserError(f"--region {self.region} is {inside.shape[2]} x {inside.shape[1]} pixels and the "
                            f"photograph {size[1]} x {size[0]}; give a mask of the photograph's size")
        return inside


def pixels(native: tuple[int, ...], size: int) -> tuple[int, int]:
    """(height, width) with `size` pixels on the longer side and the shape of the encoded pictures."""
    height, width = (max(1, round(side * size / max(native))) for side in native)
    if height * width > MAX_PIXELS:
        raise UserError(f"--size {size}: {height} x {width} pixels are more than are drawn at once; give less")
    return height, width


def generate(
    action: Annotated[Samples | Interpolate | Infill, tyro.conf.arg(name=""), tyro.conf.OmitSubcommandPrefixes],
) -> int:
    """Draw from a denoiser of tokens: new pictures, animations between two, parts of a photograph.

    A denoiser is made by tokenfield latents MODEL DATA -o LATENTS and tokenfield train ldm-... --data LATENTS. A sample
    is a set of tokens, and so a field: --size draws the same sample at any number of pixels, and tokenfield decode
    renders its .field file again at any other. Tokens with anchors are drawn in any shape: --shape 2:1, or --shape 7x3
    for an exact number of rows and columns. Tokens of a set have the shape of the pictures that were encoded.

    Args:
        action: what to draw.
    """
    return action.run()
