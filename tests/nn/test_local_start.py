"""The local start: only initial values differ, and a token serves its share of the picture before the first step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.reference import Reference
from tokenfield.coords import Grid, centers
from tokenfield.data import DataConfig
from tokenfield.errors import UserError
from tokenfield.evaluation.locality import area_holding
from tokenfield.models.lainr import LainrConfig, LocalizedLainrConfig
from tokenfield.nn.fourier import frequencies
from tokenfield.nn.local_start import Anchors, bump_weights, place_anchors
from tokenfield.training import Recipe, train
from tokenfield.training import trainer as loop

SIZES = LainrConfig(
    size=(32, 32),
    patch=8,
    padding=0,
    num_latents=16,
    latent_dim=24,
    encoder_dim=48,
    encoder_depth=2,
    encoder_heads=2,
    dim=96,
    feature_dim=64,
    sigmas=(23.0, 6.0),
    sigma_q=3.0,
    heads=2,
    start="local",
)

OTHERS = {
    "as many as patches": {},
    "three heads": {"heads": 3},
    "no square": {"num_latents": 12},
    "a prime": {"num_latents": 13},
    "more than patches": {"num_latents": 36, "sigma_q": 5.0},
    "fewer than patches": {"patch": 4},
    "patches of another lattice": {"size": (35, 35), "patch": 7},
    "padding": {"size": (30, 30), "padding": 1},
    "no squares": {"size": (24, 48), "num_latents": 18},
    "narrow heads of the encoder": {"encoder_heads": 12},
    "one block": {"encoder_depth": 1},
    "w/o linear Eq. 6": {"dim": 64, "linear_frequency": False},
    "w/o multiFM": {"plain_depth": 2},
}


def pictures(size: tuple[int, int]) -> torch.Tensor:
    """Four pictures of smooth noise in [0, 1]."""
    noise = torch.rand(4, 3, size[0] // 2, size[1] // 2, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(noise, size, mode="bilinear", antialias=False)


def started(config: LainrConfig, seed: int = 0):
    """A model with its initial weights, as a run makes them."""
    torch.manual_seed(seed)
    model = config.build()
    if model.initial_pictures:
        model.initialize(pictures(config.size))
    return model


@torch.no_grad()
def area(model) -> float:
    """Mean over tokens of the share of the picture that holds 90 % of what a token's absence changes."""
    grid, tokens = Grid.cells(*model.input_size), model.encode(pictures(model.input_size)[:1])
    whole, changed = model.decode(tokens, grid), []
    for k in range(tokens.shape[1]):
        without = tokens.clone()
        without[:, k] = 0
        changed.append(area_holding((model.decode(without, grid) - whole).abs().mean(-1).view(grid.shape)))
    return sum(changed) / len(changed)


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_a_token_serves_its_share_of_the_picture(changes):
    config = replace(SIZES, **changes)
    assert area(started(config)) * config.num_latents < 2
    assert area(started(replace(config, start="small"))) > 0.25  # what it is without


@pytest.mark.parametrize("start", ["published", "small"])
def test_names_shapes_and_count_are_those_of_the_other_starts(start):
    local, other = started(SIZES).state_dict(), started(replace(SIZES, start=start)).state_dict()
    assert {name: value.shape for name, value in local.items()} == {name: v.shape for name, v in other.items()}
    other_model = replace(SIZES, start=start).build()
    other_model.load_state_dict(local, strict=True)  # the code of another start takes these weights


def test_published_tokens_and_positions_have_unit_variance():
    encoder = started(replace(SIZES, start="published", num_latents=64)).encoder
    assert encoder.latents.std().item() == pytest.approx(1, abs=0.05)
    assert started(replace(SIZES, start="small", num_latents=64)).encoder.latents.std().item() < 0.03


def test_the_seed_decides_the_weights():
    one, same, other = (started(SIZES, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.latents"], other["encoder.latents"])


def test_it_draws_nothing():
    torch.manual_seed(5)
    model = SIZES.build()
    before = torch.get_rng_state()
    model.initialize(pictures(SIZES.size))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_resumed_run_is_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "draw_curve", lambda *_: None)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(pictures((40, 40))):
        Image.fromarray(np.uint8(255 * image.permute(1, 2, 0).numpy())).save(folder / f"{number}.png")
    data = DataConfig(layout="folder", size=32, crop="random_flip", holdout=0.0)
    recipe = Recipe(name="local", model=SIZES, data=data, steps=4, batch_size=2, evaluate_every=0, checkpoint_every=2)
    options = {"device": "cpu", "workers": 0, "quiet": True}
    whole = train(recipe, folder, tmp_path / "whole", **options)
    part = train(recipe, folder, tmp_path / "part", max_seconds=0.0, **options)
    train(None, folder, part, resume=True, **options)
    one, other = load_file(whole / "model.safetensors"), load_file(part / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def test_the_equations_are_the_published_ones():
    model = started(SIZES)
    images, grid = pictures(SIZES.size), Grid.cells(*SIZES.size)
    plain = Reference.of(model)  # Eq. 2-9 written plainly, by the same weights
    torch.testing.assert_close(plain.encode(images), model.encode(images), rtol=1e-4, atol=1e-4)
    expected = plain.decode(plain.encode(images), grid.coords().expand(len(images), -1, -1))
    torch.testing.assert_close(model.decode(model.encode(images), grid), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_query_is_a_set_of_fourier_features_and_a_score_a_bump():
    model = started(SIZES)
    grid = Grid.cells(*SIZES.size)
    query = model.decoder.aggregator.locate(grid)  # (H, Q, c)
    parts = query.shape[-1] // 4 * 4
    power = query[..., :parts].square().sum(-1)  # of cos^2 + sin^2
    torch.testing.assert_close(power, torch.full_like(power, parts / 2))
    key, _ = model.decoder.aggregator.prepare(model.encode(pictures(SIZES.size)))
    weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean((0, 1))  # (Q, R)
    places = place_anchors(16, (4, 4), 1.0).places
    nearest = (grid.coords()[:, None] - places).square().sum(-1).argmin(-1)
    assert (weights.argmax(-1) == nearest).float().mean() > 0.85


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 13, 47, 48, 60, 64, 250, 256, 400])
@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_anchors_share_the_picture_equally(count, aspect):
    anchors = place_anchors(count, (3, 3), aspect)
    assert len(anchors.places) == len(anchors.codes) == count
    assert len(anchors.codes.unique(dim=0)) == count  # told apart
    torch.testing.assert_close(anchors.code(anchors.places), anchors.code(anchors.places).clamp(0, 1))
    assert ((anchors.code(anchors.places) - anchors.codes) >= -1e-4).all()  # own row, own column
    edges = torch.tensor([0, *anchors.counts]).cumsum(0) / count
    heights = edges[1:] - edges[:-1]
    torch.testing.assert_close(heights / torch.tensor(anchors.counts), torch.full_like(heights, 1 / count))


def test_rows_are_alike_where_a_nearly_square_lattice_allows_it():
    assert place_anchors(256, (20, 20), 1.0).counts == (16,) * 16
    assert place_anchors(48, (8, 8), 1.0).counts in ((8,) * 6, (6,) * 8)
    assert place_anchors(60, (6, 10), 0.6).counts == (10,) * 6  # the patches' own
    assert place_anchors(7, (3, 3), 1.0).counts == (2, 2, 3)
    assert place_anchors(18, (3, 6), 0.5).counts == (6,) * 3


def test_codes_between_two_anchors_are_interpolated():
    anchors = Anchors((2, 2))
    halfway = anchors.code(torch.tensor([[0.0, -0.25], [-0.9, 0.5]]))
    torch.testing.assert_close(halfway, torch.tensor([[0.5, 0.5, 0.75, 0.25], [1, 0, 0, 1]]))


def test_the_weights_of_the_bump_are_few_and_not_negative():
    omega, spacing = frequencies(5.75, 32), 0.25
    kept, weights = bump_weights(spacing, omega, 12)
    assert len(kept) == 12 and kept == sorted(kept) and (weights >= 0).all()
    distance = centers(400)
    bump = (torch.pi * distance[:, None] * omega[kept]).cos() @ weights
    assert distance[bump.argmax()].abs() < 0.01
    assert bump.max() - bump[distance.abs() > spacing].max() > 3


@pytest.mark.parametrize("changes", [{"latent_dim": 7}, {"dim": 6, "heads": 3}])
def test_sizes_without_room_for_places_are_refused(changes):
    with pytest.raises(UserError, match="start local"):
        started(replace(SIZES, **changes))


def test_other_systems_refuse_it():
    with pytest.raises(UserError, match="start local is for LAINR's own aggregation; give start small"):
        LocalizedLainrConfig(SIZES)
