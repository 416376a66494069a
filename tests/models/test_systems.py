"""What every registered system of pictures answers, and configurations that cannot work."""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch
from small_systems import ANR, CONFIGS, LAINR, NAMES, SIZE, WITH_ATTENTION, images

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.registry import MODELS


@pytest.fixture(params=NAMES)
def model(request):
    if request.param == "autoencoder-kl":
        pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return CONFIGS[request.param].build().eval()


def test_every_system_of_this_library_is_tested_here():
    assert {name for name in MODELS if MODELS.places[name].module.startswith("tokenfield.models.")} == set(NAMES)


def test_forward_is_decode_of_encode(model):
    """At points: what a wrapper such as DistributedDataParallel calls."""
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(2)) * 2 - 1
    values = model(images(), points)
    assert values.shape == (2, 7, 3)
    torch.testing.assert_close(values, model.decode(model.encode(images()), points))
    torch.testing.assert_close(model(images(), Grid.cells(3, 5)), model(images(), Grid.cells(3, 5).coords()))


def test_a_system_says_what_it_is(model):
    assert isinstance(model, FieldModel) and MODELS[model.name] is type(model)
    assert model.token != FieldModel.token
    assert model.muon_excluded() <= dict(model.named_parameters()).keys()
    assert model.sharded_parts == []


def test_where_coordinates_look(model):
    tokens = model.encode(images()[:1]).detach()
    count, points = tokens[..., 0].numel(), Grid.cells(3, 4).coords()
    weights = model.attention(tokens, points)
    assert (weights is not None) == (model.name in WITH_ATTENTION)
    if weights is not None:
        assert weights.shape[1:] == (len(points), count) and (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


@pytest.mark.parametrize("name", ["lainr", "anr", "ipc", "liif", "gb-lsr"])
def test_a_system_can_be_exported(name):
    model, points = CONFIGS[name].build().eval(), torch.rand(7, 2) * 2 - 1
    program = torch.export.export(model, (images(), points))
    torch.testing.assert_close(program.module()(images(), points), model(images(), points))


IMPOSSIBLE = [
    (LAINR, {"dim": 63}, "dim 63 is no multiple of heads 2"),
    (LAINR, {"heads": 0}, "heads 0"),
    (LAINR, {"encoder_heads": 5}, "encoder_dim 12 is no multiple of encoder_heads 5"),
    (LAINR, {"patch": 0}, "patch 0"),
    (LAINR, {"patch": 7}, "size 12 x 20, padding 0: no whole number of 7-pixel patches"),
    (LAINR, {"num_latents": 0}, "num_latents 0"),
    (LAINR, {"sigma_q": float("nan")}, "sigma_q nan"),
    (LAINR, {"sigmas": (8.0, float("nan"))}, "sigmas nan"),
    (LAINR, {"sigmas": (float("inf"),)}, "sigmas inf"),
    (LAINR, {"size": (12, -20)}, "size -20"),
    (CONFIGS["lainr-localized"], {"cutoff": -0.5}, "cutoff -0.5"),
    (CONFIGS["lainr-composed"], {"lainr": LAINR}, "lainr.latent_dim 6 and lainr.dim 8; here they must agree"),
    (ANR, {"depth": 0}, "depth 0"),
    (ANR, {"cutoff": float("nan")}, "cutoff nan"),
    (CONFIGS["ipc"], {"encoder_heads": 5}, "encoder_dim 12 is no multiple of encoder_heads 5"),
    (CONFIGS["ipc"], {"modulated": (3,)}, "modulated layers (3,) of depth 3"),
    (CONFIGS["trans-inr"], {"groups": 0}, "groups 0"),
    (CONFIGS["learned-init"], {"inner_rate": float("nan")}, "inner_rate nan"),
    (CONFIGS["coordinate-mlp"], {"w0": 0.0}, "w0 0"),
    (CONFIGS["functa"], {"latent_dim": 0}, "latent_dim 0"),
    (CONFIGS["spatial-functa"], {"grid": (0, 5)}, "grid 0"),
    (CONFIGS["anchored"], {"cell": 0}, "cell 0"),
    (CONFIGS["anchored"], {"head_dim": 16}, "encoder_dim 8 is narrower than head_dim 16"),
    (CONFIGS["switched"], {"sharpness": 0.0}, "sharpness 0"),
    (CONFIGS["liif"], {"hidden": ()}, "hidden is empty"),
    (CONFIGS["liif"], {"dim": 0}, "dim 0"),
    (CONFIGS["liif"], {"largest_zoom": 0.5}, "largest_zoom 0.5"),
    (CONFIGS["gb-lsr"], {"patch": 6}, "patch 6 is no power of two"),
    (CONFIGS["gb-lsr"], {"groups": 4}, "dim 6 is no multiple of groups 4"),
    (CONFIGS["gb-lsr"], {"size": (4, 20)}, "size 4 x 20 is below patch 8"),
    (CONFIGS["gb-lsr"], {"orders": (3.0, 3.0)}, "orders 3 and 3"),
    (CONFIGS["autoencoder-kl"], {"channels": 0}, "channels 0"),
]


@pytest.mark.parametrize(("config", "changes", "line"), IMPOSSIBLE, ids=[line for _, _, line in IMPOSSIBLE])
def test_a_configuration_that_cannot_work_is_one_line_that_names_the_field(config, changes, line):
    with pytest.raises(UserError) as caught:
        replace(config, **changes)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def counts(config, path=()):
    """(path, value) of every whole number of a configuration, also those in tuples and in configurations within."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from counts(value, (*path, field.name))
        elif type(value) is int or (isinstance(value, tuple) and value and all(type(n) is int for n in value)):
            yield (*path, field.name), value


def changed(config, path, value):
    """A configuration with one of its numbers changed."""
    name, *rest = path
    return replace(config, **{name: changed(getattr(config, name), rest, value) if rest else value})


NUMBERS = [(name, path, value) for name in NAMES for path, value in counts(CONFIGS[name])]


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize(("name", "path", "value"), NUMBERS, ids=[f"{n}-{'.'.join(p)}" for n, p, _ in NUMBERS])
def test_a_count_of_0_or_below_works_or_is_an_error_that_names_the_field(name, path, value, number):
    try:
        model = changed(CONFIGS[name], path, (number, *value[1:]) if isinstance(value, tuple) else number).build()
    except UserError as error:
        assert path[-1] in str(error) and "\n" not in str(error)
    else:
        pictures = torch.rand(1, model.channels, *SIZE)
        values = model.eval().decode(model.encode(pictures), Grid.cells(3, 5))
        assert values.shape == (1, 15, model.channels) and values.isfinite().all()
