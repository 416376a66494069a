"""`tokenfield generate infill`: a part of a photograph drawn anew."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File
from tokenfield.cli.types import Tensor
from tokenfield.errors import UserError
from tokenfield.generation.commands.drawing import SHEET_SIDE, Drawing, Models, pixels
from tokenfield.io.record import Record


@dataclass(kw_only=True)
class Infill(Drawing):
    """Keep the tokens of a photograph that lie outside --mask or --box and draw the others, --count times."""

    picture: tyro.conf.Positional[Path]
    """A photograph."""
    mask: File = None
    """A picture of the photograph's size, white where it is to be drawn anew."""
    box: Annotated[tuple[int, int, int, int] | None, tyro.conf.arg(metavar="TOP LEFT HEIGHT WIDTH")] = None
    """Or a box in its pixels: rows above it, columns to its left, its height and width."""
    share: float = 0.5
    """A token is drawn anew if so much of what it governs lies inside."""
    repeats: int = 5
    """How often every step is taken; more fits better and takes longer."""
    count: int = 16
    """Samples."""
    first: int = 0
    """Number of the first sample."""

    def check(self) -> None:
        """Numbers in range, and one of mask and box."""
        super().check()
        if not 0 < self.share <= 1:
            raise UserError(f"--share {self.share:g}: give a part of what a token governs, above 0 and at most 1")
        if (self.mask is None) == (self.box is None):
            raise UserError("in-filling needs to know where: give either --mask PICTURE or --box TOP LEFT HEIGHT WIDTH")

    def draw(self, models: Models) -> tuple[str, Record]:
        """Fillings, a picture and a .field file of each, and a sheet of them beside the photograph."""
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
            chosen = infill.inside(field, covered, bar.piece) >= self.share
        if not chosen.any():
            raise UserError(f"no token has {self.share:.0%} of what it governs inside the mask; give a larger mask, or "
                            "a smaller --share")
        places = chosen if denoiser.config.lattice else chosen.flatten()
        console.say(f"drawing {infill.describe(places)} anew: those of which {self.share:.0%} or more of what they "
                    "govern is inside")
        labels = labels_for(denoiser, self.classes, self.count, self.first)
        with console.progress("drawing") as bar:
            known = to_tokens(denoiser, field)
            tokens = infill.fill(denoiser, known, chosen.reshape(known.shape[:-1]), labels, models.sampler,
                                 repeats=self.repeats, seed=self.seed, first=self.first, progress=bar.piece)
        visible, small = picture * (1 - covered) + 0.5 * covered, pixels(denoiser.config.picture_size, SHEET_SIDE)
        panels = [Panel(bicubic(picture, *small), "photograph"), Panel(bicubic(visible, *small), "kept"),
                  Panel(field.render(*small).cpu(), "its tokens")]
        facts = self.write(models, tokens, labels, self.first, panels) | {
            "drawn": places.nonzero().tolist(), "of": places.numel(), "share": self.share, "repeats": self.repeats
        }  # fmt: skip
        return f"{self.count} fillings of {self.picture}", facts

    def covered(self, size: tuple[int, int]) -> Tensor:
        """(1, H, W), 1 where a photograph of this size is drawn anew. Raises UserError for a mask that does not fit."""
        import torch

        from tokenfield.data.pictures import read_picture

        if self.box is not None:
            top, left, height, width = self.box
            if min(top, left) < 0 or min(height, width) < 1 or top + height > size[0] or left + width > size[1]:
                raise UserError(f"--box {top} {left} {height} {width} is not inside the picture of {size[0]} rows and "
                                f"{size[1]} columns; give top, left, height and width in its pixels")
            inside = torch.zeros(1, *size)
            inside[:, top : top + height, left : left + width] = 1
            return inside
        assert self.mask is not None, "either a mask or a box, as `check` makes sure"
        inside = (read_picture(self.mask).mean(0, keepdim=True) > 0.5).float()
        if tuple(inside.shape[1:]) != size:
            raise UserError(f"{self.mask} is {inside.shape[2]} x {inside.shape[1]} pixels and the photograph {size[1]} "
                            f"x {size[0]}; give a mask of the photograph's size")
        return inside
