"""Systems put together of parts: an encoder of patches in front; a `TokenDecoder`, aggregator and head, behind."""

from copy import copy
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from tokenfield.configs import LATER, Sizes, check_divides
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.nn.coarse import CoarseDecoder
from tokenfield.nn.encoder import LatentEncoder, PatchEncoder, patchify
from tokenfield.nn.fused import CHUNK, FusedDecoder
from tokenfield.nn.local_start import local_start
from tokenfield.nn.places import lattice
from tokenfield.nn.token_decoder import TokenDecoder

START_PICTURES = 16
"""Pictures that the local start is given."""


@dataclass(frozen=True)
class PatchSizes(Sizes):
    """How a signal is cut into patches; the defaults are those of the papers' comparison at 178 pixels."""

    may_be_zero = frozenset({"padding"})
    drop_rest = False  # rows and columns beyond the last whole patch are an error

    size: tuple[int, int] = (178, 178)
    """Height and width of the pictures it encodes."""
    patch: int = 9
    """Side of a patch in pixels."""
    padding: int = 1
    """Zeros around the picture before it is cut into patches."""
    channels: int = 3
    """Values per pixel."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rest = max((side + 2 * self.padding) % self.patch for side in self.size)
        if rest and not self.drop_rest:
            height, width = self.size
            raise UserError(
                f"size {height} x {width}, padding {self.padding}: no whole number of {self.patch}-pixel patches, "
                f"{rest} pixels are left; change size, patch or padding"
            )

    @property
    def num_patches(self) -> int:
        """Patches of a picture."""
        return prod((side + 2 * self.padding) // self.patch for side in self.size)


@dataclass(frozen=True)
class EncoderSizes(PatchSizes):
    """Patches, and the transformer over them; the defaults are the papers'."""

    may_be_zero = PatchSizes.may_be_zero | {"encoder_depth", "dropout"}

    encoder_dim: int = 768
    """Width of the transformer."""
    encoder_depth: int = 6
    """Blocks of the transformer."""
    encoder_heads: int = 12
    """Heads of the transformer."""
    mlp_ratio: float = 4.0
    """Hidden width of its feed-forward parts over encoder_dim."""
    dropout: float = field(default=0.0, metadata=LATER)
    """Share of what its parts add to the residual path that is left out in training; 0.1 in ginr-ipc's code."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("encoder_heads", self.encoder_heads, "encoder_dim", self.encoder_dim)
        if self.dropout >= 1:
            raise UserError(f"dropout {self.dropout}; give a share from 0 to below 1")

    def latent_encoder(self, *, channels: int, num_patches: int, num_latents: int, latent_dim: int,
                       start: str) -> LatentEncoder:
        """The transformer over patches of so many channels and R learnable tokens, whose weights begin as `start` says.

        Learnable tokens and positions have deviation 1 where that is `published`, else 0.02.
        """
        return LatentEncoder(patch_dim=channels * self.patch**2, num_patches=num_patches, num_latents=num_latents,
                             latent_dim=latent_dim, dim=self.encoder_dim, depth=self.encoder_depth,
                             num_heads=self.encoder_heads, mlp_ratio=self.mlp_ratio, dropout=self.dropout,
                             deviation=1.0 if start == "published" else 0.02)


SMALL_ENCODER: Record = {"size": (64, 64), "patch": 8, "padding": 0, "encoder_dim": 192, "encoder_depth": 2,
                         "encoder_heads": 3}
"""Fields of an encoder of 64-pixel pictures that two cores train."""


def patch_places(size: tuple[int, int], patch: int, padding: int) -> Grid:
    """Centres of the whole patches of a picture of H x W pixels; padding is outside of [-1, 1]^2."""
    counts = [(side + 2 * padding) // patch for side in size]
    low = [-1 - 2 * padding / side for side in size]
    high = [start + 2 * patch * count / side for start, count, side in zip(low, counts, size, strict=True)]
    return Grid.box((low[0], low[1]), (high[0], high[1]), *counts)


@runtime_checkable
class Cut(Protocol):
    """What a model says of its patches: a configuration, or a part of one."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def patch(self) -> int: ...

    @property
    def padding(self) -> int: ...

    @property
    def channels(self) -> int: ...


class PatchField(FieldModel):
    """A system that encodes patches, cut as `cut` says: its configuration itself, or a part of that."""

    def __init__(self, config: object, cut: Cut, encoder: PatchEncoder):
        super().__init__()
        self.config = config
        self.input_size, self.cell, self.padding, self.channels = cut.size, cut.patch, cut.padding, cut.channels
        self.encoder = encoder

    def cut(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n p"]:
        """Patches, row-major, in the type of the encoder."""
        return patchify(images.to(self.encoder.embed.weight.dtype), self.cell, self.padding)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """Pictures in [0, 1] of `input_size` -> tokens."""
        tokens: Tensor = self.encoder(self.cut(images))
        return tokens


class TokenField(PatchField):
    """A system whose tokens (B, R, D) are read by the aggregator of a `TokenDecoder`.

    Where it is `smooth`, attention varies slowly over [-1, 1]^2, so that `coarse` may compute it on nodes.
    """

    token = "one of a set of latent vectors"
    smooth: ClassVar[bool] = False
    instead: CoarseDecoder | FusedDecoder | None = None

    def __init__(self, config: object, cut: Cut, encoder: PatchEncoder, decoder: TokenDecoder, *,
                 start: str = ""):
        super().__init__(config, cut, encoder)
        self.decoder = decoder
        self.initial_pictures = START_PICTURES if start == "local" else 0  # other starts are drawn, not made

    def coarse(self, nodes: int) -> FieldModel:
        if not self.smooth:
            return super().coarse(nodes)
        other = copy(self)
        other.instead = CoarseDecoder(self.decoder, nodes)
        return other

    def fused(self) -> FieldModel:
        other = copy(self)
        other.instead, other.chunk = FusedDecoder(self.decoder), CHUNK
        return other

    def initialize(self, samples: Float[Tensor, "b c h w"]) -> None:
        """The local start; the pictures are only looked at. Raises UserError for sizes without room for places."""
        height, width = samples.shape[-2:]
        places = patch_places((height, width), self.cell, self.padding)
        anchors = partial(lattice, patches=(places.shape[0], places.shape[1]), aspect=height / width)
        local_start(self.encoder, self.decoder.aggregator, self.cut(samples), anchors, places.coords())

    @property
    def decoding(self) -> TokenDecoder | CoarseDecoder | FusedDecoder:
        """The decoder, or what stands in for it: its approximation on nodes, or the kernel."""
        return self.instead or self.decoder

    def attention(self, tokens: Float[Tensor, "one r d"],
                  coords: Float[Tensor, "q x"]) -> Float[Tensor, "h q r"] | None:
        """The aggregator's weights, of the exact decoder."""
        return self.decoder.aggregator.attention_weights(tokens, coords)
