"""Attention weights: they are means over tokens, and decoding with them gives what the model gives."""

from dataclasses import replace

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.hyponet_field import IpcConfig
from tokenfield.models.lainr import LainrConfig, LocalizedLainrConfig
from tokenfield.models.learned_init import LearnedInitConfig
from tokenfield.models.pca_mixture import PcaMixtureConfig

LAINR = LainrConfig(
    size=(10, 10), patch=5, padding=0, num_latents=7, latent_dim=5, encoder_dim=16, encoder_depth=1, encoder_heads=2,
    dim=12, feature_dim=8, sigmas=(8.0, 4.0), sigma_q=2.0, heads=3,
)
ANR = AnrConfig(
    size=(10, 10), patch=5, padding=0, num_latents=11, dim=12, encoder_dim=16, encoder_depth=1, decoder_depth=1,
    encoder_heads=2, encoder_head_dim=8, encoder_hidden=16, heads=2, head_dim=4, depth=2, cutoff=0.9,
)
ANCHORED = AnchoredConfig(
    cell=5, latent_dim=5, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1, head_dim=8, harmonics=8
)
SWITCHED = PcaMixtureConfig(cell=5, codes=3, prefixes=(2, 5), harmonics=8, sharpness=2.0, rounds=2)
WITH = {"lainr": LAINR, "anr": ANR, "localized": LocalizedLainrConfig(LAINR, cutoff=0.9), "anchored": ANCHORED}
HEADS = {"lainr": 3, "anr": 2, "localized": 3, "anchored": 1}


def lattice(side):
    """Centres of side x side cells, row-major."""
    return Grid.cells(side, side).coords()


def setting(config):
    torch.manual_seed(0)
    model = config.build().eval().double()
    for parameter in model.parameters():  # fresh tokens are nearly alike, and weights then nearly equal
        torch.nn.init.normal_(parameter, std=0.5)
    tokens = model.encode(torch.rand(1, 3, 10, 10, dtype=torch.float64))
    return model, tokens


@pytest.mark.parametrize("name", WITH)
@torch.no_grad()
def test_every_row_is_a_mean_over_the_tokens(name):
    model, tokens = setting(WITH[name])
    weights = model.attention(tokens, lattice(9).double())
    assert weights.shape == (HEADS[name], 81, tokens[..., 0].numel())
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert weights.std(1).max() > 1e-3  # pixels differ


@pytest.mark.parametrize("name", ["lainr", "anr", "localized"])
@torch.no_grad()
def test_weights_times_values_is_what_is_decoded(name):
    model, tokens = setting(WITH[name])
    coords, aggregator = lattice(6).double(), model.decoder.aggregator
    weights = model.attention(tokens, coords)
    key, value = aggregator.prepare(tokens)
    attended = (weights @ value[0]).transpose(0, 1).flatten(1)  # (Q, H c)
    torch.testing.assert_close(attended, aggregator.combine(aggregator.locate(coords), (key, value))[0])


@torch.no_grad()
def test_tokens_below_the_threshold_have_exactly_zero():
    model, tokens = setting(ANR)
    weights = model.attention(tokens, lattice(9).double())
    assert 0.05 < (weights == 0).double().mean() < 1
    plain = setting(replace(ANR, cutoff=0.0))
    assert (plain[0].attention(plain[1], lattice(9).double()) > 0).all()


@pytest.mark.parametrize("config", [ANCHORED, SWITCHED], ids=["anchored", "switched"])
@torch.no_grad()
def test_anchored_weights_are_those_of_the_four_nearest_anchors(config):
    model = setting(config)[0] if config is ANCHORED else config.build().eval()
    if config is SWITCHED:
        model.initialize(torch.rand(30, 3, 20, 15))
    model = model.float()
    tokens = model.encode(torch.rand(1, 3, 20, 15))  # 4 x 3 anchors
    coords = torch.tensor([[-1.0, -1.0], [0.1, 0.2], [0.9, -0.3]])
    weights = model.attention(tokens, coords)[0].view(3, 4, 3)
    assert weights[0, 0, 0] == pytest.approx(1)  # a corner has one neighbour on the lattice
    places = (coords + 1) / 2 * torch.tensor([4, 3]) - 0.5
    for place, row in zip(places, weights, strict=True):
        for i, j in row.nonzero().tolist():
            assert abs(i - place[0]) < 1 and abs(j - place[1]) < 1
    values = model.decode(tokens, coords)[0] - 0.5
    located = model.locate(coords, (4, 3))
    local = model.local(located, model.prepare(tokens))[0, ..., :-1]  # (4, Q, C)
    for q in range(1, 3):
        y, x = int(located.y.lower[q]), int(located.x.lower[q])
        near = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)]
        pixels = [(k, at) for k, at in enumerate(near) if 0 <= at[0] < 4 and 0 <= at[1] < 3]
        expected = sum(weights[q, *at] * local[k, q] for k, at in pixels)
        torch.testing.assert_close(expected, values[q], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [
    IpcConfig(size=(10, 10), patch=5, padding=0, num_latents=7, encoder_dim=16, encoder_depth=1, encoder_heads=2,
              dim=8, feature_dim=8),
    LearnedInitConfig(size=(10, 10), dim=8, feature_dim=8),
])
def test_systems_whose_tokens_are_weights_have_none(config):
    model = config.build().eval()
    tokens = model.encode(torch.rand(1, 3, 10, 10)).detach()
    assert model.attention(tokens, lattice(3)) is None
