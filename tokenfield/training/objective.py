"""What a training step minimises: how wrong the answers are (Eq. 1), and two ways to weigh them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.utils._pytree import tree_map

from tokenfield.coords import Grid, count
from tokenfield.data.sources import Pictures, Source
from tokenfield.errors import UserError
from tokenfield.metrics import mse, psnr
from tokenfield.models.base import FieldModel
from tokenfield.nn.parts import TokenState
from tokenfield.training.journal import PSNR, Measure
from tokenfield.training.sampling import CoordinateConfig, Sampling, draw
from tokenfield.training.validation import check_fits, mean_over

Average = Literal["errors", "decibels"]
"""What is averaged over a batch: errors (Eq. 1), or their PSNR."""
NOISE_FLOOR = 1e-6
"""Added to errors before their logarithm: beyond 60 dB a picture stops pulling (8-bit rounding alone is 59 dB)."""


def mean_of(errors: Float[Tensor, " b"], average: Average) -> Float[Tensor, ""]:
    """One number for a batch: the mean of its instances' errors, or the mean of their logarithms."""
    return errors.mean() if average == "errors" else (errors + NOISE_FLOOR).log().mean()


@dataclass(frozen=True)
class ReconstructionConfig(CoordinateConfig):
    """What a step minimises where pictures are learned: the errors at some coordinates (Eq. 1)."""

    measure: ClassVar[Measure] = PSNR

    row_blocks: int = 1
    """Above 1: decode and differentiate in so many blocks of rows. The same gradient in less memory."""
    average: Average = "errors"
    """Over the pictures of a batch: the mean of their errors (Eq. 1), or of their PSNR, in which an easy picture counts
    as much as a hard one."""
    prefixes: tuple[int, ...] = ()
    """Widths to which the pictures of a batch take turns in having their tokens cut (models with `prefixes`)."""
    zoom: int = 1
    """Above 1: training pictures are so many times larger than what is encoded; the field must also answer in between
    the pixels it saw. `data.size` is the larger size."""
    zoom_weight: float = 0.1
    """Weight of the answers in between."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.row_blocks < 1:
            raise UserError(f"objective.row_blocks {self.row_blocks} is below 1; 1 decodes all rows at once")
        if self.zoom < 1:
            raise UserError(f"objective.zoom {self.zoom} is below 1; 1 encodes the pictures as they are")
        if not 0 <= self.zoom_weight < math.inf:
            raise UserError(f"objective.zoom_weight {self.zoom_weight} must not be negative")
        if any(width < 1 for width in self.prefixes):
            raise UserError(f"objective.prefixes {self.prefixes}; give widths of tokens, at least 1")
        if self.row_blocks > 1 and (self.average != "errors" or self.zoom > 1):
            raise UserError("objective.row_blocks works with average errors and zoom 1; set row_blocks to 1")

    def mean(self, errors: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """One number for a batch, as `average` says."""
        return mean_of(errors, self.average)

    def build(self, model: FieldModel, *, bf16: bool = False) -> "Reconstruction":
        """The loss of pictures, a module."""
        return Reconstruction(model, self, bf16=bf16)

    def check(self, model: FieldModel, source: Source, held_out: Source | None, seed: int) -> None:
        """Refuse pictures that the model cannot take now, and not after an hour at the first evaluation."""
        picture = source.sample(seed, 0, 0)
        if not isinstance(picture, Tensor) or not isinstance(source, Pictures):
            raise UserError("objective of kind pictures, and data of another kind; make them agree")
        if any(side % self.zoom for side in picture.shape[-2:]):
            raise UserError(f"data.size {picture.shape[-1]} is no multiple of objective.zoom {self.zoom}; change one")
        check_fits(model, picture[:, :: self.zoom, :: self.zoom], "a training picture")
        if isinstance(held_out, Pictures) and (first := next(iter(held_out.pictures()), None)):
            check_fits(model, first[1], f"held-out picture {first[0]}")

    def evaluate(self, model: FieldModel, source: Source, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool]) -> tuple[float, int]:
        """Mean PSNR in dB of held-out pictures, each at its own pixels, and how many there were; see `mean_over`."""
        assert isinstance(source, Pictures), "check refuses other data"

        def score(item: tuple[str, Tensor]) -> Tensor:
            name, picture = item
            check_fits(model, picture, f"held-out picture {name}")
            image = picture[None].to(accelerator.device)
            values = model.decode(model.encode(image), Grid.cells(*image.shape[-2:], device=image.device))
            return psnr(values, image.flatten(2).transpose(1, 2))[0]

        return mean_over(source.pictures(), score, model, count, accelerator, halted)


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
        images: values in [0, 1].
        sampling: the coordinates and their pixels, on the device of `images`.
        row_blocks: above 1, what meets coordinates is differentiated block by block while the loss is computed.
        average: of the instances' errors, where all rows are decoded at once.
        prefixes: see `prepare`.
    Returns:
        The loss, which carries the gradient, and every instance's mean squared error, which does not.
    """
    tokens = model.encode(images)
    lattice = tuple(tokens.shape[1:-1])  # where tokens have places, these are what coordinates are located among
    prepared = prepare(model, tokens, prefixes)
    if row_blocks == 1 or not torch.is_grad_enabled():
        values = model.combine(model.locate(sampling.coords, lattice), prepared)
        errors = mse(values.float(), sampling.gather(images))
        return average(errors), errors.detach()
    return blockwise(model, images, prepared, lattice, sampling, row_blocks)


def blockwise(model: FieldModel, images: Tensor, prepared: TokenState, lattice: tuple[int, ...], sampling: Sampling,
              row_blocks: int) -> tuple[Tensor, Tensor]:
    """The loss and the errors of `reconstruction_loss` in a fraction of the memory: block of rows by block of rows.

    The loss is a sum over coordinates, so its gradient with respect to what the tokens were `prepared` to, and to
    the parameters that meet coordinates, is a sum over blocks of coordinates. Each block is decoded, differentiated and
    forgotten; what comes before the coordinates, the encoder above all, needs one backward pass for all together.
    """
    originals: list[Tensor] = []
    leaves: list[Tensor] = []

    def detach(leaf: object) -> object:
        if not isinstance(leaf, Tensor) or not leaf.requires_grad:
            return leaf
        originals.append(leaf)
        leaves.append(leaf.detach().requires_grad_())
        return leaves[-1]

    cut = tree_map(detach, prepared)
    parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
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
                total = totals[i]
                totals[i] = gradient if total is None else total + gradient
    pairs = [(s, total) for s, total in zip(originals + parameters, totals, strict=True) if total is not None]
    sources, gradients = zip(*pairs, strict=True)
    loss: Tensor = Precomputed.apply(errors.mean(), len(pairs), *sources, *gradients)  # type: ignore[no-untyped-call]
    return loss, errors


class Precomputed(torch.autograd.Function):
    """A number whose gradients with respect to some tensors are known already.

    It lets the block-wise gradients take part in one ordinary `backward()`, which is where data-parallel training
    averages gradients over processes.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, count: int, *sources_and_gradients: Tensor) -> Tensor:
        ctx.gradients = sources_and_gradients[count:]  # type: ignore[attr-defined]
        return value.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        gradients = tuple(outer * gradient for gradient in ctx.gradients)  # type: ignore[attr-defined]
        return None, None, *gradients, *(None for _ in gradients)


def prepare(model: FieldModel, tokens: Tensor, prefixes: tuple[int, ...]) -> TokenState:
    """What the decoder makes of the tokens, if the pictures of a batch take turns in being cut to these widths.

    Picture i keeps the first prefixes[i mod n] values of every token, so that one model learns to be decoded from any
    of the prefixes, and each meets equally many pictures. () keeps all values.
    """
    if not prefixes:
        return model.prepare(tokens)
    n = len(prefixes)
    turns = [model.prepare(tokens[i::n, ..., :width]) for i, width in enumerate(prefixes[: len(tokens)])]
    order = torch.cat([torch.arange(i, len(tokens), n) for i in range(len(turns))]).argsort().to(tokens.device)
    return tree_map(lambda *parts: torch.cat(parts)[order], *turns)


def zoomed_loss(model: FieldModel, images: Float[Tensor, "b c h w"], config: ReconstructionConfig,
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
    """Encode a smaller version of the pictures; answer for its pixels and for the larger picture's in between.

    The smaller version is the area average, as of a sensor with larger pixels. A share 1 / zoom^2 of the larger
    grid is taken, as rows times columns, so both terms have equally many coordinates. The errors are those on the
    pixels that were encoded.
    """
    small = F.avg_pool2d(images, config.zoom)
    tokens = model.encode(small)
    lattice, prepared = tuple(tokens.shape[1:-1]), prepare(model, tokens, config.prefixes)

    def errors_at(share: ReconstructionConfig, target: Tensor) -> Tensor:
        height, width = target.shape[-2:]
        sampling = draw(share, height, width, generator, images).to(images.device)
        values = model.combine(model.locate(sampling.coords, lattice), prepared)
        return mse(values.float(), sampling.gather(target))

    encoded = errors_at(config, small)
    between = errors_at(replace(config, fraction=config.fraction / config.zoom**2, subset="grid"), images)
    return config.mean(encoded) + config.zoom_weight * config.mean(between), encoded.detach()


class Reconstruction(nn.Module):
    """The loss as a module: what is wrapped for data-parallel training, since only `forward` is intercepted there.

    `bf16` runs it under bfloat16 autocast; the models keep phases in float32 themselves.
    """

    def __init__(self, model: FieldModel, config: ReconstructionConfig, *, bf16: bool = False):
        super().__init__()
        self.model, self.config, self.bf16 = model, config, bf16

    def forward(self, images: Float[Tensor, "b c h w"],
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss and per-instance errors of a batch; the generator decides the coordinates."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            if self.config.zoom > 1:
                return zoomed_loss(self.model, images, self.config, generator)
            height, width = images.shape[-2:]
            sampling = draw(self.config, height, width, generator, images).to(images.device)
            blocks, prefixes = self.config.row_blocks, self.config.prefixes
            return reconstruction_loss(self.model, images, sampling, blocks, self.config.mean, prefixes)
