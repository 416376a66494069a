"""What the importers of all projects share: whose checkpoint it is, and what it leaves to whoever imports it."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel

Weights = Literal["model", "ema"]

NAMES: dict[Weights, str] = {"model": "the trained weights themselves", "ema": "their moving average"}


@dataclass(frozen=True)
class Choices:
    """What the caller decides."""

    weights: Weights = "model"
    """model for the weights as they were trained, ema for their moving average."""
    size: tuple[int, int] | None = None
    """Height and width of the pictures, for a model that fits any; None: the model's own default, with a warning."""

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise UserError(f"--size {self.size[0]} {self.size[1]}: a height and a width from 1 are accepted")

    def state(self, trained: Record, average: object = None) -> Record:
        """The state dict to take; a warning says which one it was where the two give different models.

        Of the moving average, anything but a filled dictionary is none. Raises UserError for none to take.
        """
        average = average if isinstance(average, dict) else {}
        if self.weights == "ema" and not average:
            raise UserError("there is no moving average of the weights in it; --weights model takes what there is")
        if average and not _same(trained, average):
            other: Weights = "model" if self.weights == "ema" else "ema"
            warnings.warn("the checkpoint holds its weights and a moving average that differs; taken were "
                          f"{NAMES[self.weights]}, and --weights {other} takes {NAMES[other]}", stacklevel=2)
        return average if self.weights == "ema" else trained

    def size_or(self, default: tuple[int, int]) -> tuple[int, int]:
        """The caller's size; without one the default, and a warning that says so."""
        if self.size is not None:
            return self.size
        height, width = default
        warnings.warn(f"nothing says how large the model's pictures are; {height} x {width} is assumed, and "
                      "--size HEIGHT WIDTH sets another size", stacklevel=2)
        return default

    def check_size(self, actual: tuple[int, int] | None) -> None:
        """Raises UserError for a caller's size that is not the one the model turned out to have."""
        if self.size is not None and self.size != actual:
            height, width = self.size
            raise UserError(f"--size {height} {width} is not the size of this checkpoint, {actual}; leave --size out")


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two state dicts are equal, tensor for tensor."""
    return one.keys() == other.keys() and all(
        isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
        for a, b in ((value, other[name]) for name, value in one.items()))


@dataclass(frozen=True)
class Project:
    """Whose checkpoints they are."""

    name: str
    """Owner and repository."""
    content: frozenset[str]
    """What a checkpoint may hold."""
    state: tuple[str, ...]
    """Where in it the state dict is: keys, the outermost first."""
    mark: str
    """What some names in the state dict begin with, and in no other project's."""
    build: Callable[[Record, Record, Choices], FieldModel]
    """The model of a checkpoint, its configuration and the caller's choices."""
    needs_config: bool = True
    """Whether the configuration is a YAML beside the checkpoint, and not in it."""

    def recognises(self, checkpoint: Record) -> bool:
        """Whether the project's trainer saved this."""
        state: object = checkpoint
        for key in self.state:
            state = state.get(key) if isinstance(state, dict) else None
        return isinstance(state, dict) and any(str(name).startswith(self.mark) for name in state)

    def read(self, checkpoint: Record, config: Record | None, choices: Choices | None = None) -> FieldModel:
        """The model of a checkpoint. Raises UserError for contents that are not known, or no configuration."""
        if config is None and self.needs_config:
            raise UserError("such checkpoints need their YAML; give it as the configuration")
        if unknown := sorted(map(str, checkpoint.keys() - self.content)):
            raise UserError(f"the checkpoint holds unknown {', '.join(unknown)}")
        return self.build(checkpoint, config or {}, choices or Choices())
