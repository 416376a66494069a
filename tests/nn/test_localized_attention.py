"""Localized attention: the published formula where it is defined, and a continuation where it is not."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.nn.attention import attend
from tokenfield.nn.fourier import FrequencyFeature, fourier_features, frequencies
from tokenfield.nn.localized_attention import (
    CUTOFF,
    KEEP,
    LocalizedAggregation,
    LocalizedAttention,
    PositionalQuery,
    above_threshold,
    attend_locally,
)
from tokenfield.nn.token_decoder import SelectiveTokenAggregation

B, H, Q, R, C, E = 2, 3, 7, 11, 5, 6
CUTOFFS = [0.0, CUTOFF, KEEP, 1.0, 1.5, float(R)]
assert_close = partial(torch.testing.assert_close, rtol=0, atol=1e-12)


def random(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64).to(dtype)


def published(scores, threshold):
    """As it is printed; 0 / 0 in a row with nothing above the threshold."""
    weights = scores.softmax(-1)
    excess = torch.clamp(weights, min=threshold) - threshold
    return excess / excess.sum(-1, keepdim=True)


def localized_weights(scores, cutoff):
    """What `attend_locally` multiplies values with."""
    above = above_threshold(scores, cutoff)
    return above / above.sum(-1, keepdim=True)


@pytest.mark.parametrize("threshold", [0.0015, 0.035, 0.06, 0.08])
@pytest.mark.parametrize("temperature", [10.0, 1.0, 0.05])
def test_it_is_the_published_formula_below_the_average_weight(threshold, temperature):
    scores = random(B, H, Q, R) / temperature
    weights = localized_weights(scores, threshold * R)
    assert_close(weights, published(scores, threshold))
    below = scores.softmax(-1) <= threshold
    assert (weights[below] == 0).all() and (weights[~below] > 0).all()


def test_it_is_the_published_formula_above_the_average_where_a_weight_stands_out():
    threshold, scores = 0.25, random(B, H, 31, R)  # 2.75 times the average weight 1 / 11
    clear = scores.softmax(-1).amax(-1) >= threshold / KEEP
    assert 0.2 < clear.double().mean() < 0.9  # both kinds of rows are there
    assert_close(localized_weights(scores, threshold * R)[clear], published(scores, threshold)[clear])
    empty = scores.softmax(-1).amax(-1) <= threshold
    assert published(scores, threshold)[empty].isnan().all() and empty.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("temperature", [1e4, 1.0, 1e-1, 1e-4])
def test_every_row_is_a_mean_with_a_finite_gradient(temperature, cutoff, dtype):
    scores = torch.cat([random(Q, R), torch.zeros(1, R), torch.eye(2, R)]) / temperature
    scores = scores.clamp(-6e4, 6e4).to(dtype).requires_grad_()
    weights = localized_weights(scores, cutoff)
    assert weights.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert (weights >= 0).all() and weights.isfinite().all()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[:, 0]), rtol=0, atol=1e-6)
    assert_close(weights[Q].detach().double(), torch.full((R,), 1 / R, dtype=torch.float64), atol=1e-7)  # no best one
    (gradient,) = torch.autograd.grad((weights * torch.arange(R)).sum(), scores)
    assert gradient.isfinite().all()


@settings(max_examples=30, deadline=None)
@given(cutoff=st.sampled_from(CUTOFFS), seed=st.integers(0, 2**31))
def test_it_is_continuous_with_bounded_derivatives(cutoff, seed):
    # Along a line of scores, through every change of which weights are kept and of whether any is above the threshold.
    ends = 3 * torch.randn(2, R, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    weights = localized_weights(torch.lerp(ends[:1], ends[1:], t), cutoff)
    speed = (ends[1] - ends[0]).abs().max().item() / 4000
    assert weights.diff(dim=0).abs().max().item() < 4 * R / (1 - KEEP) * speed


def test_the_published_formula_jumps_where_this_one_is_continuous():
    # Two weights a hair above the threshold 1 / 2 - h: a' depends on which hair is longer.
    hair = torch.tensor([[1e-9, 0.0], [0.0, 1e-9]], dtype=torch.float64)
    apart = published(hair, 0.5 - 1e-15)
    assert (apart[0] - apart[1]).abs().max() > 0.9
    here = localized_weights(hair, 2 * (0.5 - 1e-15))
    assert (here[0] - here[1]).abs().max() < 1e-7


@pytest.mark.parametrize("cutoff", [CUTOFF, 1.0, 2.5])
def test_gradients_by_finite_differences(cutoff):
    inputs = [random(1, H, 2, C), random(1, H, R, C), random(1, H, R, E)]
    assert torch.autograd.gradcheck(lambda *x: attend_locally(*x, cutoff), [x.requires_grad_() for x in inputs])


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_attending_is_the_weighted_mean_of_values(cutoff):
    query, key, value = random(H, Q, C), random(B, H, R, C), random(B, H, R, E)
    expected = localized_weights(query @ key.mT * C**-0.5, cutoff) @ value
    assert_close(attend_locally(query, key, value, cutoff), expected)
    assert_close(attend_locally(query.expand(B, -1, -1, -1), key, value, cutoff), expected)
    if cutoff == 0:
        assert_close(attend(query, key, value), expected)


@pytest.mark.parametrize("how", ["weights", "autocast"])
@pytest.mark.parametrize("cutoff", CUTOFFS[:3])
def test_bfloat16_keeps_to_the_exact_values(how, cutoff):
    query, key, value = (random(B, H, n, 16, dtype=torch.float32) for n in (Q, 64, 64))
    exact = attend_locally(query, key, value, cutoff)
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        narrow = (x.bfloat16() if how == "weights" else x for x in (query, key, value))
        result = attend_locally(*narrow, cutoff)
    assert ((result.float() - exact).norm() / exact.norm()).item() < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cutoff", [CUTOFF, 1.5, float(R)])
@pytest.mark.parametrize("temperature", [1e3, 1.0, 1e-3])
def test_the_layer_is_finite_and_differentiable_where_nothing_exceeds_the_threshold(temperature, cutoff, dtype):
    """Flat rows (hot, or a query of zeros), rows of one winner (cold); weights, inputs and arithmetic in `dtype`."""
    torch.manual_seed(0)
    layer = LocalizedAttention(token_dim=E, out_dim=E, num_heads=H, head_dim=C, cutoff=cutoff).to(dtype)
    projected = torch.cat([random(Q, H * C) / temperature, torch.zeros(2, H * C)]).to(dtype).requires_grad_()
    tokens = random(B, R, E).to(dtype).requires_grad_()
    scores = layer.queries(projected) @ layer.keys_values(tokens)[0].mT * C**-0.5
    nothing = scores.double().softmax(-1).amax(-1) <= cutoff / R
    assert nothing.any() == (cutoff > 1)  # the case that this is about
    attended = layer(projected, tokens)
    gradients = torch.autograd.grad(attended.square().sum(), [projected, tokens, *layer.parameters()])
    assert attended.dtype == dtype and attended.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    value = layer.keys_values(tokens)[1]  # a mean of the tokens' values lies among them, in any type
    heads = attend_locally(layer.queries(projected), *layer.keys_values(tokens), cutoff)
    low, high, slack = value.amin(-2, keepdim=True), value.amax(-2, keepdim=True), 0.02 * value.abs().amax()
    assert (heads <= high + slack).all() and (heads >= low - slack).all()


def test_a_negative_cutoff_is_refused():
    with pytest.raises(UserError, match="cutoff -1"):
        LocalizedAttention(token_dim=E, out_dim=E, num_heads=1, head_dim=2, cutoff=-1.0)


# --- queries of the positional encoding


def test_the_encoding_is_eq_2_padded_with_zeros():
    query, coords = PositionalQuery(3, 512.0, 16, 4).double(), random(Q, 3)
    gamma = fourier_features(coords, frequencies(512.0, 2, dtype=torch.float64))
    gamma = torch.nn.functional.pad(gamma, (0, 4))  # 2 x 3 x floor(16 / 6) features and 4 zeros
    assert_close(query(coords), query.linear(gamma))


@pytest.mark.parametrize(("in_dim", "width", "features"), [(2, 512, 512), (3, 512, 510), (3, 48, 48), (2, 13, 12)])
def test_how_many_features_fit(in_dim, width, features):
    assert 2 * in_dim * PositionalQuery(in_dim, 1024.0, width, 4).num_frequencies == features


def test_a_width_without_room_is_refused():
    with pytest.raises(UserError, match="at least 6"):
        PositionalQuery(3, 512.0, 5, 4)


@pytest.mark.parametrize(("axes", "width"), [((3, 5), 16), ((3, 5), 18), ((2, 3, 5), 17)])
def test_a_grid_equals_its_points(axes, width):
    query, grid = PositionalQuery(len(axes), 1024.0, width, 4).double(), Grid.cells(*axes).to(torch.float64)
    assert_close(query(grid), query(grid.coords()))
    assert_close(query(grid.coords().expand(B, -1, -1)), query(grid).expand(B, -1, -1))


# --- as an aggregator


def aggregation(cutoff=CUTOFF):
    torch.manual_seed(0)
    attention = LocalizedAttention(token_dim=E, out_dim=8, num_heads=H, head_dim=C, cutoff=cutoff)
    return LocalizedAggregation(PositionalQuery(2, 64.0, 12, H * C), attention).double()


def whole(aggregation, coords, tokens):
    return aggregation.output_map(aggregation.combine(aggregation.locate(coords), aggregation.prepare(tokens)))


def test_it_is_the_layer_after_its_queries():
    aggregator, coords, tokens = aggregation(), random(B, Q, 2), random(B, R, E)
    assert_close(whole(aggregator, coords, tokens), aggregator.attention(aggregator.query(coords), tokens))


def test_tokens_are_a_set_of_any_size():
    aggregator, coords, tokens = aggregation(), random(Q, 2), random(B, R, E)
    assert_close(whole(aggregator, coords, tokens[:, torch.arange(R).flip(0)]), whole(aggregator, coords, tokens))
    # The cutoff counts in units of the average weight: everything said twice is what was said once.
    assert_close(whole(aggregator, coords, torch.cat([tokens, tokens], 1)), whole(aggregator, coords, tokens))


def test_without_a_cutoff_it_is_selective_token_aggregation():
    torch.manual_seed(0)
    theirs = SelectiveTokenAggregation(in_dim=2, dim=8, latent_dim=E, feature_dim=8, sigma_q=16.0, num_heads=2).double()
    query = nn.Sequential(FrequencyFeature(2, 16.0, 8, 8), nn.Linear(8, 8, bias=False))
    ours = LocalizedAggregation(query, LocalizedAttention(token_dim=E, out_dim=8, num_heads=2, head_dim=4, cutoff=0.0))
    query[0], query[1].weight = theirs.query, theirs.attention.q.weight
    ours.attention.k.weight, ours.attention.v.weight = theirs.attention.k.weight, theirs.attention.v.weight
    ours.attention.out = theirs.attention.out
    for projection in (theirs.attention.q, theirs.attention.k, theirs.attention.v):
        nn.init.zeros_(projection.bias)
    grid, tokens = Grid.cells(3, 5).to(torch.float64), random(B, R, E)
    assert_close(whole(ours, grid, tokens), whole(theirs, grid, tokens))
