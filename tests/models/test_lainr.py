"""LAINR end to end: what must not change its values, its ablations, narrow types, and gradients."""

from dataclasses import replace

import pytest
import torch
from tensors import random, same

from tokenfield.coords import Grid
from tokenfield.metrics import decibels
from tokenfield.models.lainr import LainrConfig

B, HEIGHT, WIDTH = 2, 7, 13

TOY = LainrConfig(
    size=(HEIGHT, WIDTH),
    patch=3,
    padding=1,
    num_latents=5,
    latent_dim=6,
    encoder_dim=12,
    encoder_depth=2,
    encoder_heads=3,
    dim=8,
    feature_dim=12,
)


def make(config=TOY, dtype=torch.float64):
    torch.manual_seed(0)
    return config.build().to(dtype)


def test_shapes_and_the_output_bias():
    model = make()
    tokens = model.encode(random(B, 3, HEIGHT, WIDTH))
    assert tokens.shape == (B, 5, 6)
    with torch.no_grad():
        for out in model.decoder.head.out:
            out.weight.zero_()
            out.bias.zero_()
    same(model.decode(tokens, random(11, 2)), torch.full((B, 11, 3), 0.5, dtype=torch.float64))


def test_the_papers_model_has_the_papers_size():
    with torch.device("meta"):
        model = LainrConfig().build()
    assert sum(p.numel() for p in model.encoder.parameters()) == pytest.approx(42.5e6, rel=0.03)


def test_permuting_coordinates_permutes_values():
    model, coords, tokens = make(), random(11, 2), random(B, 5, 6)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    same(model.decode(tokens, coords[order]), model.decode(tokens, coords)[:, order])


def test_permuting_tokens_changes_nothing():
    model, coords, tokens = make(), random(11, 2), random(B, 5, 6)
    same(model.decode(tokens[:, [3, 0, 4, 2, 1]], coords), model.decode(tokens, coords))


def test_a_grid_equals_its_points_however_they_come():
    model, tokens, grid = make(), random(B, 5, 6), Grid.cells(5, 7).to(torch.float64)
    points = grid.coords()
    same(model.decode(tokens, grid), model.decode(tokens, points))
    same(model.decode(tokens, grid), model.decode(tokens, points.expand(B, -1, -1)))


@pytest.mark.parametrize("chunk", [1, 6, 10, 1000])
@pytest.mark.parametrize("kind", ["grid", "shared", "own"])
def test_chunks_equal_the_whole(kind, chunk):
    model, tokens = make(), random(B, 5, 6)
    coords = {"grid": Grid.cells(5, 7).to(torch.float64), "shared": random(11, 2), "own": random(B, 11, 2)}[kind]
    same(model.decode(tokens, coords, chunk), model.decode(tokens, coords, 10**6))


def test_default_chunks_are_shared_out_over_the_batch():
    model, counts = make(), []
    model.chunk = 12
    locate = model.locate
    model.locate = lambda coords, *lattice: counts.append(len(coords)) or locate(coords, *lattice)
    grid = Grid.cells(5, 7).to(torch.float64)
    with torch.no_grad():
        parts = model.decode(random(B, 5, 6), grid)
    assert max(counts) <= 6 < sum(counts) == len(grid)
    counts.clear()
    same(model.decode(random(B, 5, 6), grid), parts)
    assert counts == [35]  # gradients are recorded: in one piece


def test_instances_of_a_batch_do_not_meet():
    model, coords, images = make(), random(11, 2), random(3, 3, HEIGHT, WIDTH)
    alone = torch.cat([model.decode(model.encode(image[None]), coords) for image in images])
    same(model.decode(model.encode(images), coords), alone)


ABLATIONS = {  # Tables 3, 4, 7
    "paper": {},
    "L = 1": {"sigmas": (128.0,)},
    "L = 3": {"sigmas": (128.0, 64.0, 32.0)},
    "L = 4": {"sigmas": (128.0, 90.0, 64.0, 32.0)},
    "(32, 128), 16": {"sigmas": (32.0, 128.0)},
    "(128, 128), 16": {"sigmas": (128.0, 128.0)},
    "(128, 32), 128": {"sigma_q": 128.0},
    "w/o multiFM": {"plain_depth": 2},
    "w/o linear Eq. 6": {"linear_frequency": False, "feature_dim": 8},
    "w/o linear Eq. 7": {"linear_modulation": False},
    "w/o both linears": {"linear_frequency": False, "linear_modulation": False, "feature_dim": 8},
    "1 head": {"heads": 1},
    "4 heads": {"heads": 4},
    "1 channel": {"channels": 1},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_are_compositions_that_train(name):
    config = replace(TOY, **ABLATIONS[name])
    model, images = make(config), random(B, config.channels, HEIGHT, WIDTH)
    grid = Grid.cells(HEIGHT, WIDTH).to(torch.float64)
    target = images.flatten(2).transpose(1, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = (model.decode(model.encode(images), grid) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    same(model.decode(model.encode(images), grid), model.decode(model.encode(images), grid.coords()))


def test_a_linear_layer_of_table_7_is_one_map_per_band():
    """At L = 2 the paper's rows have two maps less, four without both; the queries (Eq. 4) keep theirs."""
    same_width = replace(TOY, sigmas=(8.0, 4.0), feature_dim=TOY.dim)
    whole, maps = make(same_width).num_parameters, TOY.dim**2 + TOY.dim
    for fields, count in ((("linear_frequency",), 2), (("linear_modulation",), 2),
                          (("linear_frequency", "linear_modulation"), 4)):
        ablated = make(replace(same_width, **dict.fromkeys(fields, False)))
        assert whole - ablated.num_parameters == count * maps
        assert ablated.decoder.aggregator.query.linear is not None


def test_gradients_by_finite_differences():
    model, images = make(replace(TOY, encoder_depth=1, sigmas=(8.0, 4.0), sigma_q=2.0)), random(1, 3, HEIGHT, WIDTH)
    tokens, coords = model.encode(images).detach().requires_grad_(), random(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(model.decode, (tokens, coords))
    axes = [random(2).requires_grad_(), random(3).requires_grad_()]
    assert torch.autograd.gradcheck(lambda z, y, x: model.decode(z, Grid((y, x))), (tokens, *axes))
    assert torch.autograd.gradcheck(lambda x: model.encode(x)[:, :2], images.requires_grad_(), fast_mode=True)


def test_gradients_of_weights_by_finite_differences():
    model, tokens, grid = make(replace(TOY, sigmas=(8.0, 4.0))), random(B, 5, 6), Grid.cells(2, 3).to(torch.float64)
    target = random(B, 6, 3)

    def loss():
        return (model.decode(tokens, grid) - target).square().mean()

    parameters = dict(model.decoder.named_parameters())
    gradients = torch.autograd.grad(loss(), list(parameters.values()))
    step = 1e-6
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        direction = random(*parameter.shape) - 0.5
        with torch.no_grad():
            parameter += step * direction
            above = loss()
            parameter -= 2 * step * direction
            below = loss()
            parameter += step * direction
        expected = (gradient * direction).sum()
        torch.testing.assert_close((above - below) / (2 * step), expected, rtol=1e-5, atol=1e-8, msg=name)


def agreement(values, exact):
    return decibels((values.double() - exact.double()).square().mean()).item()


@pytest.mark.parametrize("where", ["grid", "points"])
@pytest.mark.parametrize("how", ["weights", "autocast"])
@torch.no_grad()
def test_bfloat16_keeps_to_the_exact_values(how, where):
    wide_enough = replace(TOY, dim=64, feature_dim=64, latent_dim=32, num_latents=17)  # rounding averages out
    model, grid = make(wide_enough, torch.float32), Grid.cells(23, 29)
    tokens = torch.randn(B, 17, 32, generator=torch.Generator().manual_seed(0))
    coords = grid if where == "grid" else grid.coords()
    exact = model.decode(tokens, coords)
    if how == "weights":
        narrow = model.bfloat16().decode(tokens, coords)  # float32 tokens, as files hold them
    else:
        with torch.autocast("cpu", torch.bfloat16):
            narrow = model.decode(tokens, coords)
    assert narrow.dtype == torch.float32  # summed and returned wide
    assert agreement(narrow, exact) > 58


@torch.no_grad()
def test_bfloat16_encodes_float32_pictures():
    model, images = make(dtype=torch.float32), torch.rand(B, 3, HEIGHT, WIDTH)
    exact = model.encode(images)
    narrow = model.bfloat16().encode(images)
    assert ((narrow - exact).norm() / exact.norm()).item() < 0.03
