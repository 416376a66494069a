"""The denoiser of tokens with places: one lattice in training, any lattice when samples are drawn.

Its answer must be a function of what a lattice of every shape has. So three parts of `denoiser.py` are replaced:

- A token sees its neighbours, up to `radius` cells away, and tells them apart by their relative places
  (`neighbourhood.py`), not all tokens by their number. Its answer depends on nothing farther than depth x radius cells;
  what is farther is agreed on step by step, as the sampler goes on.
- Its own place is given as the distances from the four borders, counted up to `margin` cells: a larger lattice has no
  places that training did not have. Pictures with a composition, an object on white, need a margin; parts of
  photographs have no borders to know of: 0.
- Mean and deviation are those of a channel, over all cells.

Shifting the tokens of an inner part of a lattice shifts the answer, exactly.
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.generation.denoiser import DenoiserSizes, TokenDenoiser
from tokenfield.nn.neighbourhood import NeighbourhoodAttention


@dataclass(frozen=True)
class LatticeDenoiserConfig(DenoiserSizes):
    """A denoiser of tokens on a lattice; `lattice` is the shape that samples have where no other is asked for."""

    radius: int = 1
    """Cells on each side that a token sees per block."""
    margin: int = 1
    """Cells from a border within which a token knows how far it is; 0: not at all."""

    def __post_init__(self):
        if self.radius < 1 or self.margin < 0:
            raise UserError(f"model.radius {self.radius} and model.margin {self.margin}: give at least 1 and 0")

    def build(self) -> "LatticeDenoiser":
        return LatticeDenoiser(self)


def places_of(count: int, margin: int) -> Tensor:
    """(count,) the place on an axis of `count` cells, as a number: distances from both ends, each up to `margin`."""
    near, far = torch.arange(count).clamp(max=margin), torch.arange(count).flip(0).clamp(max=margin)
    return near * (margin + 1) + far


class LatticeDenoiser(TokenDenoiser):
    """Predicts clean latents, or what they follow from, of a lattice of any shape: (B, rows, columns, D) to the same.

    A token's answer depends on those up to `reach` cells around it.
    """

    name: ClassVar[str] = "lattice-denoiser"
    on_lattice: ClassVar[bool] = True
    config: LatticeDenoiserConfig

    def __init__(self, config: LatticeDenoiserConfig):  # as that of `Denoiser`
        super().__init__(config)
        self.reach = config.depth * config.radius

    def make_places(self) -> tuple[Tensor, ...]:
        """A vector for every distance from the two borders of an axis, rows and columns apart."""
        count = (self.config.margin + 1) ** 2
        self.rows, self.columns = (nn.Embedding(count, self.config.width) for _ in range(2))
        return self.rows.weight, self.columns.weight

    def make_attention(self) -> nn.Module:
        """Every token sees its neighbours. Heads begin by looking at different places, which evenly they would not."""
        config = self.config
        attention = NeighbourhoodAttention(config.width, num_heads=config.heads, radius=config.radius)
        nn.init.normal_(attention.bias)
        return attention

    def place(self, shape: tuple[int, ...]) -> Float[Tensor, "m n w"]:
        """The sum of what the row and the column say."""
        y, x = (places_of(count, self.config.margin).to(self.mean.device) for count in shape)
        return self.rows(y)[:, None] + self.columns(x)

    @property
    def shape(self) -> tuple[int, ...]:
        return *self.config.lattice, self.config.latent_dim

    def on(self, lattice: tuple[int, int]) -> "LatticeDenoiser":
        """Any lattice: pictures have as many pixels per cell as those that were encoded."""
        if min(lattice) < 1:
            raise UserError(f"{lattice[0]} rows and {lattice[1]} columns of cells; give at least 1 of each")
        cell, other = self.config.picture_size[0] // self.config.lattice[0], copy(self)
        other.config = replace(self.config, lattice=lattice, picture_size=(lattice[0] * cell, lattice[1] * cell))
        return other
