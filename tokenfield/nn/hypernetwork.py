"""The hyper-network of ANR (ECCV 2024): an encoder-decoder transformer from patches to R-tokens, or to rows of weights.

The encoder transforms the patches among themselves; the decoder starts from R learned tokens, which attend to each
other and to the encoded patches. LAINR's encoder has both kinds of tokens in one sequence instead. Blocks and attention
are LAINR's (`tokenfield.nn.attention`), but heads have a width of their own (6 x 64 in a width of 512), and queries,
keys and values no bias.
"""

from typing import Required, TypedDict, Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.attention import Block, FeedForward, MultiHeadAttention
from tokenfield.nn.encoder import PatchEncoder, ToRows
from tokenfield.nn.hyponet import Layout


class DecoderBlock(nn.Module):
    """Self-attention, attention to the encoded patches, feed-forward; each with its norm and its residual.

    The patches are not normalised: they come as the encoder left them.
    """

    def __init__(self, dim: int, *, num_heads: int, head_dim: int, hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, num_heads=num_heads, head_dim=head_dim, bias=False)
        self.norm_cross = nn.LayerNorm(dim)
        self.cross_attention = MultiHeadAttention(dim, num_heads=num_heads, head_dim=head_dim, bias=False)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, hidden)

    def among_tokens(self, x: Float[Tensor, "#b r d"]) -> Float[Tensor, "#b r d"]:
        """Self-attention: tokens that all instances share are attended to once."""
        normed = self.norm1(x)
        attended: Tensor = x + self.attention(normed, normed)
        return attended

    def forward(self, x: Float[Tensor, "#b r d"], encoded: Float[Tensor, "b n d"]) -> Float[Tensor, "b r d"]:
        """R tokens, of their own or shared by all instances, and N encoded patches -> R tokens per instance."""
        x = self.among_tokens(x).expand(encoded.shape[0], -1, -1)
        x = x + self.cross_attention(self.norm_cross(x), encoded)
        changed: Tensor = x + self.mlp(self.norm2(x))
        return changed


class TransformerSizes(TypedDict, total=False):
    """What both hyper-networks hand on to their transformer."""

    patch_dim: Required[int]
    num_patches: Required[int | None]
    encoder_depth: int
    decoder_depth: int
    num_heads: int
    head_dim: int
    hidden: int


class HyperTransformer(PatchEncoder):
    """Patches -> R outputs of the transformer's decoder, one per learned token.

    Positions and learned tokens start from a unit normal distribution, as published (elsewhere in this package: 0.02).

    Without `num_patches` patches have no learned positions: they tell their place themselves, by their rays, and there
    can be any number of them. 512, 6, 6, 6, 64 and 3072 are the sizes in the paper.
    """

    def __init__(self, *, patch_dim: int, num_patches: int | None, num_latents: int, dim: int = 512,
                 encoder_depth: int = 6, decoder_depth: int = 6, num_heads: int = 6, head_dim: int = 64,
                 hidden: int = 3072):
        super().__init__()
        sizes = {"num_heads": num_heads, "head_dim": head_dim, "hidden": hidden}
        self.embed = nn.Linear(patch_dim, dim)
        self.position = None if num_patches is None else nn.Parameter(torch.randn(num_patches, dim))
        self.encoder = nn.ModuleList(Block(dim, bias=False, **sizes) for _ in range(encoder_depth))
        self.latents = nn.Parameter(torch.randn(num_latents, dim))
        self.decoder = nn.ModuleList(DecoderBlock(dim, **sizes) for _ in range(decoder_depth))

    def encoded(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b n d"]:
        """The patches, transformed among themselves."""
        encoded: Tensor = self.embed(patches)  # (B, N, D)
        if self.position is not None:
            encoded = encoded + self.position
        for block in self.encoder:
            encoded = block(encoded)
        return encoded

    def outputs(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b r d"]:
        """(B, N, patch_dim) -> the decoder's outputs (B, R, dim)."""
        encoded = self.encoded(patches)
        tokens = self.latents.to(encoded.dtype)[None]  # (1, R, D): the same for all until they meet the patches
        for block in self.decoder:
            tokens = block(tokens, encoded)
        return tokens


class HyperNetwork(HyperTransformer):
    """Patches -> R-tokens, the representation of an instance.

        token_r = w_r * linear(LayerNorm(x_r)) + b_r,    x_r the decoder's outputs, w and b learned per number

    w starts at 1 and b at random, as a learned position of the token. Other arguments are the transformer's.
    """

    def __init__(self, *, num_latents: int, latent_dim: int, dim: int = 512, **sizes: Unpack[TransformerSizes]):
        super().__init__(num_latents=num_latents, dim=dim, **sizes)
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, latent_dim)
        self.scale = nn.Parameter(torch.ones(num_latents, latent_dim))
        self.shift = nn.Parameter(torch.randn(num_latents, latent_dim))

    def forward(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b r e"]:
        """(B, N, patch_dim) -> R-tokens (B, R, latent_dim)."""
        result: Tensor = self.scale * self.out(self.norm(self.outputs(patches))) + self.shift
        return result


class RowHyperNetwork(HyperTransformer):
    """Patches -> rows of weights, as many tokens as the MLP of a `layout` takes: ANR's grouping for its rivals."""

    def __init__(self, *, layout: Layout, dim: int = 512, **sizes: Unpack[TransformerSizes]):
        super().__init__(num_latents=layout.count, dim=dim, **sizes)
        self.out = ToRows(dim, layout)

    def forward(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b r e"]:
        """(B, N, patch_dim) -> tokens (B, R, the widest fan-in)."""
        rows: Tensor = self.out(self.outputs(patches))
        return rows
