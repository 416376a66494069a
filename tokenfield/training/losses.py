"""What a training step asks of the model: which coordinates, and how wrong the answers are (Eq. 1).

Which coordinates is a decision of its own, apart from the loss: `draw` makes it from a generator and the size of the
picture, and what it returns holds for a whole batch, so that everything that depends on coordinates alone is computed
once. Two kinds of draw exist because they cost differently:

- points, (Q, 2): noise of its own for every pixel, or any random subset of the pixels, as in the papers;
- a grid: noise per row and per column, or a random choice of rows and of columns. It stays a tensor product, for
  which frequency features are sums of one table per axis.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid, centers, count
from tokenfield.errors import UserError
from tokenfield.metrics import mse
from tokenfield.models import FieldModel

NOISE_FLOOR = 1e-6
"""Added to errors before their logarithm: beyond 60 dB a picture stops pulling (8-bit rounding alone is 59 dB)."""


@dataclass(frozen=True)
class CoordinateConfig:
    """Which coordinates of a picture a training step asks for."""

    jitter: Literal["none", "pixel", "axis"] = "pixel"
    """Uniform noise within the pixel: none, drawn for every pixel (the papers), or for every row and every column."""
    fraction: float = 1.0
    """Share of the picture's coordinates per step, in (0, 1]; the same ones for the whole batch."""
    subset: Literal["points", "grid"] = "points"
    """How the share is chosen: random points (the papers), or random rows times random columns."""
    row_blocks: int = 1
    """Above 1: decode and differentiate in so many blocks of rows. The same gradient in less memory."""
    average: Literal["errors", "decibels"] = "errors"
    """Over the pictures of a batch: the mean of their errors (Eq. 1), or of their PSNR, in which an easy picture counts
    as much as a hard one."""
    zoom: int = 1
    """Above 1: training pictures are so many times larger than what is encoded; the field must also answer in between
    the pixels it saw. `data.size` is the larger size."""
    zoom_weight: float = 0.1
    """Weight of the answers in between."""

    def __post_init__(self):
        if not 0 < self.fraction <= 1:
            raise UserError(f"coordinates.fraction {self.fraction} is not in (0, 1]; 1 asks for every pixel")
        if self.row_blocks < 1:
            raise UserError(f"coordinates.row_blocks {self.row_blocks} is below 1; 1 decodes all rows at once")
        if self.zoom < 1:
            raise UserError(f"coordinates.zoom {self.zoom} is below 1; 1 encodes the pictures as they are")
        if self.row_blocks > 1 and (self.average != "errors" or self.zoom > 1):
            raise UserError("coordinates.row_blocks works with average errors and zoom 1; set row_blocks to 1")


@dataclass(frozen=True)
class Sampling:
    """Coordinates to ask for and the pixels that answer them.

    Attributes:
        coords: points (Q, 2) or a `Grid`, shared by the batch, over [-1, 1] of the picture (y, x).
        rows, columns: indices of the pixel behind every coordinate: (Q,) each for points; (h, 1) and (w,) for a grid.
    """

    coords: Coordinates
    rows: Tensor
    columns: Tensor

    def gather(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b q c"]:
        """The values of the pixels, in the order of the coordinates (row-major for a grid)."""
        picked = images[:, :, self.rows, self.columns]  # (B, C, h, w) or (B, C, Q)
        return picked.flatten(2).transpose(1, 2)  # (B, Q, C)

    def to(self, device: torch.device) -> "Sampling":
        """The same on another device."""
        return Sampling(self.coords.to(device), self.rows.to(device), self.columns.to(device))

    def split(self, blocks: int) -> Iterator["Sampling"]:
        """At most `blocks` consecutive parts of nearly equal size: blocks of whole rows for a grid."""
        if not isinstance(self.coords, Grid):
            parts = (part.chunk(blocks) for part in (self.coords, self.rows, self.columns))
            yield from (Sampling(*part) for part in zip(*parts, strict=True))
            return
        y, x = self.coords.axes
        for block, rows in zip(y.chunk(blocks), self.rows.chunk(blocks), strict=True):
            yield Sampling(Grid((block, x)), rows, self.columns)


def draw(config: CoordinateConfig, height: int, width: int, generator: torch.Generator) -> Sampling:
    """The coordinates of one step.

    Args:
        config: what to draw.
        height, width: of the pictures, in pixels.
        generator: a CPU generator, the only source of randomness; the result lies on the CPU.
    Returns:
        A `Grid` where the draw is a tensor product, else points. Noise is uniform within the pixel, so every
        coordinate lies inside the pixel whose value answers it.
    """
    if config.subset == "grid" or config.fraction == 1:
        rows = _choose(height, config.fraction**0.5, generator)  # a share f of the area is sqrt(f) of each side
        columns = _choose(width, config.fraction**0.5, generator)
        if config.jitter != "pixel":
            noise = config.jitter == "axis"
            axes = tuple(_place(i, n, generator, noise) for i, n in ((rows, height), (columns, width)))
            return Sampling(Grid(axes), rows[:, None], columns)
        flat = (rows[:, None] * width + columns).flatten()
    else:
        flat = _choose(height * width, config.fraction, generator)
    rows, columns = flat // width, flat % width
    if config.jitter == "axis":  # one offset per row and one per column, seen through the chosen points
        y, x = (_place(torch.arange(n), n, generator, True) for n in (height, width))
        return Sampling(torch.stack([y[rows], x[columns]], -1), rows, columns)
    noise = config.jitter == "pixel"
    axes = [_place(i, n, generator, noise) for i, n in ((rows, height), (columns, width))]
    return Sampling(torch.stack(axes, -1), rows, columns)


def _choose(n: int, fraction: float, generator: torch.Generator) -> Tensor:
    """A random share of 0 .. n-1, at least one, ascending so that neighbours stay neighbours in memory."""
    if fraction == 1:
        return torch.arange(n)
    return torch.randperm(n, generator=generator)[: max(1, round(n * fraction))].sort().values


def _place(index: Tensor, n: int, generator: torch.Generator, noise: bool) -> Tensor:
    """Coordinates of cells `index` out of `n`: their centres, or anywhere within them."""
    if not noise:
        return centers(n)[index]
    return -1 + 2 * (index + torch.rand(index.shape, generator=generator)) / n  # x_i = -1 + 2 (i + u) / n


def reconstruction_loss(
    model: FieldModel,
    images: Float[Tensor, "b c h w"],
    sampling: Sampling,
    row_blocks: int = 1,
    average: Callable[[Tensor], Tensor] = torch.mean,
) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
    """Mean over the instances of the mean squared error over their coordinates (Eq. 1).

    Args:
        model: what is trained.
        images: values in [0, 1].
        sampling: the coordinates and their pixels, on the device of `images`.
        row_blocks: above 1, what meets coordinates is differentiated block by block while the loss is computed, so
            that only one block's activations exist at a time; see `_blockwise`.
        average: of the instances' errors, where all rows are decoded at once.
    Returns:
        The loss, which carries the gradient, and every instance's mean squared error, which does not.
    """
    tokens = model.encode(images)
    lattice = tuple(tokens.shape[1:-1])  # where tokens have places, these are what coordinates are located among
    conditioned = model.condition(tokens)
    if row_blocks == 1 or not torch.is_grad_enabled():
        values = model.combine(model.locate(sampling.coords, lattice), conditioned)
        errors = mse(values.float(), sampling.gather(images))
        return average(errors), errors.detach()
    errors, pairs = _blockwise(model, images, conditioned, lattice, sampling, row_blocks)
    sources, gradients = zip(*pairs, strict=True)
    return _Precomputed.apply(errors.mean(), len(pairs), *sources, *gradients), errors


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
    lattice, conditioned = tuple(tokens.shape[1:-1]), model.condition(tokens)

    def errors_at(share: CoordinateConfig, target: Tensor) -> Tensor:
        sampling = draw(share, *target.shape[-2:], generator).to(images.device)
        values = model.combine(model.locate(sampling.coords, lattice), conditioned)
        return mse(values.float(), sampling.gather(target))

    seen = errors_at(config, small)
    between = errors_at(replace(config, fraction=config.fraction / config.zoom**2, subset="grid"), images)
    loss = average_of(config, seen) + config.zoom_weight * average_of(config, between)
    return loss, seen.detach()


def _blockwise(
    model: FieldModel, images: Tensor, conditioned: Any, lattice: tuple[int, ...], sampling: Sampling, row_blocks: int
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Errors (B,), and pairs of a tensor and the loss's gradient with respect to it.

    Eq. 1 is a sum over coordinates, so its gradient with respect to what the tokens were conditioned to, and to the
    parameters that meet coordinates, is a sum over blocks of coordinates. Everything before needs one backward pass
    for all blocks together.
    """
    originals: list[Tensor] = []
    leaves: list[Tensor] = []

    def detach(tensor: Tensor) -> Tensor:
        if not tensor.requires_grad:
            return tensor
        originals.append(tensor)
        leaves.append(tensor.detach().requires_grad_())
        return leaves[-1]

    cut = _map_tensors(detach, conditioned)
    parameters = [p for p in model.parameters() if p.requires_grad]
    totals: list[Tensor | None] = [None] * (len(leaves) + len(parameters))
    errors = torch.zeros(len(images), device=images.device)
    for block in sampling.split(row_blocks):
        target = block.gather(images)
        values = model.combine(model.locate(block.coords, lattice), cut)
        share = target.shape[1] / count(sampling.coords)  # the block's weight in the mean over all coordinates
        block_errors = share * mse(values.float(), target)
        errors += block_errors.detach()
        # Autocast is for forward passes; a backward pass runs in the types that its forward pass chose.
        with torch.autocast(images.device.type, enabled=False):
            gradients = torch.autograd.grad(block_errors.mean(), leaves + parameters, allow_unused=True)
        for i, gradient in enumerate(gradients):
            if gradient is not None:
                totals[i] = gradient if totals[i] is None else totals[i] + gradient
    pairs = zip(originals + parameters, totals, strict=True)
    return errors, [(source, total) for source, total in pairs if total is not None]


def _map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """`function` of every tensor in nested tuples and lists, which keep their types."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, tuple | list):
        inner = [_map_tensors(function, branch) for branch in tree]
        return type(tree)(*inner) if hasattr(tree, "_fields") else type(tree)(inner)
    return tree


class _Precomputed(torch.autograd.Function):
    """A number whose gradients with respect to some tensors are known already.

    It lets the block-wise gradients take part in one ordinary `backward()`, which is where data-parallel training
    averages gradients over processes.
    """

    @staticmethod
    def forward(ctx, value, count, *sources_and_gradients):
        ctx.gradients = sources_and_gradients[count:]
        return value.clone()

    @staticmethod
    def backward(ctx, outer):
        gradients = tuple(outer * gradient for gradient in ctx.gradients)
        return None, None, *gradients, *(None for _ in gradients)


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
            sampling = draw(self.coordinates, *images.shape[-2:], generator).to(images.device)
            loss, errors = reconstruction_loss(self.model, images, sampling, self.coordinates.row_blocks, self.average)
        return loss, errors
