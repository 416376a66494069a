"""Multi-head attention, the usual one, with its four projections apart, so that callers project each side once.

Below it pre-norm transformer blocks, the encoder of both papers.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from tokenfield.errors import UserError


class _Once:
    """How many `differentiated_once` are entered, in whatever thread: an accelerator's backward pass has its own."""

    entered = 0


@contextmanager
def differentiated_once() -> Iterator[None]:
    """While entered, attention may take kernels that cannot be differentiated twice: what training steps need.

    Elsewhere, where gradients are recorded, they can be differentiated again: Laplacians, Hessian-vector products,
    `torch.func`, penalties on gradients and steps through steps work. Where none are recorded nothing is lost.
    """
    _Once.entered += 1
    try:
        yield
    finally:
        _Once.entered -= 1


def fitting_kernel() -> AbstractContextManager[None]:
    """For networks of other libraries: `scaled_dot_product_attention` that can be differentiated as often as needed."""
    twice = torch.is_grad_enabled() and not _Once.entered
    return cast(AbstractContextManager[None], sdpa_kernel(SDPBackend.MATH)) if twice else nullcontext()


def attend(query: Float[Tensor, "*shared h q c"], key: Float[Tensor, "*b h r c"],
           value: Float[Tensor, "*b h r e"]) -> Float[Tensor, "*b h q e"]:
    """softmax(query key^T / sqrt(c)) value; queries without a batch axis are shared by all instances.

    The fused kernel never writes the (q, r) scores to memory, which halves what a training step of the encoder holds.
    It knows no second derivatives (see `differentiated_once`), and narrow types on a CPU are slower in it than in two
    plain products.
    """
    narrow = query.device.type == "cpu" and query.dtype in (torch.bfloat16, torch.float16)
    if narrow or (torch.is_grad_enabled() and not _Once.entered):
        scores = query @ (key * key.shape[-1] ** -0.5).transpose(-1, -2)  # (..., H, Q, R); keys are the fewer to scale
        attended: Tensor = scores.softmax(-1, dtype=scores.dtype) @ value
        return attended
    return F.scaled_dot_product_attention(query.expand(*key.shape[:-2], -1, -1), key, value)


def split_heads(x: Float[Tensor, "*b r d"], num_heads: int) -> Float[Tensor, "*b h r c"]:
    """(..., R, D) -> (..., H, R, D / H); heads are consecutive blocks of the width."""
    heads: Tensor = x.unflatten(-1, (num_heads, -1))
    return heads.transpose(-2, -3)


def merge_heads(x: Float[Tensor, "*b h r c"]) -> Float[Tensor, "*b r d"]:
    """The inverse of `split_heads`."""
    return x.transpose(-2, -3).flatten(-2)


class MultiHeadAttention(nn.Module):
    """MultiHeadAttention(query, key, value) of Eq. 5 with its q, k, v and out projections.

    Queries and the result are `dim` wide, and so are tokens by default. There are H heads of c numbers, by default
    c = `dim` / H. The result always has a bias. Without `project_queries` queries are projected already, H c wide.
    """

    def __init__(self, dim: int, *, num_heads: int, token_dim: int | None = None, head_dim: int | None = None,
                 bias: bool = True, project_queries: bool = True):
        super().__init__()
        if head_dim is None and dim % num_heads:
            raise UserError(f"width {dim} is no multiple of {num_heads} heads")
        self.num_heads = num_heads
        inner, token_dim = num_heads * (head_dim or dim // num_heads), token_dim or dim
        self.q = cast(nn.Linear, nn.Linear(dim, inner, bias=bias) if project_queries else nn.Identity())
        self.k = nn.Linear(token_dim, inner, bias=bias)
        self.v = nn.Linear(token_dim, inner, bias=bias)
        self.out = nn.Linear(inner, dim)

    def queries(self, x: Float[Tensor, "*b q d"]) -> Float[Tensor, "*b h q c"]:
        """Projected queries, one row of heads per input row."""
        return split_heads(self.q(x), self.num_heads)

    def keys_values(self, tokens: Float[Tensor, "b r e"]) -> tuple[Float[Tensor, "b h r c"], Float[Tensor, "b h r c"]]:
        """Projected keys and values of the tokens."""
        return split_heads(self.k(tokens), self.num_heads), split_heads(self.v(tokens), self.num_heads)

    def attend(self, query: Float[Tensor, "*shared h q c"], key: Float[Tensor, "b h r c"],
               value: Float[Tensor, "b h r e"]) -> Float[Tensor, "b h q e"]:
        """Weighted means of the values."""
        return attend(query, key, value)

    def forward(self, query: Float[Tensor, "*shared q d"], tokens: Float[Tensor, "b r e"]) -> Float[Tensor, "b q o"]:
        """Attend from `query`, of every instance or shared by all, to `tokens`."""
        result: Tensor = self.out(merge_heads(self.attend(self.queries(query), *self.keys_values(tokens))))
        return result


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
