"""`tokenfield generate interpolate`: an animation between two samples or two photographs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.generation.commands.drawing import Drawing, Models, at_least
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from tokenfield.fields.field import Field


@dataclass(kw_only=True)
class Interpolate(Drawing):
    """Write an animation between two photographs, whose tokens are joined by a straight line, or between two samples
    named by their numbers, whose noise is joined along a great circle: between.webp, and its ends 0000.png, 0001.png.
    """

    between: Annotated[tyro.conf.Positional[tuple[str, str]], tyro.conf.arg(metavar="A B")]
    """Two pictures, or two sample numbers."""
    frames: int = 24
    """Of the animation, one way."""
    batch: int = 16
    """Samples drawn at once."""

    def check(self) -> None:
        """Numbers in range."""
        at_least("frames", self.frames, 2)
        at_least("batch", self.batch, 1)

    def draw(self, models: Models) -> tuple[str, Record]:
        """The animation and its two ends."""
        from tokenfield.data.pictures import write_picture
        from tokenfield.generation.interpolation import write_animation

        numbered = all(name.isdecimal() and not Path(name).exists() for name in self.between)
        fields = self.between_samples(models) if numbered else self.between_photographs(models)
        pictures = []
        with console.progress("rendering", self.frames) as bar:
            for k, field in enumerate(fields):
                bar.file(k, str(k))
                pictures.append(field.render(*models.size, progress=bar.piece).cpu())
        film, kind = self.output / "between.webp", "samples" if numbered else "photographs"
        write_animation(film, pictures)
        for name, picture in (("0000.png", pictures[0]), ("0001.png", pictures[-1])):
            write_picture(self.output / name, picture)
        facts = {"animation": str(film), "frames": self.frames, "between": list(self.between), "of": kind}
        return f"{self.frames} frames between {kind} {self.between[0]} and {self.between[1]}", facts

    def between_samples(self, models: Models) -> "list[Field]":
        """Fields on the way from one numbered sample to the other."""
        import torch

        from tokenfield.generation.interpolation import between_samples
        from tokenfield.generation.samples_to_fields import labels_for, to_field

        denoiser, (a, b) = models.denoiser, map(int, self.between)
        labels = torch.cat([labels_for(denoiser, self.classes, 1, number) for number in (a, b)])
        with console.progress("drawing") as bar:
            tokens = between_samples(denoiser, (a, b), labels, models.sampler, self.frames, seed=self.seed,
                                     batch=self.batch, progress=bar.piece)
        return [to_field(denoiser, models.field_model, one) for one in tokens]

    def between_photographs(self, models: Models) -> "list[Field]":
        """Fields on the way from one photograph to the other."""
        from tokenfield.data.pictures import read_picture
        from tokenfield.fields.field import Field
        from tokenfield.generation.interpolation import between_fields
        from tokenfield.generation.samples_to_fields import cut_to_fit

        a, b = (Field.of(models.field_model, cut_to_fit(models.denoiser, read_picture(n))) for n in self.between)
        return between_fields(a, b, self.frames)
