"""The transformer encoder: data tokens and learnable tokens in, latent tokens out (LAINR 3.2, A)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.transformer import Transformer


class PatchEncoder(nn.Module):
    """What encodes patches: `forward` takes (B, N, patch_dim) and gives tokens (B, R, D).

    Attributes:
        embed: the map that meets the patches; its weights say in which type they are wanted.
    """

    embed: nn.Linear


class LatentEncoder(PatchEncoder):
    """Patches -> data tokens; R learnable tokens beside them; the last R outputs -> LayerNorm -> linear -> Z.

    No structure among the latents is imposed: they are a set. Their identities come from the learnable tokens alone.

    Args:
        patch_dim: numbers per patch.
        num_patches: N, data tokens of one instance; each has a learned positional embedding.
        num_latents: R.
        latent_dim: d, width of a latent token.
        dim, depth, num_heads, mlp_ratio: of the transformer; 768, 6, 12, 4 in the paper.
        deviation: of the normal distribution that learnable tokens and positions start from.
    """

    def __init__(
        self,
        *,
        patch_dim: int,
        num_patches: int,
        num_latents: int,
        latent_dim: int,
        dim: int = 768,
        depth: int = 6,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        deviation: float = 0.02,
    ):
        super().__init__()
        self.embed = nn.Linear(patch_dim, dim)
        self.position = nn.Parameter(torch.randn(num_patches, dim) * deviation)
        self.latents = nn.Parameter(torch.randn(num_latents, dim) * deviation)
        self.transformer = Transformer(dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio)
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, latent_dim)

    def forward(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b r d"]:
        """(B, N, patch_dim) -> latent tokens (B, R, latent_dim)."""
        data = self.embed(patches) + self.position  # (B, N, D)
        learnable = self.latents.to(data.dtype).expand(len(data), -1, -1)  # (B, R, D)
        tokens = self.transformer(torch.cat([data, learnable], 1), keep=len(self.latents))
        latents: Tensor = self.out(self.norm(tokens))
        return latents
