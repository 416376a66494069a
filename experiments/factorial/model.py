"""Between LAINR and anchored tokens: every step of the way as a composition of bricks, for the factorial study.

| change | brick | in place of |
|---|---|---|
| `anchors` | `CellEncoder`: token j is the patch token of cell j | LAINR's separate learned tokens |
| `distance` | `DistanceTerm` under the softmax, by the centre p_j of cell j | nothing |
| `content` off | no `ContentTerm` | the query's product with the token (Eq. 4-5) |
| `relative` | `RelativeDecoder`: the head reads v - sum_j a_j p_j | v |
| `multiplicative` | `MultiplicativeModulation` | Eq. 7 |
| `skip` | `Skip`: a linear path from a cell's pixels to its token | nothing |

The depth of the encoder is `lainr.encoder_depth`, the optimiser is the recipe's. Every combination is a model: where
the tokens are LAINR's learned ones, token j is given the place of cell j all the same, which is what `distance`,
`relative` and `skip` need. With no change it is LAINR. What the combination of all leads to, local and for any size,
is `tokenfield.models.anchored`.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from experiments.factorial.cell_encoder import CellEncoder, Skip
from experiments.factorial.multiplicative import MultiplicativeModulation
from experiments.factorial.positional_attention import (
    ContentTerm,
    DistanceTerm,
    PositionalAggregation,
    Term,
    points_of,
)
from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.models.lainr import SMALL, LainrConfig, build_aggregator, build_encoder, build_head
from tokenfield.models.token_field import TokenField
from tokenfield.nn.attention import merge_heads
from tokenfield.nn.encoder import PatchEncoder
from tokenfield.nn.parts import QueryState, TokenState
from tokenfield.nn.token_decoder import Aggregator, Head, TokenDecoder


@dataclass(frozen=True)
class AnchoredLainrConfig:
    """A LAINR with as many tokens as cells, and its changes."""

    lainr: LainrConfig = field(default_factory=lambda: LainrConfig(num_latents=400))
    """All sizes."""
    anchors: bool = False
    """Tokens are those of the cells."""
    distance: bool = False
    """Attention also by distance."""
    content: bool = True
    """Attention by content; without it, by distance alone."""
    relative: bool = False
    """The head reads coordinates relative to where attention looks."""
    multiplicative: bool = False
    """Tokens scale frequency features."""
    skip: bool = False
    """A linear path from cell to token."""

    def __post_init__(self) -> None:
        if self.lainr.num_latents != self.lainr.num_patches:
            raise UserError(f"lainr.num_latents {self.lainr.num_latents} and {self.lainr.num_patches} cells; here they "
                            "must agree")
        if not self.content and not self.distance:
            raise UserError("content and distance are both off: nothing tells tokens apart; switch one on")

    def build(self) -> "AnchoredLainr":
        """The model with fresh weights."""
        return AnchoredLainr(self)


def places_of(config: AnchoredLainrConfig) -> tuple[Float[Tensor, "r 2"], Float[Tensor, " 2"]]:
    """Centres of the cells over the picture's [-1, 1], row-major, and the sides of a cell; padding stands outside."""
    sizes = config.lainr
    rows, columns = ((side + 2 * sizes.padding) // sizes.patch for side in sizes.size)
    cell = torch.tensor([2 * sizes.patch / side for side in sizes.size])
    reach = torch.tensor([1 + 2 * sizes.padding / side for side in sizes.size])
    return Grid.cells(rows, columns).coords() * reach, cell


class RelativeDecoder(TokenDecoder):
    """Aggregation and head, the head at r_v = v - sum_j a_j p_j (mean over the heads) in place of v.

    The head's frequency features therefore depend on the tokens too, and are computed per picture and coordinate.
    """

    def locate(self, coords: Coordinates) -> tuple[list[QueryState], Tensor]:
        """What the terms need, and the points themselves."""
        return self.aggregator.locate(coords), points_of(coords)

    def combine(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "b q c"]:
        """Values (B, Q, C)."""
        weights = self.aggregator.weights(located[0], prepared[0])  # (B, H, Q, R)
        m = merge_heads(weights @ prepared[0][1])  # (B, Q, d)
        relative = located[1] - weights.mean(1) @ self.aggregator.places  # (B, Q, X)
        return self.head.combine(self.head.locate(relative), prepared[1], m) + self.output_bias


class AnchoredLainr(TokenField):
    """LAINR with some of the changes. Tokens are (B, R, latent_dim), token j of cell j."""

    name = "lainr-anchored"
    default_recipe: ClassVar[RecipeFields | None] = {"model": {"lainr": SMALL}}
    smooth = True
    config: AnchoredLainrConfig

    def __init__(self, config: AnchoredLainrConfig):
        sizes = config.lainr
        encoder, aggregator = build_cell_encoder(config), build_terms(config)
        head: Head = build_multiplicative(sizes) if config.multiplicative else build_head(sizes)
        decoder = RelativeDecoder(aggregator, head) if config.relative else TokenDecoder(aggregator, head)
        super().__init__(config, sizes, encoder, decoder, start=sizes.start)

    def coarse(self, nodes: int) -> FieldModel:
        """For content alone: attention by distance varies within a cell, and relative coordinates do at once."""
        if self.config.distance or self.config.relative:
            raise UserError("attention by distance varies within a cell, not slowly; leave out coarse decoding")
        return super().coarse(nodes)

    def muon_excluded(self) -> set[str]:
        """The linear path meets pixels and latents one by one; all else is as in LAINR."""
        return {"encoder.skip.weight"} if self.config.skip else set()


def build_cell_encoder(config: AnchoredLainrConfig) -> PatchEncoder:
    """LAINR's encoder or that of the cells' own tokens, and perhaps the linear path past it."""
    sizes = config.lainr
    patch_dim = sizes.channels * sizes.patch**2
    encoder: PatchEncoder
    if config.anchors:
        encoder = CellEncoder(
            patch_dim=patch_dim,
            num_patches=sizes.num_patches,
            latent_dim=sizes.latent_dim,
            dim=sizes.encoder_dim,
            depth=sizes.encoder_depth,
            num_heads=sizes.encoder_heads,
            mlp_ratio=sizes.mlp_ratio,
        )
    else:
        encoder = build_encoder(sizes)
    return Skip(encoder, patch_dim, sizes.latent_dim) if config.skip else encoder


def build_multiplicative(sizes: LainrConfig) -> MultiplicativeModulation:
    """The head with products in place of Eq. 7."""
    return MultiplicativeModulation(
        in_dim=2, dim=sizes.dim, feature_dim=sizes.feature_dim, sigmas=sizes.sigmas, out_dim=sizes.channels
    )


def build_terms(config: AnchoredLainrConfig) -> Aggregator:
    """LAINR's aggregation, or the terms that are on where their weights are needed."""
    sizes, (places, cell) = config.lainr, places_of(config)
    if not config.distance and not config.relative:
        return build_aggregator(sizes)
    terms: list[Term] = []
    if config.content:
        terms.append(
            ContentTerm(
                in_dim=2,
                dim=sizes.dim,
                latent_dim=sizes.latent_dim,
                feature_dim=sizes.feature_dim,
                sigma_q=sizes.sigma_q,
                num_heads=sizes.heads,
            )
        )
    if config.distance:
        terms.append(DistanceTerm(places, cell, num_heads=sizes.heads))
    return PositionalAggregation(terms, places, dim=sizes.dim, latent_dim=sizes.latent_dim, num_heads=sizes.heads)
