"""LAINR without selective token aggregation: Table 3's rows with the weight modulation of IPC in its place.

`w/o STA` keeps the multi-band head; `w/o both` (`lainr.plain_depth` 2 for IPC's depth of 5) is IPC. The paper does not
say which bandwidth the modulated layer reads in `w/o STA`; here it is `lainr.sigma_q`, that of the query it replaces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from tokenfield.errors import UserError
from tokenfield.models.lainr import SMALL, Lainr, LainrConfig, TokenDecoder, build_head
from tokenfield.nn.pattern_composer import NormalizedStack, PatternComposer


@dataclass(frozen=True)
class ComposedLainrConfig:
    """A LAINR whose tokens compose a layer's weights."""

    lainr: LainrConfig = field(default_factory=LainrConfig)
    """All sizes; tokens are as wide as the decoder, and heads have no meaning."""

    @property
    def padding(self) -> int:
        """What `Lainr.encode` asks for."""
        return self.lainr.padding

    def build(self) -> "ComposedLainr":
        """The model with fresh weights."""
        return ComposedLainr(self)


class ComposedLainr(Lainr):
    """LAINR with pattern composers. Tokens are (B, R, dim); their order matters."""

    name: ClassVar[str] = "lainr-composed"
    default_recipe: ClassVar[Mapping[str, object] | None] = {"model": {"lainr": SMALL | {"latent_dim": 256}}}

    def __init__(self, config: ComposedLainrConfig):
        sizes = config.lainr
        if sizes.latent_dim != sizes.dim:
            raise UserError(f"lainr.latent_dim {sizes.latent_dim} and lainr.dim {sizes.dim}; here they must agree")
        super().__init__(sizes)
        aggregator = PatternComposer(
            in_dim=2,
            dim=sizes.dim,
            feature_dim=sizes.feature_dim,
            sigma_q=sizes.sigma_q,
            num_latents=sizes.num_latents,
        )
        self.decoder = TokenDecoder(aggregator, _head(sizes))
        self.config = config  # another class: it names this system in files


def _head(sizes: LainrConfig) -> nn.Module:
    """The multi-band head, or what is left of an IPC's MLP."""
    if sizes.plain_depth:
        return NormalizedStack(dim=sizes.dim, depth=sizes.plain_depth, out_dim=sizes.channels)
    return build_head(sizes)
