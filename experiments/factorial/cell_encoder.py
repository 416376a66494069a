"""Encoders whose tokens belong to the cells of a picture, beside LAINR's with its separate learned tokens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.attention import Transformer
from tokenfield.nn.encoder import PatchEncoder


class CellEncoder(PatchEncoder):
    """Patches -> transformer -> one latent token per patch: every token sees its own cell from the first layer on.

    `tokenfield.nn.encoder.LatentEncoder` without the learned tokens.

    Args:
        patch_dim: numbers per patch.
        num_patches: R, cells and tokens; each has a learned positional embedding.
        latent_dim: width of a latent token.
        dim, depth, num_heads, mlp_ratio: of the transformer; depth 0 leaves embedding, norm and output map.
    """

    def __init__(
        self,
        *,
        patch_dim: int,
        num_patches: int,
        latent_dim: int,
        dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
    ):
        super().__init__()
        self.embed = nn.Linear(patch_dim, dim)
        self.position = nn.Parameter(torch.randn(num_patches, dim) * 0.02)
        self.transformer = Transformer(dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio)
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, latent_dim)

    def forward(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b n d"]:
        """(B, R, patch_dim) -> latent tokens (B, R, latent_dim), in the order of the cells."""
        tokens: Tensor = self.out(self.norm(self.transformer(self.embed(patches) + self.position)))
        return tokens


class Skip(PatchEncoder):
    """An encoder and a linear path past it: token j also gets a linear map of the pixels of cell j.

    Args:
        encoder: with as many tokens as there are patches.
        patch_dim: numbers per patch.
        latent_dim: width of a latent token.
    """

    def __init__(self, encoder: PatchEncoder, patch_dim: int, latent_dim: int):
        super().__init__()
        self.encoder, self.skip = encoder, nn.Linear(patch_dim, latent_dim)

    @property
    def embed(self) -> nn.Linear:  # type: ignore[override]
        """The encoder's own."""
        return self.encoder.embed

    def forward(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b n d"]:
        """(B, R, patch_dim) -> latent tokens (B, R, latent_dim)."""
        tokens: Tensor = self.encoder(patches) + self.skip(patches)
        return tokens
