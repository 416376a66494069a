"""Locality in closed form, and on models whose reach is known."""

import pytest
import torch

from tokenfield.fields.field import Field
from tokenfield.fields.locality import area_holding, influences, place, spread_tokens, without
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import LainrConfig

ANCHORED = AnchoredConfig(
    cell=4, latent_dim=5, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1, head_dim=8, harmonics=8
)
LAINR = LainrConfig(
    size=(10, 10), patch=5, padding=0, num_latents=3, latent_dim=7, encoder_dim=16, encoder_depth=1, encoder_heads=2,
    dim=8, feature_dim=8, sigmas=(8.0, 4.0), sigma_q=2.0, heads=1,
)


def field_of(config, height, width):
    torch.manual_seed(0)
    model = config.build().eval()
    for parameter in model.parameters():  # a fresh head may be exactly zero, and then no token governs anything
        torch.nn.init.normal_(parameter, std=0.2)
    return Field.of(model, torch.rand(3, height, width))


def test_one_pixel_is_its_own_share_of_the_area():
    change = torch.zeros(7, 11)
    change[3, 5] = 0.4
    assert area_holding(change) == pytest.approx(1 / 77)


@pytest.mark.parametrize("height, width", [(5, 8), (30, 50), (10, 1)])
def test_uniform_influence_takes_nine_tenths(height, width):
    assert area_holding(torch.full((height, width), 0.3)) == pytest.approx(0.9)


def test_no_influence_takes_no_area():
    assert area_holding(torch.zeros(3, 5)) == 0


def test_area_is_that_of_the_largest_values_wherever_they_lie():
    """60 + 25 + 5 of 100 are the first 90 %; order, scale and sign of place do not matter."""
    values = torch.tensor([60, 25, 5, 4, 3, 2, 1, 0, 0, 0.0])
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        shuffled = values[torch.randperm(10, generator=generator)].view(2, 5)
        assert area_holding(7e-5 * shuffled) == pytest.approx(0.3)
    assert area_holding(values.view(2, 5), 0.5) == pytest.approx(0.1)
    assert area_holding(values.view(2, 5), 1.0) == pytest.approx(0.7)


@pytest.mark.parametrize("config, tokens", [(ANCHORED, [(0, 0), (2, 1)]), (LAINR, [(0, 1, 2), (1, 0, 0)])])
def test_maps_are_rescaled_differences(config, tokens):
    field = field_of(config, 13, 17)
    before = field.tokens.clone()
    whole = field.render(13, 17)
    for token, influence in zip(tokens, influences(field, tokens, 13, 17), strict=True):
        assert influence.token == token
        assert influence.map.max() == 1 and influence.map.min() >= 0
        zeroed = field.tokens.clone()
        zeroed[token] = 0
        expected = (Field(field.model, zeroed, field.domain).render(13, 17) - whole).abs()
        torch.testing.assert_close(influence.map * influence.largest, expected.mean(0))
        assert 0 < influence.area <= 0.9
    assert torch.equal(field.tokens, before)


def test_an_anchored_token_changes_nothing_beyond_the_model_s_reach():
    field = field_of(ANCHORED, 48, 48)
    (influence,) = influences(field, [(6, 5)], 48, 48)
    reach = field.model.reach + 1
    inside = torch.zeros(48, 48, dtype=torch.bool)
    inside[4 * (6 - reach) : 4 * (7 + reach), 4 * (5 - reach) : 4 * (6 + reach)] = True
    assert influence.map[~inside].max() == 0 and influence.map[inside].max() == 1


def test_a_token_that_is_zero_already_governs_nothing():
    field = without(field_of(ANCHORED, 13, 17), (1, 2))
    (influence,) = influences(field, [(1, 2)], 13, 17)
    assert influence.map.abs().max() == 0 and influence.largest == 0 and influence.area == 0


@pytest.mark.parametrize("config", [ANCHORED, LAINR])
def test_tokens_are_spread_without_repeats_and_are_the_same_for_every_picture(config):
    field = field_of(config, 29, 37)
    sizes = field.tokens.shape[:-1]
    few = spread_tokens(field, 5)
    assert few == spread_tokens(field_of(config, 29, 37), 5)
    assert all(0 <= i < n for token in few for i, n in zip(token, sizes, strict=True))
    everything = spread_tokens(field, 10_000)
    assert len(set(everything)) == len(everything) == sizes.numel()
    assert everything[:5] == few
    halves = {(token[0] * 2 // sizes[0], token[1] * 2 // sizes[1]) for token in spread_tokens(field, 12)}
    assert len(halves) == 4  # every quarter of the picture has one


def test_places_tile_the_picture():
    field = field_of(ANCHORED, 13, 17)
    rows, columns = field.tokens.shape[:2]
    boxes = [place(field, (i, j)) for i in range(rows) for j in range(columns)]
    assert boxes[0][:2] == (-1, -1) and boxes[-1][2:] == (1, 1)
    assert sum((bottom - top) * (right - left) for top, left, bottom, right in boxes) == pytest.approx(4)
