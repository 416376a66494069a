"""Tensors from a foreign state dict into a model, all of them and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel


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


def fill(config: Any, plan: Plan, state: Mapping[str, Tensor], also: Iterable[str] = ()) -> FieldModel:
    """A model with the tensors of a state dict.

    Args:
        config: the model's configuration.
        plan: where each of its tensors comes from.
        state: the foreign tensors.
        also: foreign names that are expected and go nowhere.
    Raises:
        UserError: names that are missing or unknown, and shapes that do not fit.
    """
    wanted = dict.fromkeys([*(source.name for source in plan.values() if isinstance(source, From)), *also])
    missing, unknown = [n for n in wanted if n not in state], [n for n in state if n not in wanted]
    problems = {"lacks": missing, "holds unknown": unknown}
    said = [f"{what} {first_of(names)}" for what, names in problems.items() if names]
    if said:
        raise UserError(f"the state dict {' and '.join(said)}")
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
        made = source.via(given) if isinstance(given, Tensor) and given.ndim else given
        if not isinstance(made, Tensor) or made.shape != shapes[name]:
            what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise UserError(f"{source.name} is {what}, which gives no {name} of {tuple(shapes[name])}")
        tensors[name] = made.float().contiguous().clone()
    model.load_state_dict(tensors, assign=True)
    return model


def first_of(names: list[str], most: int = 5) -> str:
    """Names for a message, of which there may be hundreds."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
