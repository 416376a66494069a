"""MLPs fitted to one picture: what is fitted, what is kept, and that nothing is shared but the start."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.fields.field import Field
from tokenfield.models import pretrained
from tokenfield.models.coordinate_mlp import CoordinateMlpConfig

SIZE = (11, 13)
FFNET = CoordinateMlpConfig(size=SIZE, dim=17, depth=3, feature_dim=20, sigma=8.0, steps=5)
CONFIGS = {"ffnet": FFNET, "siren": replace(FFNET, kind="siren", rate=3e-4)}


def make(name):
    torch.manual_seed(0)
    return CONFIGS[name].build()


@pytest.fixture
def images():
    y, x = torch.meshgrid(*(torch.linspace(0, 3, n) for n in SIZE), indexing="ij")
    waves = torch.stack([torch.sin(a * y + b * x) for a, b in [(1, 0), (1, 1), (0, 1), (1, 2), (2, 1), (2, 0)]])
    return (0.5 + 0.4 * waves).unflatten(0, (2, 3))


@pytest.mark.parametrize("name", CONFIGS)
def test_fitting_fits(name, images):
    model = make(name)
    errors = torch.stack([errors for _, errors in model.fit(images, steps=200)])
    assert (errors[-1] < 0.2 * errors[0]).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_errors_belong_to_the_tokens(name, images):
    model = make(name)
    for tokens, errors in model.fit(images, steps=3):
        values = model.decode(tokens, Grid.cells(*SIZE))
        torch.testing.assert_close((values - images.flatten(2).mT).square().mean((1, 2)), errors)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()  # as a field is made
def test_encoding_keeps_the_best_of_every_picture(name, images):
    model = make(name)
    steps = list(model.fit(images, steps=6))
    errors = torch.stack([errors for _, errors in steps])
    expected = torch.stack([steps[errors[:, i].argmin()][0][i] for i in range(2)])
    assert torch.equal(model.encode(images), expected)
    torch.testing.assert_close(model.encode(images[1:])[0], expected[1], rtol=0, atol=1e-5)


def test_fitting_goes_on_from_tokens(images):
    model = make("ffnet")
    tokens, errors = list(model.fit(images, steps=50))[-1]
    again, first = next(model.fit(images, start=tokens))
    assert torch.equal(again, tokens)
    torch.testing.assert_close(first, errors)
    assert len(list(islice(model.fit(images), 7))) == 7  # without an end


def test_siren_is_sines_of_thirty_times_the_layers(images):
    model = make("siren")
    (tokens, _), *_ = model.fit(images, steps=1)
    points = torch.rand(7, 2)
    x = points
    for i, rows in enumerate(model.initial):
        x = x @ rows[:, :-1].T + rows[:, -1]
        x = torch.sin(30 * x) if i < 2 else x + 0.5
    torch.testing.assert_close(model.decode(tokens, points)[0], x, rtol=0, atol=1e-5)
    first, second, _ = model.initial
    assert first[:, :-1].abs().max() <= 1 / 2 and second[:, :-1].abs().max() <= (6 / 17) ** 0.5 / 30


@pytest.mark.parametrize("name", CONFIGS)
def test_a_fitted_field_is_saved_and_loaded(name, images, tmp_path):
    model = make(name)
    loaded = pretrained.load(pretrained.save(model, tmp_path / "m"))
    assert loaded.config == model.config
    field = Field.of(loaded, images[0])
    field.save(tmp_path / "x.field")
    again = Field.load(tmp_path / "x.field", loaded)
    assert torch.equal(again.render(30, 20), field.render(30, 20))
    assert field.values_stored == sum(p.numel() for p in model.initial)  # without what fills up narrow rows
