"""The transformer encoder: data tokens and learnable tokens in, latent tokens out (LAINR 3.2, A).

For systems whose tokens are rows of weights it is the same (the papers' comparison holds the encoder fixed), but
`ToRows` stands at its end.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.attention import Transformer
from tokenfield.nn.hyponet import Layout


def patchify(images: Float[Tensor, "b c h w"], patch: int, padding: int = 0) -> Float[Tensor, "b n p"]:
    """Non-overlapping square patches, row-major: C patch^2 pixel values, channel-major, then (y, x) inside the patch.

    `patch` must divide H + 2 padding and W + 2 padding, the padding being zeros on each side. A.1: 178 + 2 = 20 x 9.
    """
    height, width = (side + 2 * padding for side in images.shape[-2:])
    if height % patch or width % patch:
        raise ValueError(f"a {height} x {width} picture (padding included) is no whole number of {patch}-pixel patches")
    return F.unfold(images, patch, padding=padding, stride=patch).transpose(1, 2)


class PatchEncoder(nn.Module):
    """What encodes patches (B, N, patch_dim) to tokens (B, R, D); patches come in the type of `embed`'s weights."""

    embed: nn.Linear


class LatentEncoder(PatchEncoder):
    """Patches -> data tokens; R learnable tokens beside them; the last R outputs -> LayerNorm -> linear -> Z.

    No structure among the R = `num_latents` latents is imposed: they are a set. Data tokens have learned positions;
    these and the learnable tokens start from a normal distribution of so much `deviation`.
    """

    def __init__(self, *, patch_dim: int, num_patches: int, num_latents: int, latent_dim: int, dim: int, depth: int,
                 num_heads: int, mlp_ratio: float = 4.0, dropout: float = 0.0, deviation: float = 0.02):
        super().__init__()
        self.embed = nn.Linear(patch_dim, dim)
        self.position = nn.Parameter(torch.randn(num_patches, dim) * deviation)
        self.latents = nn.Parameter(torch.randn(num_latents, dim) * deviation)
        self.transformer = Transformer(dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout)
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, latent_dim)

    def tokens(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b all d"]:
        """Embedded patches and, behind them, the learnable tokens."""
        data = self.embed(patches) + self.position  # (B, N, D)
        learnable = self.latents.to(data.dtype).expand(data.shape[0], -1, -1)  # (B, R, D)
        return torch.cat([data, learnable], 1)

    def forward(self, patches: Float[Tensor, "b n p"]) -> Float[Tensor, "b r d"]:
        """(B, N, patch_dim) -> latent tokens (B, R, latent_dim)."""
        outputs = self.transformer(self.tokens(patches), keep=len(self.latents))
        latents: Tensor = self.out(self.norm(outputs))
        return latents


class ToRows(nn.Module):
    """LayerNorm and a linear map to fan-in, for every modulated layer of an MLP's `layout`."""

    def __init__(self, dim: int, layout: Layout):
        super().__init__()
        self.layout = layout
        modulated = {str(i): width for i, (n, width) in enumerate(zip(layout.counts, layout.widths, strict=True)) if n}
        self.norm = nn.ModuleDict({i: nn.LayerNorm(dim) for i in modulated})
        self.linear = nn.ModuleDict({i: nn.Linear(dim, width) for i, width in modulated.items()})

    def forward(self, x: Float[Tensor, "b r e"]) -> Float[Tensor, "b r d"]:
        """The transformer's last R outputs -> tokens."""
        parts: tuple[Tensor, ...] = x.split(self.layout.counts, 1)
        return self.layout.join([self.linear[i](norm(parts[int(i)])) for i, norm in self.norm.items()])
