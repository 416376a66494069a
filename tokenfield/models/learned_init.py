"""Learned Init: *Learned Initializations for Optimizing Coordinate-Based Neural Representations* (CVPR 2021).

There is no encoder. A picture's MLP is what a few steps of gradient descent make of a shared start, which is trained
through them (`tokenfield.nn.meta_learning`). As in the comparison of IPC (Algorithm 1), the matrices move and biases
stay, and the rate of a matrix is scaled by its squared norm, since the normalised matrix turns by an angle that does
not depend on it otherwise.

`rank` above 0 is that paper's meta-learned variant of pattern composers: W = V U, of which V alone moves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Grid, centers
from tokenfield.metrics import mse
from tokenfield.models.base import RecipeFields
from tokenfield.models.functa import META_RECIPE
from tokenfield.models.hyponet_field import HyponetField, ModulatedSizes, build_mlp
from tokenfield.nn.hyponet import FactorLayer, MatrixLayer, stepwise
from tokenfield.nn.meta_learning import descend


@dataclass(frozen=True)
class LearnedInitConfig(ModulatedSizes):
    """Sizes of the MLP and its adaptation; the defaults are those of the published comparison at 178 pixels."""

    may_be_zero = ModulatedSizes.may_be_zero | {"rank", "inner_steps"}

    size: tuple[int, int] = (178, 178)
    """Height and width of the pictures it adapts to."""
    rank: int = 0
    """Above 0: the adapted matrices are products with a shared factor of this rank."""
    inner_steps: int = 2
    """Steps of gradient descent per picture."""
    inner_rate: float = 0.003
    """Their rate, before it is scaled by the squared norm of a matrix."""

    def build(self) -> "LearnedInit":
        return LearnedInit(self)


class LearnedInit(HyponetField):
    """An MLP that adapts to a picture in a few steps. Tokens are the rows of its adapted matrices."""

    name = "learned-init"
    token = "a row of a weight matrix that a few steps of descent adapted"
    config: LearnedInitConfig
    default_recipe: ClassVar[RecipeFields | None] = META_RECIPE | {"model": {"size": (64, 64), "sigma": 64.0}}

    def __init__(self, config: LearnedInitConfig):
        super().__init__()
        self.config, self.input_size, self.channels = config, config.size, config.channels
        rows = config.rank or max(config.dim, config.channels)  # whole matrices have as many rows as outputs
        self.net = build_mlp(config, FactorLayer if config.rank else MatrixLayer, rows)
        self.initial = nn.ParameterDict()
        for i, layer in enumerate(self.net.layers):
            if layer.rows:  # factors of matrices, or matrices themselves, whose scale sets the rate
                scale = 1.0 if config.rank else 1 / sqrt(layer.width)
                self.initial[str(i)] = nn.Parameter(torch.randn(layer.rows, layer.width) * scale)

    def adapt(self, images: Float[Tensor, "b c h w"], steps: int) -> Iterator[Float[Tensor, "b r d"]]:
        """Tokens before the first step and after each."""
        grid = Grid(tuple(stepwise(centers(n, device=images.device)) for n in images.shape[-2:]))  # as published
        located, target = self.net.locate(grid), images.flatten(2).mT

        def error(rows: list[Tensor]) -> Tensor:
            values = self.combine(located, self.prepare(self.net.layout.join(rows)))
            return mse(values, target.to(values.dtype)).sum()

        def rates(rows: list[Tensor]) -> list[Tensor]:
            return [self.config.inner_rate * r.square().sum((1, 2), keepdim=True) for r in rows]

        start = [p.expand(len(images), -1, -1) for p in self.initial.values()]
        for rows in descend(start, error, rates, steps):
            yield self.net.layout.join(rows)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """Pictures in [0, 1] -> the rows of their matrices, after `config.inner_steps` steps."""
        *_, tokens = self.adapt(images, self.config.inner_steps)
        return tokens
