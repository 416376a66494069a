"""Pre-norm transformer blocks (the encoder of both papers)."""

from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.attention import MultiHeadAttention


class FeedForward(nn.Sequential):
    """linear -> GELU -> linear, `hidden` wide in the middle."""

    def __init__(self, dim: int, hidden: int):
        super().__init__(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class Block(nn.Module):
    """x + Attention(LN x), then x + FeedForward(LN x).

    The feed-forward part is `hidden` wide in the middle, by default `mlp_ratio` times `dim`. In training, a share
    `dropout` of what both parts add is left out.
    """

    def __init__(self, dim: int, *, num_heads: int, mlp_ratio: float = 4.0, hidden: int | None = None,
                 head_dim: int | None = None, bias: bool = True, dropout: float = 0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, num_heads=num_heads, head_dim=head_dim, bias=bias)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, hidden or int(dim * mlp_ratio))

    def forward(self, x: Float[Tensor, "b r d"], keep: int | None = None) -> Float[Tensor, "b k d"]:
        """Transform all tokens, or only the last `keep` of them.

        Every token serves as key and value either way, so these outputs are exact: the last block of an encoder
        whose caller reads R latents need not compute the outputs of the data tokens.
        """
        normed = self.norm1(x)
        start = 0 if keep is None else x.shape[1] - keep
        x = x[:, start:] + self.drop(self.attention(normed[:, start:], normed))
        changed: Tensor = x + self.drop(self.mlp(self.norm2(x)))
        return changed


class Transformer(nn.Module):
    """`depth` blocks, one after the other; a final norm is the caller's affair."""

    def __init__(self, dim: int, *, depth: int, num_heads: int, mlp_ratio: float = 4.0, dropout: float = 0.0):
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(dim, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout) for _ in range(depth)
        )

    def forward(self, x: Float[Tensor, "b r d"], keep: int | None = None) -> Float[Tensor, "b k d"]:
        """All tokens through all blocks; the last block computes only the last `keep` outputs."""
        for block in self.blocks[:-1]:
            x = block(x)
        return self.blocks[-1](x, keep) if self.blocks else x[:, -(keep or x.shape[1]) :]
