"""LAINR with the localized attention of ANR as its aggregator: a row of the comparison, a composition of both papers.

Encoder, query features (Eq. 4), bands and composition are LAINR's; tokens with little weight get none, and the
attention's projections have no bias. The other composition, ANR with LAINR's head, is `AnrConfig.sigmas`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from tokenfield.models.lainr import SMALL, Lainr, LainrConfig
from tokenfield.nn.fourier import FrequencyFeature
from tokenfield.nn.localized_attention import CUTOFF, LocalizedAggregation, LocalizedAttention


@dataclass(frozen=True)
class LocalizedLainrConfig:
    """A LAINR and a threshold."""

    lainr: LainrConfig = field(default_factory=LainrConfig)
    """All sizes."""
    cutoff: float = CUTOFF
    """Threshold of the localized attention in units of the average weight 1 / num_latents; 0: plain attention."""

    @property
    def padding(self) -> int:
        """What `Lainr.encode` asks for."""
        return self.lainr.padding

    def build(self) -> "LocalizedLainr":
        """The model with fresh weights."""
        return LocalizedLainr(self)


class LocalizedLainr(Lainr):
    """LAINR whose coordinates attend to the tokens above a threshold only. Tokens are (B, R, latent_dim), a set."""

    name: ClassVar[str] = "lainr-localized"
    default_recipe: ClassVar[Mapping[str, object] | None] = {"model": {"lainr": SMALL}}

    def __init__(self, config: LocalizedLainrConfig):
        sizes = config.lainr
        super().__init__(sizes)
        query = nn.Sequential(
            FrequencyFeature(2, sizes.sigma_q, sizes.feature_dim, sizes.dim, linear=sizes.linear_frequency),
            nn.Linear(sizes.dim, sizes.dim, bias=False),
        )
        attention = LocalizedAttention(
            token_dim=sizes.latent_dim,
            out_dim=sizes.dim,
            num_heads=sizes.heads,
            head_dim=sizes.dim // sizes.heads,
            cutoff=config.cutoff,
        )
        self.decoder.aggregator = LocalizedAggregation(query, attention)
        self.config = config  # another class: it names this system in files
