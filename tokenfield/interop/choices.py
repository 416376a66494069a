"""What a checkpoint leaves to whoever imports it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.io.record import Record

Weights = Literal["model", "ema"]

NAMES: dict[Weights, str] = {"model": "the trained weights themselves", "ema": "their moving average"}


@dataclass(frozen=True)
class Choices:
    """What the caller decides.

    Attributes:
        weights: model for the weights as they were trained, ema for their moving average.
        size: height and width of the pictures, for a model that fits any. None: the model's own default, with a
            warning that names it.
    """

    weights: Weights = "model"
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise UserError(f"--size {self.size[0]} {self.size[1]}: a height and a width from 1 are accepted")

    def state(self, trained: Record, average: object = None) -> Record:
        """The state dict to take; a warning says which one it was where they would give different models.

        Args:
            trained: the weights themselves.
            average: their moving average; anything but a filled dictionary is none.
        Raises:
            UserError: the average is asked for and there is none.
        """
        average = average if isinstance(average, dict) else {}
        if self.weights == "ema" and not average:
            raise UserError("there is no moving average of the weights in it; --weights model takes what there is")
        if average and not _same(trained, average):
            other: Weights = "model" if self.weights == "ema" else "ema"
            warnings.warn(
                f"the checkpoint holds its weights and a moving average that differs; taken were "
                f"{NAMES[self.weights]}, and --weights {other} takes {NAMES[other]}",
                stacklevel=2,
            )
        return average if self.weights == "ema" else trained

    def size_or(self, default: tuple[int, int]) -> tuple[int, int]:
        """The size that was chosen; without one the default, and a warning that says so."""
        if self.size is not None:
            return self.size
        height, width = default
        warnings.warn(
            f"nothing says how large the model's pictures are; {height} x {width} is assumed, and "
            f"--size HEIGHT WIDTH sets another size",
            stacklevel=2,
        )
        return default

    def check_size(self, actual: tuple[int, int] | None) -> None:
        """A size that was chosen is the one that the model turned out to have."""
        if self.size is not None and self.size != actual:
            height, width = self.size
            raise UserError(f"--size {height} {width} is not the size of this checkpoint, {actual}; leave --size out")


ANY = Choices()
"""Of a caller who leaves everything to the defaults."""


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return one.keys() == other.keys() and all(_equal(value, other[name]) for name, value in one.items())


def _equal(a: object, b: object) -> bool:
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
