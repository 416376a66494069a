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
from tokenfield.fields.locality import area_holding
from tokenfield.models.anr import AnrConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig, LocalizedLainrConfig
from tokenfield.nn.fourier import frequencies
from tokenfield.nn.places import PlaceCode, bump_weights, lattice, on_sphere
from tokenfield.training import Recipe, train
from tokenfield.training.session import Session

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


ANR = AnrConfig(
    size=(32, 32),
    patch=8,
    padding=0,
    num_latents=16,
    dim=64,
    encoder_dim=48,
    encoder_depth=2,
    decoder_depth=2,
    encoder_heads=2,
    encoder_head_dim=20,
    encoder_hidden=96,
    heads=2,
    head_dim=32,
    depth=3,
    start="local",
)

SYSTEMS = {
    "LAINR": SIZES,
    "ANR": ANR,
    "ANR, a prime": replace(ANR, num_latents=13),
    "ANR, wide heads": replace(ANR, encoder_head_dim=64),
    "ANR, padding that is cut": replace(ANR, padding=3, drop_rest=True),
    "ANR, no encoder": replace(ANR, encoder_depth=0, decoder_depth=1),
    "ANR, multi-band head": replace(ANR, sigmas=(23.0, 6.0)),
    "LAINR, localized attention": LocalizedLainrConfig(SIZES),
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
        model.initialize(pictures(model.input_size))
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
    assert area(started(config)) * config.num_latents < 3  # bumps of several heads lie around the anchor
    assert area(started(replace(config, start="small"))) > 0.25  # what it is without


def with_start(config, start: str):
    """The same sizes from another start."""
    if isinstance(config, LocalizedLainrConfig):
        return replace(config, lainr=replace(config.lainr, start=start))
    return replace(config, start=start)


@pytest.mark.parametrize("config", SYSTEMS.values(), ids=SYSTEMS)
def test_so_it_does_in_every_system_that_attends_to_tokens(config):
    assert area(started(config)) * 16 < 3
    assert area(started(with_start(config, "published"))) > 0.2


@pytest.mark.parametrize("config", SYSTEMS.values(), ids=SYSTEMS)
def test_their_names_and_shapes_are_those_of_the_published_start(config):
    local, other = started(config).state_dict(), started(with_start(config, "published"))
    other.load_state_dict(local, strict=True)
    assert started(config).num_parameters == other.num_parameters


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


def test_a_resumed_run_is_the_run(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(pictures((40, 40))):
        Image.fromarray(np.uint8(255 * image.permute(1, 2, 0).numpy())).save(folder / f"{number}.png")
    data = DataConfig(layout="folder", size=32, crop="random_flip", holdout=0.0)
    recipe = Recipe(name="local", model=SIZES, data=data, steps=4, batch_size=2, evaluate_every=0, checkpoint_every=2)
    options = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = train(recipe, folder, tmp_path / "whole", **options)
    part = train(recipe, folder, tmp_path / "part", session=Session(0.0, "cpu", quiet=True, workers=0))
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
    places = lattice(16, (4, 4), 1.0).places
    nearest = (grid.coords()[:, None] - places).square().sum(-1).argmin(-1)
    assert (weights.argmax(-1) == nearest).float().mean() > 0.85


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 13, 47, 48, 60, 64, 250, 256, 400])
@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_anchors_share_the_picture_equally(count, aspect):
    places = lattice(count, (3, 3), aspect).places
    assert len(places.unique(dim=0)) == count
    rows = places[:, 0].unique()
    counts = torch.tensor([(places[:, 0] == y).sum() for y in rows])
    edges = torch.cat([torch.tensor([-1.0]), 2 * rows]).tolist()
    heights = []
    for y in rows:  # a row reaches as far above its centre as below
        low = heights[-1][1] if heights else edges[0]
        heights.append((low, float(2 * y - low)))
    areas = torch.tensor([high - low for low, high in heights]) / 2 / counts
    torch.testing.assert_close(areas, torch.full_like(areas, 1 / count), rtol=1e-3, atol=1e-5)


def test_rows_are_alike_where_a_nearly_square_lattice_allows_it():
    def counts(*args) -> list[int]:
        return lattice(*args).places[:, 0].unique(return_counts=True)[1].tolist()

    assert counts(256, (20, 20), 1.0) == [16] * 16
    assert counts(48, (8, 8), 1.0) in ([8] * 6, [6] * 8)
    assert counts(60, (6, 10), 0.6) == [10] * 6  # the patches' own
    assert counts(7, (3, 3), 1.0) == [2, 2, 3]
    assert counts(18, (3, 6), 0.5) == [6] * 3


@pytest.mark.parametrize("count", [1, 2, 47, 100])
def test_anchors_on_the_sphere_are_apart(count):
    anchors = on_sphere(count)
    torch.testing.assert_close(anchors.places.norm(dim=-1), torch.ones(count))
    nearest = torch.cdist(anchors.places, anchors.places).fill_diagonal_(9).amin(1)
    assert count == 1 or nearest.min() > 0.6 * anchors.spacing[0]


@pytest.mark.parametrize("anchors", [lattice(64, (8, 8), 1.0), lattice(13, (4, 4), 1.0), on_sphere(50)])
def test_products_of_codes_are_the_bump(anchors):
    code = PlaceCode.of(anchors, frequencies(8.0, 32), 16, 200)
    codes = code(anchors.places)
    torch.testing.assert_close(codes.norm(dim=-1), torch.ones(len(codes)), rtol=1e-3, atol=1e-3)
    distance = anchors.places[:, None] - anchors.places
    waves = (torch.pi * distance[..., code.axes] * code.omega).cos() @ code.weights
    torch.testing.assert_close(code.length**2 * codes @ codes.T, waves, rtol=1e-3, atol=2e-2)
    assert codes.shape[1] <= len(anchors.places) * 3


def test_the_weights_of_the_bump_are_few_and_not_negative():
    omega, spacing = frequencies(5.75, 32), 0.25
    support, weights = bump_weights(spacing, omega, 12)
    assert len(support) == 12 and support == sorted(support) and (weights >= 0).all()
    distance = centers(400)
    bump = (torch.pi * distance[:, None] * omega[support]).cos() @ weights
    assert distance[bump.argmax()].abs() < 0.01
    assert bump.max() - bump[distance.abs() > spacing].max() > 3


@pytest.mark.parametrize("changes", [{"latent_dim": 2}, {"dim": 6, "heads": 3}])
def test_sizes_without_room_for_places_are_refused(changes):
    with pytest.raises(UserError, match="start local"):
        started(replace(SIZES, **changes))


def test_systems_without_attention_to_tokens_refuse_it():
    with pytest.raises(UserError, match="start local is for tokens that are attended to"):
        ComposedLainrConfig(replace(SIZES, latent_dim=96))
