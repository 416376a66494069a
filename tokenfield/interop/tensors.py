"""Tensors from a foreign state dict into a model, all of them and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel


@runtime_checkable
class Config(Protocol):
    """The configuration of a model."""

    def build(self) -> FieldModel:
        """The model with fresh weights."""


@dataclass(frozen=True)
class From:
    """Where a tensor of the model comes from.

    Attributes:
        name: the foreign name.
        via: makes the tensor of it; as it is by default.
    """

    name: str
    via: Callable[[Tensor], Tensor] = lambda tensor: tensor


@dataclass(frozen=True)
class Zeros:
    """A tensor of the model that the foreign one does without."""


Plan = Mapping[str, From | Zeros]
"""By the name in the model."""


def weights_and_biases(modules: Mapping[str, str]) -> dict[str, From]:
    """Of linear maps and norms, by the name in the model: the foreign one."""
    parts = ("weight", "bias")
    return {f"{ours}.{part}": From(f"{theirs}.{part}") for ours, theirs in modules.items() for part in parts}


def keys_and_values(ours: str, theirs: str) -> dict[str, From]:
    """Two matrices of an attention that are one, keys before values, elsewhere."""
    return {f"{ours}.k.weight": From(theirs, lambda both: both.chunk(2)[0]),
            f"{ours}.v.weight": From(theirs, lambda both: both.chunk(2)[-1])}


def turned(tensor: Tensor) -> Tensor:
    """A matrix (fan-in, fan-out) as (fan-out, fan-in)."""
    return tensor.transpose(0, -1)


def rows(tensor: Tensor) -> Tensor:
    """The matrix of (fan-in + 1, fan-out) whose last row is the bias."""
    return turned(tensor[:-1])


def bias(tensor: Tensor) -> Tensor:
    """That last row."""
    return tensor[-1]


def fill(config: Config, plan: Plan, state: Mapping[str, Tensor], also: Iterable[str] = ()) -> FieldModel:
    """A model with the tensors of a state dict.

    Args:
        config: the model's configuration.
        plan: where each of its tensors comes from.
        state: the foreign tensors.
        also: foreign names that are expected and go nowhere.
    Raises:
        UserError: names that are missing or unknown, and shapes that do not fit.
    """
    expected = dict.fromkeys([*(source.name for source in plan.values() if isinstance(source, From)), *also])
    missing, unknown = [n for n in expected if n not in state], [n for n in state if n not in expected]
    problems = {"lacks": missing, "holds unknown": unknown}
    if any(problems.values()):
        what = " and ".join(f"{verb} {first_of(names)}" for verb, names in problems.items() if names)
        raise UserError(f"the state dict {what}")
    with torch.device("meta"):
        model = config.build()  # shapes alone: the weights are about to be put in
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert plan.keys() == shapes.keys(), sorted(plan.keys() ^ shapes.keys())
    tensors = {}
    for name, source in plan.items():
        if isinstance(source, Zeros):
            tensors[name] = torch.zeros(shapes[name])
            continue
        given = state[source.name]
        tensor = source.via(given) if isinstance(given, Tensor) and given.ndim else given
        if not isinstance(tensor, Tensor) or tensor.shape != shapes[name]:
            shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise UserError(f"{source.name} is {shape}, which gives no {name} of {tuple(shapes[name])}")
        tensors[name] = tensor.float().contiguous().clone()
    model.load_state_dict(tensors, assign=True)
    return model


def first_of(names: list[str], most: int = 5) -> str:
    """Names for a message, of which there may be hundreds."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
