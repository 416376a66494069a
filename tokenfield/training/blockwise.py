"""The gradient of a reconstruction, block of rows by block of rows: the same numbers in a fraction of the memory.

The loss (Eq. 1) is a sum over coordinates, so its gradient with respect to what the tokens were prepared to, and to
the parameters that meet coordinates, is a sum over blocks of coordinates. Each block is decoded, differentiated and
forgotten; what comes before the coordinates, the encoder above all, needs one backward pass for all blocks together.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.utils._pytree import tree_map

from tokenfield.coords import count
from tokenfield.metrics import mse
from tokenfield.models.base import FieldModel
from tokenfield.nn.parts import Prepared
from tokenfield.training.sampling import Sampling


def blockwise(
    model: FieldModel, images: Tensor, prepared: Prepared, lattice: tuple[int, ...], sampling: Sampling, row_blocks: int
) -> tuple[Tensor, Tensor]:
    """The loss and the errors (B,) of `objective.reconstruction_loss`, in `row_blocks` blocks.

    `prepared` is what `model.prepare` made of the tokens of `images`; `lattice` is of the tokens, for `model.locate`.
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
    known = [(s, total) for s, total in zip(originals + parameters, totals, strict=True) if total is not None]
    sources, gradients = zip(*known, strict=True)
    loss: Tensor = Precomputed.apply(errors.mean(), len(known), *sources, *gradients)  # type: ignore[no-untyped-call]
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
