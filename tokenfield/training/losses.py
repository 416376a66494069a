"""What a training step minimises: how wrong the answers are (Eq. 1), and two ways to weigh them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.metrics import mse
from tokenfield.models import FieldModel
from tokenfield.training.blockwise import Precomputed, blockwise
from tokenfield.training.sampling import CoordinateConfig, Sampling, draw

NOISE_FLOOR = 1e-6
"""Added to errors before their logarithm: beyond 60 dB a picture stops pulling (8-bit rounding alone is 59 dB)."""


def reconstruction_loss(
    model: FieldModel,
    images: Float[Tensor, "b c h w"],
    sampling: Sampling,
    row_blocks: int = 1,
    average: Callable[[Tensor], Tensor] = torch.mean,
    prefixes: tuple[int, ...] = (),
) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
    """Mean over the instances of the mean squared error over their coordinates (Eq. 1).

    Args:
        model: what is trained.
        images: values in [0, 1].
        sampling: the coordinates and their pixels, on the device of `images`.
        row_blocks: above 1, what meets coordinates is differentiated block by block while the loss is computed, so
            that only one block's activations exist at a time; see blockwise.py.
        average: of the instances' errors, where all rows are decoded at once.
        prefixes: see `condition`.
    Returns:
        The loss, which carries the gradient, and every instance's mean squared error, which does not.
    """
    tokens = model.encode(images)
    lattice = tuple(tokens.shape[1:-1])  # where tokens have places, these are what coordinates are located among
    conditioned = condition(model, tokens, prefixes)
    if row_blocks == 1 or not torch.is_grad_enabled():
        values = model.combine(model.locate(sampling.coords, lattice), conditioned)
        errors = mse(values.float(), sampling.gather(images))
        return average(errors), errors.detach()
    errors, pairs = blockwise(model, images, conditioned, lattice, sampling, row_blocks)
    sources, gradients = zip(*pairs, strict=True)
    return Precomputed.apply(errors.mean(), len(pairs), *sources, *gradients), errors


def condition(model: FieldModel, tokens: Tensor, prefixes: tuple[int, ...]) -> Any:
    """What the decoder makes of the tokens, if the pictures of a batch take turns in being cut to these widths.

    Picture i keeps the first prefixes[i mod n] values of every token, so that one model learns to be decoded from any
    of the prefixes, and each meets equally many pictures. () keeps all values.
    """
    if not prefixes:
        return model.condition(tokens)
    n = len(prefixes)
    turns = [model.condition(tokens[i::n, ..., :width]) for i, width in enumerate(prefixes[: len(tokens)])]
    order = torch.cat([torch.arange(i, len(tokens), n) for i in range(len(turns))]).argsort().to(tokens.device)
    if isinstance(turns[0], Tensor):
        return torch.cat(turns)[order]
    return type(turns[0])(*(torch.cat(part)[order] for part in zip(*turns, strict=True)))


def average_of(config: CoordinateConfig, errors: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """One number for a batch: the mean of its pictures' errors, or the mean of their logarithms."""
    return errors.mean() if config.average == "errors" else (errors + NOISE_FLOOR).log().mean()


def zoomed_loss(
    model: FieldModel, images: Float[Tensor, "b c h w"], config: CoordinateConfig, generator: torch.Generator
) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
    """Encode a smaller version of the pictures; answer for its pixels and for the larger picture's in between.

    The smaller version is the area average, as a sensor with larger pixels would have seen it. A share 1 / zoom^2 of
    the larger grid is asked for, as rows times columns, so both terms ask equally many coordinates.

    Returns:
        The loss, and every picture's mean squared error on the pixels that were encoded.
    """
    small = F.avg_pool2d(images, config.zoom)
    tokens = model.encode(small)
    lattice, conditioned = tuple(tokens.shape[1:-1]), condition(model, tokens, config.prefixes)

    def errors_at(share: CoordinateConfig, target: Tensor) -> Tensor:
        height, width = target.shape[-2:]
        sampling = draw(share, height, width, generator, images).to(images.device)
        values = model.combine(model.locate(sampling.coords, lattice), conditioned)
        return mse(values.float(), sampling.gather(target))

    seen = errors_at(config, small)
    between = errors_at(replace(config, fraction=config.fraction / config.zoom**2, subset="grid"), images)
    loss = average_of(config, seen) + config.zoom_weight * average_of(config, between)
    return loss, seen.detach()


class Objective(nn.Module):
    """The loss as a module: what is wrapped for data-parallel training, since only `forward` is intercepted there.

    Args:
        model: what is trained.
        coordinates: which coordinates to ask for.
        bf16: run under bfloat16 autocast; the models keep phases in float32 themselves.
    """

    def __init__(self, model: FieldModel, coordinates: CoordinateConfig, *, bf16: bool = False):
        super().__init__()
        self.model, self.coordinates, self.bf16 = model, coordinates, bf16
        self.average = partial(average_of, coordinates)

    def forward(
        self, images: Float[Tensor, "b c h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss and per-instance errors of a batch; the generator decides the coordinates."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            if self.coordinates.zoom > 1:
                return zoomed_loss(self.model, images, self.coordinates, generator)
            height, width = images.shape[-2:]
            sampling = draw(self.coordinates, height, width, generator, images).to(images.device)
            blocks, prefixes = self.coordinates.row_blocks, self.coordinates.prefixes
            loss, errors = reconstruction_loss(self.model, images, sampling, blocks, self.average, prefixes)
        return loss, errors
