"""PSNR on held-out pictures while a run goes on, by the papers' protocol and in float32."""

import math
from collections.abc import Callable
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.data import Source
from tokenfield.errors import UserError
from tokenfield.metrics import psnr
from tokenfield.models.base import FieldModel


@runtime_checkable
class Probe(Protocol):
    """Something else to measure while a run goes on, beside the recipe's own evaluation."""

    def due(self, step: int) -> bool:
        """Whether to measure after so many steps: a function of the step alone, the same on every process."""
        ...

    def __call__(self, model: FieldModel) -> dict[str, Any]:
        """Numbers for a line of metrics; the clock of training stands still meanwhile."""
        ...


def check_fits(model: FieldModel, picture: Tensor, what: str) -> None:
    """Raise UserError if the model cannot encode a picture of this shape (C, H, W)."""
    channels, height, width = picture.shape
    if channels != model.channels:
        raise UserError(f"{what} has {channels} channels, but the model takes {model.channels}; change model.channels")
    if model.input_size is not None and model.input_size != (height, width):
        wanted = "x".join(map(str, model.input_size))
        raise UserError(f"{what} is {height}x{width}, the model takes {wanted}; make data.size and model.size agree")
    if model.input_size is None and (height % model.cell or width % model.cell):
        cell = model.cell
        raise UserError(f"{what} is {height}x{width}, no multiple of the model's {cell}-pixel cells; change data.size")


@torch.no_grad()
def evaluate(
    model: FieldModel, source: Source, count: int, accelerator: Accelerator, halted: Callable[[], bool] = lambda: False
) -> tuple[float, int]:
    """Mean over the pictures of their PSNR.

    Args:
        model: in float32, whatever it was trained in; a picture is encoded and decoded alone, so the result depends
            on no batch size.
        source: held-out pictures; the first `count` of them, shared out between the processes.
        count: most pictures.
        accelerator: knows the processes and the device.
        halted: asked before every picture; True gives up.
    Returns:
        dB and the number of pictures; (nan, 0) without pictures, or if any process gave up.
    """
    was_training = model.training
    model.eval()
    rank, world = accelerator.process_index, accelerator.num_processes
    total = torch.zeros(3, device=accelerator.device, dtype=torch.float32)
    for name, picture in islice(source.pictures(), rank, count, world):
        if halted():
            total[2] = 1
            break
        check_fits(model, picture, f"held-out picture {name}")
        image = picture[None].to(accelerator.device)
        values = model.decode(model.encode(image), Grid.cells(*image.shape[-2:], device=image.device))
        total[0] += psnr(values, image.flatten(2).transpose(1, 2))[0]
        total[1] += 1
    model.train(was_training)
    decibels, pictures, gave_up = accelerator.reduce(total, "sum").tolist()
    return (math.nan, 0) if gave_up or not pictures else (decibels / pictures, int(pictures))
