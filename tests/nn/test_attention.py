"""Attention: against the library's own, and what must not change it."""

import pytest
import torch
import torch.nn.functional as F
from tensors import normal
from torch.nn.attention import SDPBackend, sdpa_kernel

from tokenfield.nn.attention import MultiHeadAttention, attend, merge_heads, split_heads

B, H, Q, R, C = 2, 3, 7, 5, 4


def test_heads_are_consecutive_blocks_of_the_width():
    x = normal(B, R, H * C)
    torch.testing.assert_close(split_heads(x, H)[:, 1], x[..., C : 2 * C])
    torch.testing.assert_close(merge_heads(split_heads(x, H)), x)


def test_attend_is_scaled_dot_product_attention():
    q, k, v = normal(B, H, Q, C), normal(B, H, R, C), normal(B, H, R, 2 * C)
    torch.testing.assert_close(attend(q, k, v), F.scaled_dot_product_attention(q, k, v))


def test_narrow_types_take_the_other_way_to_the_same_result():
    q, k, v = (x.bfloat16() for x in (normal(B, H, Q, C), normal(B, H, R, C), normal(B, H, R, C)))
    exact = attend(q.double(), k.double(), v.double())
    narrow = attend(q, k, v)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.double(), exact, rtol=0, atol=0.03)


def test_second_derivatives_on_request():
    q, k, v = normal(B, H, 2, C).requires_grad_(), normal(B, H, 3, C), normal(B, H, 3, C)
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(lambda x: attend(x, k, v), q)


def test_queries_without_a_batch_are_shared():
    q, k, v = normal(H, Q, C), normal(B, H, R, C), normal(B, H, R, C)
    shared = attend(q, k, v)
    for i in range(B):
        torch.testing.assert_close(shared[i], attend(q, k[i], v[i]))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_module_equals_torchs_with_the_same_weights(heads):
    dim, token_dim = 8, 6
    ours = MultiHeadAttention(dim, num_heads=heads, token_dim=token_dim).double()
    theirs = torch.nn.MultiheadAttention(dim, heads, kdim=token_dim, vdim=token_dim, batch_first=True).double()
    with torch.no_grad():
        for name, layer in (("q", ours.q), ("k", ours.k), ("v", ours.v)):
            getattr(theirs, f"{name}_proj_weight").copy_(layer.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.q.bias, ours.k.bias, ours.v.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, tokens = normal(B, Q, dim), normal(B, R, token_dim)
    torch.testing.assert_close(ours(query, tokens), theirs(query, tokens, tokens)[0])


def test_token_order_is_irrelevant():
    attention = MultiHeadAttention(8, num_heads=2).double()
    query, tokens = normal(B, Q, 8), normal(B, R, 8)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(attention(query, tokens[:, order]), attention(query, tokens))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="8 is no multiple of 3"):
        MultiHeadAttention(8, num_heads=3)
