"""Between LAINR and anchored tokens: every step of the way as a composition of bricks, for the factorial study.

| change | brick | in place of |
|---|---|---|
| `anchors` | `CellEncoder`: token j is the patch token of cell j | LAINR's separate learned tokens |
| `distance` | `DistanceTerm` under the softmax, by the centre p_j of cell j | nothing |
| `content` off | no `ContentTerm` | the query's product with the token (Eq. 4-5) |
| `relative` | `RelativeDecoder`: the head is asked at v - sum_j a_j p_j | at v |
| `multiplicative` | `MultiplicativeModulation` | Eq. 7 |
| `skip` | `Skip`: a linear path from a cell's pixels to its token | nothing |

The depth of the encoder is `lainr.encoder_depth`, the optimiser is the recipe's. Every combination is a model: where
the tokens are LAINR's learned ones, token j is given the place of cell j all the same, which is what `distance`,
`relative` and `skip` need. With no change it is LAINR. What the combination of all leads to, made local and for any
size, is `tokenfield.models.anchored`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.models.lainr import SMALL, Lainr, LainrConfig, TokenDecoder
from tokenfield.nn.attention import merge_heads
from tokenfield.nn.cell_encoder import CellEncoder, Skip
from tokenfield.nn.multiplicative import MultiplicativeModulation
from tokenfield.nn.positional_attention import ContentTerm, DistanceTerm, PlacedAggregation, points_of


@dataclass(frozen=True)
class AnchoredLainrConfig:
    """A LAINR with as many tokens as cells, and which changes are made to it."""

    lainr: LainrConfig = field(default_factory=lambda: LainrConfig(num_latents=400))
    """All sizes."""
    anchors: bool = False
    """Tokens are those of the cells."""
    distance: bool = False
    """Attention also by distance."""
    content: bool = True
    """Attention by content; without it, by distance alone."""
    relative: bool = False
    """The head is asked relative to where attention looks."""
    multiplicative: bool = False
    """Tokens scale frequency features."""
    skip: bool = False
    """A linear path from cell to token."""

    @property
    def padding(self) -> int:
        """What `Lainr.encode` asks for."""
        return self.lainr.padding

    @property
    def lattice(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        rows, columns = ((side + 2 * self.lainr.padding) // self.lainr.patch for side in self.lainr.size)
        return rows, columns

    def build(self) -> "AnchoredLainr":
        """The model with fresh weights."""
        return AnchoredLainr(self)


def places_of(config: AnchoredLainrConfig) -> tuple[Float[Tensor, "r 2"], Float[Tensor, " 2"]]:
    """Centres of the cells over the picture's [-1, 1], row-major, and the sides of a cell; padding stands outside."""
    (rows, columns), sizes = config.lattice, config.lainr
    cell = torch.tensor([2 * sizes.patch / side for side in sizes.size])
    reach = torch.tensor([1 + 2 * sizes.padding / side for side in sizes.size])
    return Grid.cells(rows, columns).coords() * reach, cell


class RelativeDecoder(TokenDecoder):
    """Aggregation and head, the head asked at r_v = v - sum_j a_j p_j (mean over the heads) in place of v.

    The head's frequency features therefore depend on the tokens too, and are computed per picture and coordinate.
    """

    def locate(self, coords: Coordinates) -> tuple[list[Any], Tensor]:
        """What the terms need, and the points themselves."""
        return self.aggregator.locate(coords), points_of(coords)

    def combine(self, located: tuple[list[Any], Tensor], prepared: tuple[Any, Any]) -> Float[Tensor, "b q c"]:
        """Values (B, Q, C)."""
        weights = self.aggregator.weights(located[0], prepared[0])  # (B, H, Q, R)
        m = merge_heads(weights @ prepared[0][1])  # (B, Q, d)
        relative = located[1] - weights.mean(1) @ self.aggregator.places  # (B, Q, X)
        return self.head.combine(self.head.locate(relative), prepared[1], m) + self.output_bias


class AnchoredLainr(Lainr):
    """LAINR with some of the changes. Tokens are (B, R, latent_dim), token j of cell j."""

    name: ClassVar[str] = "lainr-anchored"
    default_recipe: ClassVar[Mapping[str, object] | None] = {"model": {"lainr": SMALL}}

    def __init__(self, config: AnchoredLainrConfig):
        sizes, (rows, columns) = config.lainr, config.lattice
        if sizes.num_latents != rows * columns:
            raise UserError(f"lainr.num_latents {sizes.num_latents} and {rows} x {columns} cells; here they must agree")
        if not config.content and not config.distance:
            raise UserError("content and distance are both off: nothing tells tokens apart; switch one on")
        super().__init__(sizes)
        self.config = config  # another class: it names this system in files
        if config.anchors:
            self.encoder = _cells(sizes, rows * columns)  # type: ignore[assignment]
        if config.skip:
            self.encoder = Skip(self.encoder, sizes.channels * sizes.patch**2, sizes.latent_dim)  # type: ignore[assignment]
        if config.multiplicative:
            self.decoder.head = _multiplicative(sizes)
        if config.relative:
            self.decoder = RelativeDecoder(_placed(config), self.decoder.head)
        elif config.distance:
            self.decoder = TokenDecoder(_placed(config), self.decoder.head)

    def coarse(self, nodes: int) -> Lainr:
        """For content alone: attention by distance varies within a cell, and relative coordinates do at once."""
        if self.config.distance or self.config.relative:
            raise UserError("attention by distance varies within a cell, not slowly; leave out coarse decoding")
        return super().coarse(nodes)

    def muon_excluded(self) -> set[str]:
        """The linear path meets pixels and latents one by one; all else is as in LAINR."""
        return {"encoder.skip.weight"} if self.config.skip else set()


def _cells(sizes: LainrConfig, count: int) -> CellEncoder:
    return CellEncoder(
        patch_dim=sizes.channels * sizes.patch**2,
        num_patches=count,
        latent_dim=sizes.latent_dim,
        dim=sizes.encoder_dim,
        depth=sizes.encoder_depth,
        num_heads=sizes.encoder_heads,
        mlp_ratio=sizes.mlp_ratio,
    )


def _multiplicative(sizes: LainrConfig) -> MultiplicativeModulation:
    return MultiplicativeModulation(
        in_dim=2, dim=sizes.dim, feature_dim=sizes.feature_dim, sigmas=sizes.sigmas, out_dim=sizes.channels
    )


def _placed(config: AnchoredLainrConfig) -> PlacedAggregation:
    """The terms that are switched on, and what they weigh."""
    sizes, (places, cell) = config.lainr, places_of(config)
    terms: list[nn.Module] = []
    if config.content:
        terms.append(
            ContentTerm(
                in_dim=2,
                dim=sizes.dim,
                latent_dim=sizes.latent_dim,
                feature_dim=sizes.feature_dim,
                sigma_q=sizes.sigma_q,
                num_heads=sizes.heads,
                linear=sizes.linear_frequency,
            )
        )
    if config.distance:
        terms.append(DistanceTerm(places, cell, num_heads=sizes.heads))
    return PlacedAggregation(terms, places, dim=sizes.dim, latent_dim=sizes.latent_dim, num_heads=sizes.heads)
