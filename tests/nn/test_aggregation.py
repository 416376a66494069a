"""Selective token aggregation: Eq. 4-5, its three parts, and its indifference to the order of tokens."""

import pytest
import torch
from tensors import normal

from tokenfield.coords import Grid
from tokenfield.nn.token_decoder import SelectiveTokenAggregation

B, R, E, DIM = 3, 5, 6, 8


def make(in_dim=2, heads=2):
    torch.manual_seed(0)
    options = {"in_dim": in_dim, "dim": DIM, "latent_dim": E, "feature_dim": 4 * in_dim, "sigma_q": 16.0}
    return SelectiveTokenAggregation(**options, num_heads=heads).double()


def whole(aggregation, coords, tokens):
    return aggregation.output_map(aggregation.combine(aggregation.locate(coords), aggregation.prepare(tokens)))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_it_is_attention_of_the_frequency_feature(heads):
    aggregation, coords, tokens = make(heads=heads), normal(B, 7, 2), normal(B, R, E)
    expected = aggregation.attention(aggregation.query(coords), tokens)
    torch.testing.assert_close(whole(aggregation, coords, tokens), expected)


def test_shared_coordinates_equal_repeated_ones():
    aggregation, coords, tokens = make(), normal(7, 2), normal(B, R, E)
    repeated = whole(aggregation, coords.expand(B, -1, -1), tokens)
    torch.testing.assert_close(whole(aggregation, coords, tokens), repeated)


def test_a_grid_equals_its_points():
    aggregation, tokens, grid = make(), normal(B, R, E), Grid.cells(3, 5).to(torch.float64)
    torch.testing.assert_close(whole(aggregation, grid, tokens), whole(aggregation, grid.coords(), tokens))


def test_tokens_are_a_set():
    aggregation, coords, tokens = make(), normal(7, 2), normal(B, R, E)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(whole(aggregation, coords, tokens[:, order]), whole(aggregation, coords, tokens))
    # Any number of them: saying everything twice changes no weighted mean.
    doubled = torch.cat([tokens, tokens], 1)
    torch.testing.assert_close(whole(aggregation, coords, doubled), whole(aggregation, coords, tokens))


def test_float32_tokens_meet_bfloat16_weights():
    aggregation = make().bfloat16()
    m = aggregation.combine(aggregation.locate(Grid.cells(3, 5)), aggregation.prepare(normal(B, R, E).float()))
    assert m.dtype == torch.bfloat16
