"""The local start on the sphere: before training a token serves its share of the Earth's surface."""

from dataclasses import replace

import pytest
import torch

from tokenfield.earth.models import GriddedAnrConfig, GriddedLainrConfig, Variable
from tokenfield.earth.sphere import LatLon
from tokenfield.models.anr import AnrConfig
from tokenfield.models.lainr import LainrConfig

LAINR = LainrConfig(size=(20, 40), patch=5, padding=0, num_latents=17, latent_dim=48, encoder_dim=80, encoder_depth=1,
                    encoder_heads=2, dim=144, feature_dim=96, sigmas=(8.0, 4.0), sigma_q=6.0,
                    start="local")  # fmt: skip
ANR = AnrConfig(size=(20, 40), patch=5, padding=0, num_latents=17, dim=96, encoder_dim=80, encoder_depth=1,
                decoder_depth=1, encoder_heads=2, encoder_head_dim=40, encoder_hidden=80, heads=1, head_dim=96, depth=2,
                sigma=16.0, start="local")  # fmt: skip
VARIABLES = (Variable("t", "K"),)
CONFIGS = {
    "LAINR": GriddedLainrConfig(lainr=LAINR, variables=VARIABLES),
    "ANR": GriddedAnrConfig(anr=ANR, variables=VARIABLES),
    "LAINR, plain grid": GriddedLainrConfig(lainr=LAINR, variables=VARIABLES, coordinates="plane"),
}


def samples():
    torch.manual_seed(2)
    fields = torch.nn.functional.interpolate(torch.rand(6, 1, 5, 10), (20, 40), mode="bilinear")
    return {"inputs": fields, "covered": torch.ones_like(fields), "mean": fields.mean((2, 3)),
            "deviation": fields.std((2, 3))}  # fmt: skip


@torch.no_grad()
def share(model) -> float:
    """R times the mean share of the Earth that holds 90 % of what a token's absence changes, weighted by area."""
    snapshots, grid = samples(), LatLon.globe(30, 60)
    images, _, _ = model.inputs(snapshots["inputs"], snapshots["covered"], snapshots["mean"], snapshots["deviation"])
    tokens, where = model.encode(images[:1]), model.place(grid.places()).float()
    whole, areas, shares = model.decode(tokens, where), grid.areas.flatten(), []
    for k in range(tokens.shape[1]):
        without = tokens.clone()
        without[:, k] = 0
        change = (model.decode(without, where) - whole).abs().mean(-1)[0]
        order = change.argsort(descending=True)
        reached = (change * areas)[order].cumsum(0)
        shares.append(float(areas[order][reached < 0.9 * reached[-1]].sum()))
    return tokens.shape[1] * sum(shares) / len(shares)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_token_serves_its_share_of_the_earth(config):
    torch.manual_seed(0)
    model = config.build()
    assert model.initial_pictures
    before = share(model)
    model.initialize(samples())
    assert share(model) < 4 < before


def test_longitude_zero_is_no_border():
    """A token near the meridian of 0 serves both sides of it."""
    torch.manual_seed(0)
    model = CONFIGS["LAINR"].build()
    model.initialize(samples())
    tokens = torch.rand(1, 17, 48)
    west, east = (model.place(torch.tensor([[10.0, longitude]])) for longitude in (359.99, 0.01))
    weights = [model.attention(tokens, where) for where in (west, east)]
    torch.testing.assert_close(*weights, atol=1e-2, rtol=1e-2)


def test_other_starts_take_no_samples():
    assert not replace(CONFIGS["LAINR"], lainr=replace(LAINR, start="small")).build().initial_pictures
