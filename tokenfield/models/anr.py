"""ANR: *Attention Beats Linear for Fast Implicit Neural Representation Generation* (ECCV 2024).

encode: patches -> hyper-network -> R-tokens.
decode: localized attention from the positional encoding of a coordinate to the R-tokens, then a global MLP.

Only the tokens differ between instances; the representation size is R x `dim` values. LAINR's multi-band head can
follow the localized attention in place of the MLP (`sigmas`), and the localized attention can stand in LAINR
(`tokenfield.models.lainr.LocalizedLainr`).
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokenfield.configs import LATER
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.models.token_field import SMALL_ENCODER, PatchField, PatchSizes, TokenField
from tokenfield.nn.encoder import patchify
from tokenfield.nn.hypernetwork import HyperNetwork, TransformerSizes
from tokenfield.nn.localized_attention import CUTOFF, LocalizedAggregation, LocalizedAttention, PositionalQuery
from tokenfield.nn.parts import QueryState, TokenState
from tokenfield.nn.token_decoder import Head, MultiBandModulation, PlainMLP, TokenDecoder


@dataclass(frozen=True)
class HyperSizes(PatchSizes):
    """Patches and the transformer over them; the defaults are the paper's for CelebA at 128 pixels."""

    may_be_zero = PatchSizes.may_be_zero | {"encoder_depth", "decoder_depth"}

    size: tuple[int, int] = (128, 128)
    """Height and width of the pictures it encodes."""
    patch: int = 10
    """Side of a patch in pixels."""
    padding: int = 1
    """Zeros (mid-grey) around the picture before it is cut into patches."""
    drop_rest: bool = False
    """True: rows and columns beyond the last whole patch are not encoded, as in the authors' code; else an error."""
    encoder_dim: int = 512
    """Width of the hyper-network."""
    encoder_depth: int = 6
    """Blocks of its encoder."""
    decoder_depth: int = 6
    """Blocks of its decoder."""
    encoder_heads: int = 6
    """Heads of its attention."""
    encoder_head_dim: int = 64
    """Width of such a head."""
    encoder_hidden: int = 3072
    """Hidden width of its feed-forward parts."""

    def transformer(self, patch_channels: int, positions: bool) -> TransformerSizes:
        """Of patches of so many channels, with or without learned positions."""
        return {"patch_dim": patch_channels * self.patch**2, "num_patches": self.num_patches if positions else None,
                "encoder_depth": self.encoder_depth, "decoder_depth": self.decoder_depth,
                "num_heads": self.encoder_heads, "head_dim": self.encoder_head_dim, "hidden": self.encoder_hidden}


class HyperPatches(PatchField):
    """A system that may leave out what is beyond the last whole patch."""

    config: HyperSizes

    def cut(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n p"]:
        """Patches, row-major, without what is beyond the last whole one."""
        images, before = images.to(self.encoder.embed.weight.dtype), self.padding
        rest = [(side + 2 * before) % self.cell for side in images.shape[-2:]] if self.config.drop_rest else [0, 0]
        padded = F.pad(images, (before, before - rest[1], before, before - rest[0]))  # a negative width cuts
        return patchify(padded, self.cell)


class SignedPictures(FieldModel):
    """A system whose pictures are in [-1, 1] inside, as in ANR's paper: zero padding is mid-grey, the output bias 0.

    Outside they are in [0, 1], as everywhere: `encode` maps in and `combine` maps out.
    """

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """Pictures in [0, 1] of `config.size` -> tokens."""
        return super().encode(2 * images - 1)

    def combine(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "b q c"]:
        """Values from [-1, 1] to [0, 1]."""
        return (super().combine(located, prepared) + 1) / 2


@dataclass(frozen=True)
class HyperConfig(HyperSizes):
    """Sizes that ANR's systems share; the defaults are the paper's model for CelebA at 128 pixels (docs/papers.md)."""

    may_be_zero = HyperSizes.may_be_zero | {"cutoff"}
    may_be_empty = frozenset({"sigmas"})

    num_latents: int = 256
    """R, tokens per instance."""
    dim: int = 512
    """Width of a token, of the positional encoding and of the MLP; values stored are num_latents x dim."""
    heads: int = 6
    """Heads of the localized attention."""
    head_dim: int = 64
    """Width of such a head."""
    cutoff: float = CUTOFF
    """Threshold of the localized attention in units of the average weight 1 / num_latents; 0: plain attention."""
    sigma: float = 1024.0
    """Bandwidth of the positional encoding."""
    depth: int = 5
    """Linear layers of the global MLP: D1 to D6 in the paper."""
    start: Literal["published", "local"] = field(default="published", metadata=LATER)
    """How weights begin: published, tokens and positions from N(0, 1); local: every token serves a place
    (`nn.local_start`)."""
    sigmas: tuple[float, ...] = ()
    """Not empty: LAINR's multi-band head with these bandwidths, highest first, in place of the global MLP."""

@dataclass(frozen=True)
class AnrConfig(HyperConfig):
    """Sizes of an ANR for pictures."""

    def build(self) -> "Anr":
        return Anr(self)


SMALL: Record = SMALL_ENCODER | {"encoder_depth": 3, "decoder_depth": 3, "encoder_hidden": 768, "num_latents": 48,
                                 "dim": 128, "heads": 2}
"""Fields of an ANR for 64-pixel pictures that two cores train: 6144 values stored, one per two pixel values."""


def build_encoder(config: HyperConfig, *, patch_channels: int, positions: bool) -> HyperNetwork:
    """The hyper-network over patches of so many channels, with or without learned positions."""
    return HyperNetwork(num_latents=config.num_latents, latent_dim=config.dim, dim=config.encoder_dim,
                        **config.transformer(patch_channels, positions))


def build_decoder(config: HyperConfig, *, in_dim: int) -> TokenDecoder:
    """Localized attention and the global MLP (or the multi-band head), for `in_dim` coordinates."""
    aggregator = LocalizedAggregation(
        PositionalQuery(in_dim, config.sigma, config.dim, config.heads * config.head_dim),
        LocalizedAttention(
            token_dim=config.dim,
            out_dim=config.dim,
            num_heads=config.heads,
            head_dim=config.head_dim,
            cutoff=config.cutoff,
        ),
    )
    dim, out_dim = config.dim, config.channels
    head: Head
    if config.sigmas:
        head = MultiBandModulation(in_dim=in_dim, dim=dim, feature_dim=dim, sigmas=config.sigmas, out_dim=out_dim)
    else:  # the plain MLP counts the layers before its output, D counts that one too
        head = PlainMLP(dim=dim, depth=config.depth - 1, out_dim=out_dim)
    return TokenDecoder(aggregator, head, output_bias=0.0)


class HyperField(HyperPatches, TokenField):
    """A hyper-network in front, localized attention and a head behind. Tokens are (B, R, dim), a set.

    Patches have so many channels and, with `positions`, each a learned position.
    """

    name = "anr"

    def __init__(self, config: HyperConfig, *, in_dim: int, patch_channels: int, positions: bool):
        encoder = build_encoder(config, patch_channels=patch_channels, positions=positions)
        super().__init__(config, config, encoder, build_decoder(config, in_dim=in_dim), start=config.start)


class Anr(SignedPictures, HyperField):
    """ANR as in the paper, for pictures of one size. A loss outside, on [0, 1], is a quarter of the paper's."""

    default_recipe: ClassVar[RecipeFields | None] = {"model": SMALL, "objective": {"jitter": "normal"}}

    def __init__(self, config: AnrConfig):
        super().__init__(config, in_dim=2, patch_channels=config.channels, positions=True)
