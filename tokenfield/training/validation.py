"""Held-out instances: whether a model takes them, and how well it does on them."""

import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, Model

T = TypeVar("T")


def check_fits(model: FieldModel, picture: Tensor, what: str) -> None:
    """Raise UserError if the model cannot encode a picture of this shape (C, H, W)."""
    channels, height, width = picture.shape
    if channels != model.channels:
        raise UserError(f"{what} has {channels} channels, but the model takes {model.channels}; change model.channels")
    if model.input_size is not None and model.input_size != (height, width):
        size = "x".join(map(str, model.input_size))
        raise UserError(f"{what} is {height}x{width}, the model takes {size}; make data.size and model.size agree")
    if model.input_size is None and (height % model.cell or width % model.cell):
        cell = model.cell
        raise UserError(f"{what} is {height}x{width}, no multiple of the model's {cell}-pixel cells; change data.size")


@torch.no_grad()
def mean_over(instances: Iterable[T], score: Callable[[T], Tensor | float], model: Model, count: int,
              accelerator: Accelerator, halted: Callable[[], bool] = lambda: False) -> tuple[float, int]:
    """Mean of a number over the first `count` held-out instances, which are the same on all processes and shared out.

    Each is scored alone, so that the result depends on no batch size, with the model in evaluation mode and in float32,
    whatever it was trained in. `halted` is read before every instance; True gives up. Returns the mean and the number
    of instances; (nan, 0) without any, or if any process gave up.
    """
    was_training = model.training
    model.eval()
    total = torch.zeros(3, device=accelerator.device, dtype=torch.float32)
    for instance in islice(instances, accelerator.process_index, count, accelerator.num_processes):
        if halted():
            total[2] = 1
            break
        total[0] += score(instance)
        total[1] += 1
    model.train(was_training)
    value, instances_scored, gave_up = accelerator.reduce(total, "sum").tolist()
    return (math.nan, 0) if gave_up or not instances_scored else (value / instances_scored, int(instances_scored))
