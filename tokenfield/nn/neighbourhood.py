"""Transformer blocks on a lattice of tokens, where every token sees only its neighbours.

Attention within a window of (2 radius + 1)^2 cells around each token, with a learned bias per head and relative place:
cost is linear in the picture's area, the same weights serve every height and width, and a token depends on nothing
farther away than depth x radius cells, so a crop's interior tokens equal the whole picture's.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.nn.attention import FeedForward


def shifted(x: Tensor, radius: int) -> list[Tensor]:
    """The lattice as seen by each token's neighbours: (2 radius + 1)^2 views of (B, rows, cols, ...), zero outside."""
    rows, columns = x.shape[1:3]
    x = F.pad(x, [0, 0] * (x.ndim - 3) + [radius] * 4)
    offsets = range(2 * radius + 1)
    return [x[:, i : i + rows, j : j + columns] for i in offsets for j in offsets]


class NeighbourhoodAttention(nn.Module):
    """softmax over the neighbours, `radius` cells on each side, of (q . k / sqrt(c) + bias); heads side by side."""

    def __init__(self, dim: int, *, num_heads: int, radius: int = 1):
        super().__init__()
        if dim % num_heads:
            raise UserError(f"width {dim} is no multiple of {num_heads} heads")
        self.num_heads, self.radius = num_heads, radius
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.bias = nn.Parameter(torch.zeros(num_heads, (2 * radius + 1) ** 2))

    def forward(self, x: Float[Tensor, "b m n d"]) -> Float[Tensor, "b m n d"]:
        """One lattice of tokens (B, rows, columns, D) to another."""
        q, k, v = (layer(x).unflatten(-1, (self.num_heads, -1)) for layer in (self.q, self.k, self.v))
        q = q * q.shape[-1] ** -0.5  # (B, M, N, H, c)
        scores = torch.stack([(q * near).sum(-1) for near in shifted(k, self.radius)], -1) + self.bias
        inside = torch.stack(shifted(x.new_ones(1, *x.shape[1:3], 1), self.radius), -1)  # (1, M, N, 1, neighbours)
        weights = scores.masked_fill(inside == 0, -torch.inf).softmax(-1)  # (B, M, N, H, neighbours)
        pairs = zip(weights.unbind(-1), shifted(v, self.radius), strict=True)
        x = self.out(reduce(torch.add, (weight.unsqueeze(-1) * near for weight, near in pairs)).flatten(-2))
        return x


class NeighbourhoodBlock(nn.Module):
    """x + NeighbourhoodAttention(LN x), then x + FeedForward(LN x)."""

    def __init__(self, dim: int, *, num_heads: int, radius: int, mlp_ratio: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = NeighbourhoodAttention(dim, num_heads=num_heads, radius=radius)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, int(dim * mlp_ratio))

    def forward(self, x: Float[Tensor, "b m n d"]) -> Float[Tensor, "b m n d"]:
        """One lattice of tokens to another."""
        x = x + self.attention(self.norm1(x))
        changed: Tensor = x + self.mlp(self.norm2(x))
        return changed


class NeighbourhoodTransformer(nn.Sequential):
    """`depth` blocks; a token depends on `reach` = depth x radius cells around it."""

    def __init__(self, dim: int, *, depth: int, num_heads: int, radius: int, mlp_ratio: float):
        super().__init__(
            *(NeighbourhoodBlock(dim, num_heads=num_heads, radius=radius, mlp_ratio=mlp_ratio) for _ in range(depth))
        )
        self.reach = depth * radius
