"""LAINR written plainly, as public code of its kind is: the alternative that every benchmark runs beside ours.

Coordinates are repeated for every instance, Fourier features are computed for every coordinate of every instance,
attention scores are materialised, every block of the encoder computes every token, each linear map of Eq. 2 to 9 is
one product per coordinate, and all coordinates are decoded at once. Nothing here is made slow on purpose: no Python
loops over samples, default `nn.Linear` initialisation, the phases elementwise in float32.

Parameters carry the names of `tokenfield.models.lainr.Lainr`, so `Reference.of(model)` has the same weights and must
give the same values; that comparison is part of every benchmark that uses it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenfield.models.lainr import Lainr, LainrConfig

OUTPUT_BIAS = 0.5


class Attention(nn.Module):
    """Multi-head attention with its scores written to memory."""

    def __init__(self, dim: int, heads: int, token_dim: int):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(token_dim, dim), nn.Linear(token_dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """(B, Q, D), (B, R, E) -> (B, Q, D)."""
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (self.q(query), self.k(tokens), self.v(tokens))
        )  # (B, H, ., D / H)
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)  # (B, H, Q, R)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), Attention(dim, heads, dim)
        self.norm2, hidden = nn.LayerNorm(dim), int(dim * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        normed = self.norm1(x)
        x = x + self.attention(normed, normed)
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """Patches and learnable tokens through all blocks; the last R outputs are the latents. (3.2)"""

    def __init__(self, config: LainrConfig):
        super().__init__()
        dim, patch = config.encoder_dim, config.patch
        self.patch, self.padding = patch, config.padding
        rows, columns = ((side + 2 * config.padding) // patch for side in config.size)
        self.embed = nn.Linear(config.channels * patch**2, dim)
        self.position = nn.Parameter(torch.zeros(rows * columns, dim))
        self.latents = nn.Parameter(torch.zeros(config.num_latents, dim))
        self.transformer = nn.Module()  # only for the names of the parameters
        self.transformer.blocks = nn.ModuleList(
            Block(dim, config.encoder_heads, config.mlp_ratio) for _ in range(config.encoder_depth)
        )
        self.norm, self.out = nn.LayerNorm(dim), nn.Linear(dim, config.latent_dim)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, R, D)."""
        patches = F.unfold(images, self.patch, padding=self.padding, stride=self.patch).transpose(1, 2)
        tokens = torch.cat([self.embed(patches) + self.position, self.latents.repeat(len(images), 1, 1)], 1)
        for block in self.transformer.blocks:
            tokens = block(tokens)
        return self.out(self.norm(tokens[:, -len(self.latents) :]))


class Feature(nn.Module):
    """h_F of Eq. 3 at every coordinate of every instance."""

    def __init__(self, sigma: float, feature_dim: int, out_dim: int, in_dim: int = 2):
        super().__init__()
        n = feature_dim // (2 * in_dim)
        self.register_buffer("omega", sigma ** (torch.arange(n) / (n - 1)), persistent=False)
        self.linear = nn.Linear(2 * in_dim * n, out_dim)

    def forward(self, coords: Tensor) -> Tensor:
        """(B, Q, X) -> (B, Q, D)."""
        phase = (math.pi * coords[..., None] * self.omega).flatten(-2)
        return F.relu(self.linear(torch.cat([phase.cos(), phase.sin()], -1)))


class Decoder(nn.Module):
    """Eq. 4-9, one linear map after the other."""

    def __init__(self, config: LainrConfig):
        super().__init__()
        dim = config.dim
        self.aggregator, self.head = nn.Module(), nn.Module()  # only for the names of the parameters
        self.aggregator.query = Feature(config.sigma_q, config.feature_dim, dim)
        self.aggregator.attention = Attention(dim, config.heads, config.latent_dim)
        self.head.frequency = nn.ModuleList(Feature(sigma, config.feature_dim, dim) for sigma in config.sigmas)
        self.head.modulate = nn.ModuleList(nn.Linear(dim, dim) for _ in config.sigmas)
        self.head.compose = nn.ModuleList(nn.Linear(dim, dim) for _ in config.sigmas[1:])
        self.head.out = nn.ModuleList(nn.Linear(dim, config.channels) for _ in config.sigmas)

    def forward(self, tokens: Tensor, coords: Tensor) -> Tensor:
        """(B, R, D), (B, Q, X) -> (B, Q, C)."""
        head = self.head
        m = self.aggregator.attention(self.aggregator.query(coords), tokens)  # Eq. 4-5
        bands = [F.relu(f(coords) + w(m)) for f, w in zip(head.frequency, head.modulate, strict=True)]  # Eq. 6-7
        hidden = [bands[0]]
        for band, layer in zip(bands[1:], head.compose, strict=True):
            hidden.append(F.relu(layer(band + hidden[-1])))  # Eq. 8
        return sum(out(h) for out, h in zip(head.out, hidden, strict=True)) + OUTPUT_BIAS  # Eq. 9


class Reference(nn.Module):
    """The plain model. Supports the paper's own composition, not the ablations."""

    def __init__(self, config: LainrConfig):
        super().__init__()
        self.encoder, self.decoder = Encoder(config), Decoder(config)

    @classmethod
    def of(cls, model: Lainr) -> "Reference":
        """The reference with copies of `model`'s weights."""
        reference = cls(model.config)
        reference.load_state_dict(model.state_dict(), strict=True)
        return reference

    def encode(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, R, D)."""
        return self.encoder(images)

    def decode(self, tokens: Tensor, coords: Tensor, chunk: int | None = None) -> Tensor:
        """(B, R, D) at the coordinates (B, Q, X) -> (B, Q, C), whole or in chunks of coordinates."""
        return torch.cat([self.decoder(tokens, part) for part in coords.split(chunk or coords.shape[1], 1)], 1)


def pixel_coords(
    batch: int, height: int, width: int, *, noise: bool = False, device: torch.device | str = "cpu"
) -> Tensor:
    """Pixel centres in [-1, 1], (y, x), repeated per instance; with `noise`, uniform within each pixel. (B, Q, 2)"""
    axes = [-1 + (2 * torch.arange(n, device=device) + 1) / n for n in (height, width)]
    coords = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1).repeat(batch, 1, 1)
    if noise:
        coords = coords + (torch.rand_like(coords) * 2 - 1) / coords.new_tensor([height, width])
    return coords


def num_points(size: tuple[int, int], fraction: float) -> int:
    """Coordinates per picture of a step."""
    return round(fraction * size[0] * size[1])


def step(model: Reference, optimizer: torch.optim.Optimizer, images: Tensor, fraction: float = 1.0) -> Tensor:
    """One training step on all pixels, or on a random part of each instance's own; the loss."""
    coords = pixel_coords(len(images), *images.shape[-2:], noise=True, device=images.device)
    target = images.flatten(2).transpose(1, 2)  # (B, Q, C)
    if fraction < 1:
        count = num_points(images.shape[-2:], fraction)
        index = torch.stack([torch.randperm(coords.shape[1], device=images.device)[:count] for _ in images])[..., None]
        coords, target = (x.gather(1, index.expand(-1, -1, x.shape[-1])) for x in (coords, target))
    loss = F.mse_loss(model.decode(model.encode(images), coords), target)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()
