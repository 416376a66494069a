"""Held-out pictures of a table's own, the same for all its systems, measured while they train.

Systems that take any picture are trained on crops of one size and compared on pictures of another. And at 1024 pixels
one evaluation of every pixel costs more than a minute of training, so PSNR is taken at some rows and columns of pixels:
the same ones for every system, at their centres, without clamping. They are spread evenly, but not at a fixed distance:
every eighth row would be the same row of every cell of eight, and cells are better in their middle than at their edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.coords import Grid, centers
from tokenfield.data import DataConfig
from tokenfield.fields.field import Field
from tokenfield.io.record import Record
from tokenfield.metrics import psnr
from tokenfield.models.base import FieldModel, Model
from tokenfield.models.pretrained import check_field_model

SIDE, FINAL_SIDE = 64, 256
"""Most rows, and columns, of a picture that are decoded: along a curve, and at its end."""
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class HeldOut:
    """Which pictures a row is measured on, in place of its recipe's own."""

    data: DataConfig
    pictures: int | None = None
    """The first so many; None: all of them."""

    def read(self, root: Path, most: int | None = None) -> list[tuple[str, Tensor]]:
        """The pictures (C, H, W) by name, at most so many."""
        counts = [count for count in (self.pictures, most) if count is not None]
        return list(islice(self.data.open(root, "test").pictures(), min(counts, default=None)))


def spaced(n: int, most: int) -> Int[Tensor, " m"]:
    """Indices of `most` of n pixels, one in every share of n / most, or of all of them if there are no more.

    Where in its share follows from the golden ratio's multiples, which fall together with no period of cells.
    """
    m = min(n, most)
    i = torch.arange(m, dtype=torch.float64)
    return ((i + (i * GOLDEN) % 1) * n / m).long() if m < n else torch.arange(n)


def sampled_grid(picture: Float[Tensor, "c h w"], side: int) -> Grid:
    """The centres of `side` x `side` of a picture's pixels, of all if it has no more."""
    y, x = (centers(n)[spaced(n, side)] for n in picture.shape[1:])
    return Grid((y, x))


def sampled_psnr(model: FieldModel, pictures: Iterable[tuple[str, Tensor]], side: int) -> dict[str, float]:
    """PSNR of every picture (C, H, W) by its name, at `side` x `side` of its pixels, all if it has no more."""
    scores = {}
    device = next(model.parameters()).device
    for name, picture in pictures:
        with torch.no_grad():
            values = Field.of(model, picture.to(device))(sampled_grid(picture, side).to(device)).float().cpu()  # (Q, C)
        rows, columns = (spaced(n, side) for n in picture.shape[1:])
        target = picture[:, rows[:, None], columns].flatten(1).T
        scores[name] = psnr(values[None], target[None]).item()
    return scores


class Doubling:
    """Measures after 4, 8, 16, ... steps, and at the end: evenly along a logarithmic axis. Pictures are read once."""

    def __init__(self, held_out: HeldOut, root: Path, most: int | None = None):
        self.pictures = held_out.read(root, most)

    def due(self, step: int) -> bool:
        """After a power of two, but for the first two."""
        return step >= 4 and step & (step - 1) == 0

    def __call__(self, model: Model) -> Record:
        """Mean PSNR, and of how many pictures."""
        was_training = model.training
        scores = sampled_psnr(check_field_model(model.eval(), "the run"), self.pictures, SIDE)
        model.train(was_training)
        return {"evaluation_psnr": sum(scores.values()) / len(scores), "evaluation_pictures": len(scores)}
