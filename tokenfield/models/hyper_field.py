"""What systems on ANR's hyper-network share: its sizes, how pictures are cut, and their range inside."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokenfield.models.base import FieldModel
from tokenfield.models.token_field import PatchField, PatchSizes
from tokenfield.nn.hypernetwork import TransformerSizes
from tokenfield.nn.parts import QueryState, TokenState
from tokenfield.nn.patchify import patchify


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
