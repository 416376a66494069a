"""Anchored tokens with a mixture of linear codes in place of one: the system `switched`. This project's own.

encode: every cell of 8 x 8 pixels is coded in the one of K affine subspaces that gives it back best. A token is the
    number of that subspace and the leading coefficients in it (`tokenfield.nn.pca_mixture`). No cell looks at another.
decode: a coded cell is a function of the coordinate relative to its anchor, continued into the neighbouring cells,
    where the aggregation of the anchored model hands over; how gradually is learned for every rate.

A prefix of a token is a token of a lower rate. The index is a whole number and survives float16.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.models.anchored import AnchorField, CellSizes, TokenState
from tokenfield.models.base import RecipeFields
from tokenfield.nn.affine import wide
from tokenfield.nn.anchors import AnchoredAggregation
from tokenfield.nn.encoder import patchify
from tokenfield.nn.pca_mixture import Subspaces
from tokenfield.nn.relative import RelativeHead

TRAINING_CELLS = 300_000
"""Cells that the subspaces are fitted to: some thousand for each of 256."""

SHORTLIST = 5
"""Subspaces of 256 that a cell is compared with exactly, see `Subspaces.choose`: ten times faster than with all, where
all prefixes count (benchmarks/code_search.py says at what loss). Where one rate counts it is with all."""


@dataclass(frozen=True)
class PcaMixtureConfig(CellSizes):
    """Sizes of the model; the defaults are those of the packaged `photos-ladder`."""

    codes: int = 256
    """K, subspaces."""
    prefixes: tuple[int, ...] = (6, 12, 24, 48, 96)
    """Widths of a token, the index included, rising; the last one is the whole token."""
    rounds: int = 8
    """Rounds of choosing and fitting."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = all(a < b for a, b in zip(self.prefixes, self.prefixes[1:], strict=False))
        largest = self.channels * self.cell**2 + 1
        if not self.prefixes or not rising or self.prefixes[0] < 2 or self.prefixes[-1] > largest:
            raise UserError(f"prefixes {self.prefixes}; give rising widths from 2 (index and a value) to {largest}")
        if not 1 <= self.codes <= 2048:
            raise UserError(f"codes {self.codes}; give 1 to 2048, which float16 still tells apart")

    def build(self) -> "PcaMixture":
        """The model with subspaces that mean nothing yet: `initialize` fits them."""
        return PcaMixture(self)


class PcaMixture(AnchorField):
    """The best of many linear codes for every cell. Tokens are (B, rows, columns, 1 + n).

    The first number is the index of a subspace, the others are coefficients in it.
    """

    name = "switched"
    token = "the number of a linear code and coefficients in it, of one cell of the picture"
    default_recipe: ClassVar[RecipeFields | None] = {
        "data": {"size": 96, "levels": 2},
        "optim": {"name": "adam", "rate": 0.03},
        "objective": {"jitter": "none", "fraction": 1.0, "prefixes": PcaMixtureConfig.prefixes},
        "steps": 150,
        "batch_size": 10,
        "evaluate_every": 150,
    }

    def __init__(self, config: PcaMixtureConfig):
        super().__init__(config)
        self.prefixes = config.prefixes
        patch, width = config.channels * config.cell**2, config.prefixes[-1]
        lengths = tuple(n - 1 for n in config.prefixes)
        self.subspaces = Subspaces(config.codes, patch, width - 1, lengths, config.cell**2)
        sizes = {"channels": config.channels + 1, "num_harmonics": config.harmonics}
        self.head = RelativeHead(latent_dim=patch, feature_dim=0, **sizes)
        axis = self.continued()
        plane = torch.einsum("ky,lx->klyx", axis, axis).flatten(2).flatten(0, 1)
        readout = torch.block_diag(*[plane] * config.channels)  # the cell's pixels as they are, and no content score
        weight = torch.cat([readout, readout.new_zeros(len(plane), patch)])
        self.head.direct.set(weight, torch.zeros(len(weight)))
        self.head.requires_grad_(False)
        self.log_sharpness = nn.Parameter(torch.full((len(config.prefixes),), config.sharpness).log())
        self.aggregation = AnchoredAggregation(sharpness=1.0).requires_grad_(False)
        self.initial_pictures, self.reach = 2048, 1

    def muon_excluded(self) -> set[str]:
        """There are no matrices to train."""
        return {"head.direct.weight"}

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n d"]:
        """Pictures in [0, 1], sides multiples of `cell` -> one token per cell, the best for `width` if that is set."""
        pixels = self.pixels(images.float())
        only = None if self.width is None else self.prefixes.index(self.width)
        shortlist = SHORTLIST if only is None else None
        index, coefficients, _ = self.subspaces.choose(pixels.flatten(0, 2), only, shortlist=shortlist)
        tokens = torch.cat([index[:, None].to(coefficients), coefficients], 1)[:, : self.width]
        return tokens.view(*pixels.shape[:3], -1)

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> TokenState:
        """The local functions, and the sharpness of their rate; tokens may be cut to any of the prefixes."""
        rung = min(sum(prefix < tokens.shape[-1] for prefix in self.prefixes), len(self.prefixes) - 1)
        flat = wide(tokens.flatten(0, 2))
        index = flat[:, 0].round().long().clamp(0, self.config.codes - 1)
        cells = self.subspaces.restore(index, flat[:, 1:]).view(*tokens.shape[:3], -1)
        cells = cells.to(self.head.direct.weight.dtype)
        count = tokens.shape[0]
        return TokenState(self.head.coefficients(cells, None), self.log_sharpness[rung].exp().expand(count))

    @torch.no_grad()
    def initialize(self, images: Float[Tensor, "b c h w"]) -> None:
        """Fit the subspaces to the cells of training pictures: minutes, with a bar."""
        cells = patchify(images.cpu().float(), self.cell) - 0.5
        picture = torch.arange(len(cells))[:, None].expand(cells.shape[:2]).flatten()
        cells = cells.flatten(0, 1)
        sample = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))[:TRAINING_CELLS]
        count, dim, rank = self.subspaces.components.shape
        subspaces = Subspaces(count, dim, rank, self.subspaces.prefixes, self.subspaces.area)  # on the CPU
        subspaces.fit(cells[sample], picture[sample], rounds=self.config.rounds)
        self.subspaces.load_state_dict(subspaces.state_dict())
