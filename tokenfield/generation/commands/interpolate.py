"""`tokenfield generate interpolate`: an animation between two samples or two photographs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.generation.commands.drawing import Drawing, Models
from tokenfield.io.record import Record


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

    def draw(self, models: Models) -> tuple[str, Record]:
        """The animation and its two ends."""
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
            fields = [to_field(denoiser, model, one) for one in tokens]
        else:
            kind, ends = "photographs", [Field.of(model, cut_to_fit(denoiser, read_picture(n))) for n in self.between]
            fields = between_fields(*ends, self.frames)
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
