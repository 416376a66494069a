"""Tensors from a foreign state dict into a model, all of them and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.models.pretrained import check_field_model
from tokenfield.training.protocols import ModelConfig


@dataclass(frozen=True)
class From:
    """Where a tensor of the model comes from: a foreign name, and what makes the tensor of the foreign one."""

    name: str
    via: Callable[[Tensor], Tensor] = lambda tensor: tensor


Plan = dict[str, From | None]
"""By the name in the model; None for zeros in place of what the foreign one does without."""


def weights_and_biases(modules: Mapping[str, str]) -> Plan:
    """Of linear maps and norms: the foreign name by that in the model."""
    parts = ("weight", "bias")
    return {f"{ours}.{part}": From(f"{theirs}.{part}") for ours, theirs in modules.items() for part in parts}


NORMS = {"attention": "norm1", "cross_attention": "norm_cross", "mlp": "norm2"}
"""Which norm is in front of what."""


def block(ours: str, theirs: str, parts: tuple[str, ...]) -> Plan:
    """A transformer block of trans-inr and ANR, where parts are numbered, each with its norm.

    Keys and values are one matrix there, keys before values, and have no biases.
    """
    plan: Plan = {}
    for k, part in enumerate(parts):
        inner, modules = f"{theirs}.{k}.fn", {f"{ours}.{NORMS[part]}": f"{theirs}.{k}.norm"}
        if part == "mlp":
            modules |= {f"{ours}.mlp.0": f"{inner}.net.0", f"{ours}.mlp.2": f"{inner}.net.3"}
        else:
            modules[f"{ours}.{part}.out"] = f"{inner}.to_out.0"
            plan[f"{ours}.{part}.q.weight"] = From(f"{inner}.to_q.weight")
            plan[f"{ours}.{part}.k.weight"] = From(f"{inner}.to_kv.weight", lambda both: both.chunk(2)[0])
            plan[f"{ours}.{part}.v.weight"] = From(f"{inner}.to_kv.weight", lambda both: both.chunk(2)[-1])
        plan |= weights_and_biases(modules)
    return plan


def turned(tensor: Tensor) -> Tensor:
    """A matrix (fan-in, fan-out) as (fan-out, fan-in)."""
    return tensor.transpose(0, -1)


def weight_and_bias(ours: str, theirs: str) -> Plan:
    """Of a linear map that is one matrix (fan-in + 1, fan-out) there, the bias in its last row."""
    return {f"{ours}.weight": From(theirs, lambda both: turned(both[:-1])),
            f"{ours}.bias": From(theirs, lambda both: both[-1])}


def fill(config: ModelConfig, plan: Plan, state: Mapping[str, Tensor], also: Iterable[str] = ()) -> FieldModel:
    """A model with the tensors of a foreign state dict, in which the names in `also` are expected and go nowhere.

    Raises:
        UserError: names that are missing or unknown, and shapes that do not fit.
    """
    expected = dict.fromkeys([*(source.name for source in plan.values() if source), *also])
    missing, unknown = [n for n in expected if n not in state], [n for n in state if n not in expected]
    problems = {"lacks": missing, "holds unknown": unknown}
    if any(problems.values()):
        what = " and ".join(f"{verb} {first_of(names)}" for verb, names in problems.items() if names)
        raise UserError(f"the state dict {what}")
    with torch.device("meta"):
        model = check_field_model(config.build(), "a checkpoint")  # shapes alone: the weights are about to be put in
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert plan.keys() == shapes.keys(), sorted(plan.keys() ^ shapes.keys())
    tensors = {}
    for name, source in plan.items():
        if source is None:
            tensors[name] = torch.zeros(shapes[name])
            continue
        foreign = state[source.name]
        tensor = source.via(foreign) if isinstance(foreign, Tensor) and foreign.ndim else foreign
        if not isinstance(tensor, Tensor) or tensor.shape != shapes[name]:
            shape = tuple(foreign.shape) if isinstance(foreign, Tensor) else type(foreign).__name__
            raise UserError(f"{source.name} is {shape}, which gives no {name} of {tuple(shapes[name])}")
        tensors[name] = tensor.float().contiguous().clone()
    model.load_state_dict(tensors, assign=True)
    return model


def first_of(names: list[str], most: int = 5) -> str:
    """Names for a message, of which there may be hundreds."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
