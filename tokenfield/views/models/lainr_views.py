"""LAINR for views: from one to five posed pictures of an object to its light field (4.2, A.2).

The decoder is the pictures' decoder over rays: a query is the Plucker coordinate (d, o x d) of a ray, d_in = 6, and one
evaluation is the colour that the ray sees, without points along it and without volume rendering. The encoder reads
patches of all support views, whose channels are RGB and the same six numbers of every pixel.

Patches have no learned positions: their rays say where they look from and where to. So support views are a set of any
size, and their order means nothing. Table 3's rows are other compositions: `plain_depth` is `w/o multiFM`,
`ComposedLainrViews` is `w/o STA`, and both together are a light field by IPC's MLP.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.models.lainr import LainrConfig, TokenDecoder, build_head
from tokenfield.nn.aggregation import SelectiveTokenAggregation
from tokenfield.nn.encoder import LatentEncoder
from tokenfield.nn.modulation import MultiBandModulation
from tokenfield.nn.patchify import patchify
from tokenfield.nn.pattern_composer import NormalizedStack, PatternComposer

RAY = 6
"""d_in: numbers of a Plucker coordinate."""

VIEWS_LAINR = LainrConfig(size=(128, 128), patch=8, padding=0, sigma_q=2.0, sigmas=(8.0, 4.0))
"""The paper's sizes for ShapeNet: 256 patches per view, (sigma_1, sigma_2), sigma_q = (8, 4), 2 (SPEC 2.4)."""


@dataclass(frozen=True)
class LainrViewsConfig:
    """Sizes of a LAINR for views."""

    lainr: LainrConfig = field(default_factory=lambda: VIEWS_LAINR)
    """Encoder and decoder; `size` is that of a support view."""
    views: int = 5
    """Most support views of an object; any number from 1 to this is encoded."""

    def build(self) -> "LainrViews":
        """The model with fresh weights."""
        return LainrViews(self)


class LainrViews(FieldModel):
    """A light field from support views. Tokens are (B, R, latent_dim), a set; coordinates are rays."""

    name: ClassVar[str] = "lainr-views"
    command = "views"
    takes = "views"

    def __init__(self, config: LainrViewsConfig):
        super().__init__()
        self.config, sizes = config, config.lainr
        self.input_size, self.cell, self.channels = sizes.size, sizes.patch, sizes.channels
        if config.views < 1:
            raise UserError(f"views {config.views}; an object has at least 1 support view")
        self.encoder = LatentEncoder(
            patch_dim=(sizes.channels + RAY) * sizes.patch**2,
            num_patches=1,  # one position that all patches share: rays tell them apart
            num_latents=sizes.num_latents,
            latent_dim=sizes.latent_dim,
            dim=sizes.encoder_dim,
            depth=sizes.encoder_depth,
            num_heads=sizes.encoder_heads,
            mlp_ratio=sizes.mlp_ratio,
        )
        self.decoder = self.build_decoder(sizes)

    def build_decoder(self, sizes: LainrConfig) -> TokenDecoder:
        """Selective token aggregation by rays, and the head."""
        aggregator = SelectiveTokenAggregation(
            in_dim=RAY,
            dim=sizes.dim,
            latent_dim=sizes.latent_dim,
            feature_dim=sizes.feature_dim,
            sigma_q=sizes.sigma_q,
            num_heads=sizes.heads,
            linear=sizes.linear_frequency,
        )
        return TokenDecoder(aggregator, build_head(sizes) if sizes.plain_depth else multiband(sizes))

    def encode(self, images: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b r d"]:
        """Support views with their rays -> latent tokens.

        Args:
            images: V views of `config.lainr.size`, 1 <= V <= `config.views`, in any order; channels are RGB in [0, 1]
                and the Plucker coordinate of the pixel's ray (`tokenfield.views.light_field.with_plucker`).
        """
        if not 1 <= images.shape[1] <= self.config.views:
            raise UserError(f"{images.shape[1]} support views; this model takes from 1 to {self.config.views}")
        flat = images.flatten(0, 1).to(self.encoder.embed.weight.dtype)
        patches = patchify(flat, self.cell, self.config.lainr.padding)  # (B V, N, 9 patch^2)
        return self.encoder(patches.unflatten(0, images.shape[:2]).flatten(1, 2))

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Any:
        """Queries (Eq. 4) and frequency features (Eq. 6) of rays, Plucker coordinates (Q, 6) or (B, Q, 6)."""
        return self.decoder.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r d"]) -> Any:
        """Keys, values, and the head's matrices with the attention's output map folded in."""
        return self.decoder.prepare(tokens)

    def combine(self, located: Any, prepared: Any) -> Float[Tensor, "b q c"]:
        """Colours: Eq. 5, 7, 8, 9 and the output bias of 0.5."""
        return self.decoder.combine(located, prepared)


def multiband(sizes: LainrConfig) -> MultiBandModulation:
    """The paper's head over rays."""
    return MultiBandModulation(
        in_dim=RAY,
        dim=sizes.dim,
        feature_dim=sizes.feature_dim,
        sigmas=sizes.sigmas,
        out_dim=sizes.channels,
        linear_frequency=sizes.linear_frequency,
        linear_modulation=sizes.linear_modulation,
    )


@dataclass(frozen=True)
class ComposedLainrViewsConfig:
    """Sizes of a LAINR for views whose tokens compose a layer's weights (`tokenfield.models.lainr_composed`)."""

    lainr: LainrConfig = field(default_factory=lambda: VIEWS_LAINR)
    """All sizes; tokens are as wide as the decoder, and heads have no meaning."""
    views: int = 5
    """Most support views of an object."""

    def build(self) -> "ComposedLainrViews":
        """The model with fresh weights."""
        return ComposedLainrViews(self)


class ComposedLainrViews(LainrViews):
    """Table 3 over rays: `w/o STA`, and with `lainr.plain_depth` `w/o both`. The tokens' order matters."""

    name: ClassVar[str] = "lainr-views-composed"

    def __init__(self, config: ComposedLainrViewsConfig):
        if config.lainr.latent_dim != config.lainr.dim:
            sizes = config.lainr
            raise UserError(f"lainr.latent_dim {sizes.latent_dim} and lainr.dim {sizes.dim}; here they must agree")
        super().__init__(LainrViewsConfig(config.lainr, config.views))
        self.config = config  # another class: it names this system in files

    def build_decoder(self, sizes: LainrConfig) -> TokenDecoder:
        """Pattern composers, and the multi-band head or what is left of an IPC's MLP."""
        aggregator = PatternComposer(
            in_dim=RAY,
            dim=sizes.dim,
            feature_dim=sizes.feature_dim,
            sigma_q=sizes.sigma_q,
            num_latents=sizes.num_latents,
        )
        head: nn.Module = multiband(sizes)
        if sizes.plain_depth:
            head = NormalizedStack(dim=sizes.dim, depth=sizes.plain_depth, out_dim=sizes.channels)
        return TokenDecoder(aggregator, head)
