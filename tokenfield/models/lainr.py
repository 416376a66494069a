"""LAINR: *Locality-Aware Generalizable Implicit Neural Representation* (NeurIPS 2023), and its relatives.

encode: patches -> transformer with R learnable tokens -> latent tokens (section 3.2; `tokenfield.nn.encoder`).
decode: selective token aggregation (Eq. 4-5), multi-band modulation (Eq. 6-7), composition (Eq. 8), output (Eq. 9); all
    of them, in this order, in `tokenfield.nn.token_decoder`.

The ablations of Tables 3, 4, 6 and 7 are other compositions of the same modules, named by `LainrConfig`. Two relatives
have another aggregator in the place of Eq. 4-5: the localized attention of ANR, and the weight modulation of IPC, rows
`w/o STA` and `w/o both` of Table 3.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import nn

from tokenfield.configs import Sizes, check_divides
from tokenfield.errors import UserError
from tokenfield.io.record import Record
from tokenfield.models.base import RecipeFields
from tokenfield.models.token_field import SMALL_ENCODER, EncoderSizes, TokenField
from tokenfield.nn.encoder import LatentEncoder
from tokenfield.nn.fourier import FrequencyFeature
from tokenfield.nn.localized_attention import CUTOFF, LocalizedAggregation, LocalizedAttention
from tokenfield.nn.pattern_composer import NormalizedStack, PatternComposer
from tokenfield.nn.token_decoder import Head, MultiBandModulation, PlainMLP, SelectiveTokenAggregation, TokenDecoder


@dataclass(frozen=True)
class LainrConfig(EncoderSizes):
    """Sizes of a LAINR for pictures; the defaults are the paper's 178-pixel model (docs/papers.md, "LAINR")."""

    may_be_zero = EncoderSizes.may_be_zero | {"plain_depth"}

    num_latents: int = 256
    """R, latent tokens per picture."""
    latent_dim: int = 256
    """Width of a latent token; values stored per picture are num_latents x latent_dim."""
    dim: int = 256
    """d, width of the decoder."""
    feature_dim: int = 256
    """d_F, Fourier features per coordinate."""
    sigma_q: float = 16.0
    """Bandwidth of the queries."""
    sigmas: tuple[float, ...] = (128.0, 32.0)
    """Bandwidths of the bands, highest first; their number is L."""
    heads: int = 2
    """Heads of the aggregation."""
    linear_frequency: bool = True
    """False: Table 7, without W_F, b_F and ReLU of the bands (Eq. 6); the queries (Eq. 4) keep theirs."""
    linear_modulation: bool = True
    """False: Table 7, without the linear layer of Eq. 7."""
    plain_depth: int = 0
    """Above 0: Table 3, `w/o multiFM`, a plain MLP of so many layers in place of Eq. 6-9."""
    start: Literal["published", "small", "local"] = "small"
    """How weights begin; the model is the same. Learnable tokens and positions are drawn from a normal distribution of
    deviation 1 (published) or 0.02 (small); local: small, and every token serves a place (`nn.local_start`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("heads", self.heads, "dim", self.dim)

    def build(self) -> "Lainr":
        return Lainr(self)


@dataclass(frozen=True)
class RelativeConfig(Sizes):
    """A LAINR with another aggregator."""

    may_be_zero = frozenset({"cutoff"})

    lainr: LainrConfig = field(default_factory=LainrConfig)
    """All sizes."""


@dataclass(frozen=True)
class LocalizedLainrConfig(RelativeConfig):
    """A LAINR and a threshold."""

    cutoff: float = CUTOFF
    """Threshold of the localized attention in units of the average weight 1 / num_latents; 0: plain attention."""

    def build(self) -> "LocalizedLainr":
        return LocalizedLainr(self)


@dataclass(frozen=True)
class ComposedLainrConfig(RelativeConfig):
    """A LAINR whose tokens compose a layer's weights: they are as wide as the decoder, and heads have no meaning.

    That layer reads bandwidth `lainr.sigma_q`, that of the query it replaces; the paper does not say.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lainr.start == "local":
            raise UserError("lainr.start local is for tokens that are attended to, and these are not; give start small")
        if self.lainr.latent_dim != self.lainr.dim:
            sizes = self.lainr
            raise UserError(f"lainr.latent_dim {sizes.latent_dim} and lainr.dim {sizes.dim}; here they must agree")

    def build(self) -> "ComposedLainr":
        return ComposedLainr(self)


SMALL: Record = SMALL_ENCODER | {"num_latents": 64, "latent_dim": 96, "dim": 256, "feature_dim": 256,
                                 "sigmas": (46.0, 11.5), "sigma_q": 5.75}
"""Fields of a LAINR for 64-pixel pictures that two cores train: 6144 values stored, one per two pixel values."""


def build_encoder(config: LainrConfig, *, channels: int | None = None, num_patches: int | None = None) -> LatentEncoder:
    """The transformer over patches and R learnable tokens.

    By default patches have the picture's channels and as many positions as it has patches; 1: they share one.
    """
    return config.latent_encoder(channels=channels or config.channels, num_patches=num_patches or config.num_patches,
                                 num_latents=config.num_latents, latent_dim=config.latent_dim, start=config.start)


def build_aggregator(config: LainrConfig, *, in_dim: int = 2) -> SelectiveTokenAggregation:
    """Selective token aggregation (Eq. 4-5) over `in_dim` coordinates."""
    return SelectiveTokenAggregation(in_dim=in_dim, dim=config.dim, latent_dim=config.latent_dim,
                                     feature_dim=config.feature_dim, sigma_q=config.sigma_q, num_heads=config.heads)


def build_head(config: LainrConfig, *, in_dim: int = 2) -> Head:
    """The multi-band head (Eq. 6-9), or the plain stack of `w/o multiFM`."""
    if config.plain_depth:
        return PlainMLP(dim=config.dim, depth=config.plain_depth, out_dim=config.channels)
    return MultiBandModulation(in_dim=in_dim, dim=config.dim, feature_dim=config.feature_dim, sigmas=config.sigmas,
                               out_dim=config.channels, linear_frequency=config.linear_frequency,
                               linear_modulation=config.linear_modulation)


def build_localized_aggregator(config: LainrConfig, cutoff: float) -> LocalizedAggregation:
    """The queries of Eq. 4, and ANR's attention, whose projections have no bias, with its threshold."""
    dim, heads = config.dim, config.heads
    feature = FrequencyFeature(2, config.sigma_q, config.feature_dim, dim)
    query = nn.Sequential(feature, nn.Linear(dim, dim, bias=False))
    sizes = {"token_dim": config.latent_dim, "out_dim": dim, "num_heads": heads, "head_dim": dim // heads}
    return LocalizedAggregation(query, LocalizedAttention(**sizes, cutoff=cutoff))


def build_composing_decoder(config: LainrConfig, *, in_dim: int = 2) -> TokenDecoder:
    """Pattern composers, and the multi-band head (`w/o STA`) or what is left of an IPC's MLP (`w/o both`)."""
    aggregator = PatternComposer(in_dim=in_dim, dim=config.dim, feature_dim=config.feature_dim, sigma_q=config.sigma_q,
                                 num_latents=config.num_latents)
    if not config.plain_depth:
        return TokenDecoder(aggregator, build_head(config, in_dim=in_dim))
    stack = NormalizedStack(dim=config.dim, depth=config.plain_depth, out_dim=config.channels)
    return TokenDecoder(aggregator, stack)


class Lainr(TokenField):
    """LAINR as in the paper, for pictures of one size. Tokens are (B, R, latent_dim), a set."""

    name = "lainr"
    smooth = True
    default_recipe: ClassVar[RecipeFields | None] = {"model": SMALL | {"start": "local", "heads": 8}}
    config: LainrConfig
    encoder: LatentEncoder

    def __init__(self, config: LainrConfig):
        encoder, aggregator = build_encoder(config), build_aggregator(config)
        super().__init__(config, config, encoder, TokenDecoder(aggregator, build_head(config)), start=config.start)


class LocalizedLainr(TokenField):
    """LAINR whose coordinates attend to the tokens above a threshold only. Tokens are (B, R, latent_dim), a set.

    The other composition, ANR with LAINR's head, is `AnrConfig.sigmas`.
    """

    name = "lainr-localized"
    smooth = True
    default_recipe: ClassVar[RecipeFields | None] = {"model": {"lainr": SMALL}}

    def __init__(self, config: LocalizedLainrConfig):
        sizes = config.lainr
        encoder, aggregator = build_encoder(sizes), build_localized_aggregator(sizes, config.cutoff)
        super().__init__(config, sizes, encoder, TokenDecoder(aggregator, build_head(sizes)), start=sizes.start)


class ComposedLainr(TokenField):
    """LAINR with pattern composers. Tokens are (B, R, dim); their order matters."""

    name = "lainr-composed"
    token = "a pattern composer, one of the vectors that a layer's weights are mixed of"
    smooth = True
    default_recipe: ClassVar[RecipeFields | None] = {"model": {"lainr": SMALL | {"latent_dim": 256}}}

    def __init__(self, config: ComposedLainrConfig):
        super().__init__(config, config.lainr, build_encoder(config.lainr), build_composing_decoder(config.lainr))
