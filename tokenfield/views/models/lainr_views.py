"""LAINR for views: from one to five posed pictures of an object to its light field (4.2, A.2).

The decoder is the pictures' decoder over rays: a query is the Plucker coordinate (d, o x d) of a ray, and one
evaluation is the ray's colour, without points along it and without volume rendering. The encoder reads patches of all
support views, whose channels are RGB and the same six numbers of every pixel. Patches need no learned positions, for
rays tell them apart: support views are then a set of any size. In the code that the paper is built on every patch of
every view has a learned position, so that views have an order and one number; `positions learned` is that.

Table 3's rows are other compositions: `plain_depth` is `w/o multiFM`, `ComposedLainrViews` is `w/o STA`, and both
together are a light field by IPC's MLP.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from tokenfield.configs import LATER, Sizes
from tokenfield.models.lainr import (
    ComposedLainrConfig,
    LainrConfig,
    build_aggregator,
    build_composing_decoder,
    build_encoder,
    build_head,
)
from tokenfield.models.token_field import TokenField
from tokenfield.nn.encoder import LatentEncoder
from tokenfield.nn.local_start import local_start
from tokenfield.nn.places import means_of
from tokenfield.nn.token_decoder import TokenDecoder
from tokenfield.views.models.base import LightFieldModel
from tokenfield.views.rays import WIDTHS, Line

VIEWS_LAINR = LainrConfig(size=(128, 128), patch=8, padding=0, sigma_q=2.0, sigmas=(8.0, 4.0))
"""The paper's sizes for ShapeNet (docs/papers.md, "Protocols"): 256 patches per view, (sigma_1, sigma_2), sigma_q."""


@dataclass(frozen=True)
class TokenViewsConfig(Sizes):
    """What LAINR's systems for views share."""

    lainr: LainrConfig = field(default_factory=lambda: VIEWS_LAINR)
    """Encoder and decoder; `size` is that of a support view. Where tokens compose weights they are as wide as the
    decoder, and heads have no meaning."""
    views: int = 5
    """Most support views of an object; any number from 1 to this is encoded, or with learned positions this alone."""
    positions: Literal["none", "learned"] = field(default="none", metadata=LATER)
    """none: rays alone tell patches apart; learned: every patch of every view has a position of its own, as in
    ginr-ipc's code: `encoder_dim` numbers for each, 256 patches of a view in the published sizes."""
    line: Line = field(default="plucker", metadata=LATER)
    """How a ray is said: plucker, as published, by direction and moment; foot, by direction and the point nearest to
    the origin, which views of the same part of an object share (`tokenfield.views.rays.foot`)."""

    @property
    def ray(self) -> int:
        """d_in: numbers of a ray's coordinate."""
        return WIDTHS[self.line]


@dataclass(frozen=True)
class LainrViewsConfig(TokenViewsConfig):
    """Sizes of a LAINR for views."""

    def build(self) -> "LainrViews":
        return LainrViews(self)


@dataclass(frozen=True)
class ComposedLainrViewsConfig(TokenViewsConfig):
    """Sizes of a LAINR for views whose tokens compose a layer's weights (Table 3)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        ComposedLainrConfig(self.lainr)  # what it refuses is refused here

    def build(self) -> "ComposedLainrViews":
        return ComposedLainrViews(self)


def build_view_encoder(config: TokenViewsConfig) -> LatentEncoder:
    """The transformer over patches of all views, which share one position or have one each."""
    count = config.views * config.lainr.num_patches if config.positions == "learned" else 1
    return build_encoder(config.lainr, channels=3 + config.ray, num_patches=count)


class LainrViews(LightFieldModel, TokenField):
    """LAINR over rays. Tokens are (B, R, latent_dim), a set."""

    name = "lainr-views"

    def __init__(self, config: LainrViewsConfig):
        sizes = config.lainr
        encoder, aggregator = build_view_encoder(config), build_aggregator(sizes, in_dim=config.ray)
        decoder = TokenDecoder(aggregator, build_head(sizes, in_dim=config.ray))
        super().__init__(config, sizes, encoder, decoder, start=sizes.start)
        self.views, self.fewer_views, self.line = config.views, config.positions == "none", config.line

    def initialize(self, samples: dict[str, Tensor]) -> None:  # type: ignore[override]
        """The local start in the space of rays: anchors are means of the support views' rays, patches hold their own.

        Args:
            samples: what the source gives, stacked.
        """
        images = self.inputs(samples["support"], samples["support_poses"], samples["angle_x"])  # (B, V, C, H, W)
        patches = self.cut(images.flatten(0, 1)).unflatten(0, images.shape[:2]).flatten(1, 2)  # (B, V N, C patch^2)
        pixels = self.cell**2
        reading = torch.eye(images.shape[2])[3:].repeat_interleave(pixels, 1) / pixels  # the mean ray of a patch
        rays = (patches.cpu() @ reading.T).flatten(0, 1)
        local_start(self.encoder, self.decoder.aggregator, patches, partial(means_of, rays), reading, read=True)


class ComposedLainrViews(LightFieldModel, TokenField):
    """Composers of weights in place of attention. The tokens' order matters."""

    name = "lainr-views-composed"

    def __init__(self, config: ComposedLainrViewsConfig):
        sizes = config.lainr
        super().__init__(config, sizes, build_view_encoder(config), build_composing_decoder(sizes, in_dim=config.ray))
        self.views, self.fewer_views, self.line = config.views, config.positions == "none", config.line
