"""The objective of fields that are looked at enlarged: encode a reduced picture, answer for the pixels of the original.

LIIF's training (Chen et al., 2021): the factor is drawn uniformly, a window of so many times `side` pixels is reduced
to `side` by a bicubic filter whose support grows with the factor (as Pillow does: no aliasing) and rounded to 8 bits,
and as many pixels of the window are compared as were encoded. All pictures of a batch share the factor, the window's
place, and the rows and columns that are compared, so that these are a grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Grid, centers
from tokenfield.data.sources import Pictures, Source
from tokenfield.errors import UserError
from tokenfield.metrics import mse, psnr, to_8bit
from tokenfield.models.base import FieldModel
from tokenfield.training.journal import PSNR, Measure
from tokenfield.training.validation import check_fits, mean_over

EVALUATED = 2
"""Magnification at which held-out pictures are measured during training."""


def reduce(images: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c m n"]:
    """Smaller pictures as files would hold them: Pillow's bicubic reduction (antialiased), clamped, in 8 bits."""
    return to_8bit(F.interpolate(images, (height, width), mode="bicubic", antialias=True))


@dataclass(frozen=True)
class ZoomConfig:
    """What a step minimises where pictures are learned at magnifications; defaults are LIIF's."""

    measure: ClassVar[Measure] = PSNR

    side: int = 48
    """Pixels of a reduced picture's side, and rows and columns that are compared; `data.size` is `largest` times it."""
    largest: float = 4.0
    """Largest magnification; the smallest is 1."""
    error: Literal["absolute", "squared"] = "absolute"
    """Of a value: what is averaged."""

    def __post_init__(self) -> None:
        if self.side < 1 or self.largest < 1:
            raise UserError(f"objective.side {self.side}, objective.largest {self.largest:g}; give at least 1")

    def build(self, model: FieldModel, *, bf16: bool = False) -> "Zoom":
        """The loss of pictures, a module."""
        return Zoom(model, self, bf16=bf16)

    def check(self, model: FieldModel, source: Source, held_out: Source | None, seed: int) -> None:
        """Refuse pictures that are too small for the largest magnification, or that the model cannot take."""
        picture = source.sample(seed, 0, 0)
        if not isinstance(picture, Tensor) or not isinstance(source, Pictures):
            raise UserError("objective of kind zoom, and data of another kind; make them agree")
        least, size = max(round(self.largest * self.side), EVALUATED), min(picture.shape[-2:])
        if size < least:
            raise UserError(f"data.size {size} is below objective.largest {self.largest:g} times objective.side "
                            f"{self.side}; give {least}")
        check_fits(model, picture[:, : self.side, : self.side], "a training picture")

    def evaluate(self, model: FieldModel, source: Source, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool]) -> tuple[float, int]:
        """Mean PSNR in dB of held-out pictures that were encoded at half their size, and how many; see `mean_over`."""
        assert isinstance(source, Pictures), "check refuses other data"

        def score(item: tuple[str, Tensor]) -> Tensor:
            image = item[1][None].to(accelerator.device)
            height, width = (side // EVALUATED for side in image.shape[-2:])
            image = image[..., : height * EVALUATED, : width * EVALUATED]
            grid = Grid(Grid.cells(*image.shape[-2:], device=image.device).axes, (model.box(1 / EVALUATED),) * 2)
            values = model.decode(model.encode(reduce(image, height, width)), grid)
            return psnr(values, image.flatten(2).mT)[0]

        return mean_over(source.pictures(), score, model, count, accelerator, halted)


class Zoom(nn.Module):
    """The loss as a module; `bf16` runs the model under bfloat16 autocast."""

    def __init__(self, model: FieldModel, config: ZoomConfig, *, bf16: bool = False):
        super().__init__()
        self.model, self.config, self.bf16 = model, config, bf16

    def forward(self, images: Float[Tensor, "b c h w"],
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss and per-instance squared errors of a batch; the generator decides magnification, window and points."""
        side = self.config.side
        share = float(torch.rand((), generator=generator))
        n = round(side * (1 + (self.config.largest - 1) * share))
        top, left = (int(torch.randint(m - n + 1, (), generator=generator)) for m in images.shape[-2:])
        large = images[..., top : top + n, left : left + n]
        rows, columns = (torch.randperm(n, generator=generator)[:side].sort().values for _ in range(2))
        box = self.model.box(side / n)
        grid = Grid((centers(n)[rows], centers(n)[columns]), (box, box)).to(images.device)
        target = large[..., rows[:, None].to(images.device), columns.to(images.device)].flatten(2).mT  # (B, Q, C)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            values = self.model(reduce(large, side, side), grid).float()
        errors = mse(values, target)
        loss = errors.mean() if self.config.error == "squared" else (values - target).abs().mean()
        return loss, errors.detach()
