"""The systems whose tokens are weights: what must not change their values, that they learn, and that they are kept."""

from dataclasses import replace

import pytest
import torch
from tensors import random, same

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.models import pretrained
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig
from tokenfield.models.learned_init import LearnedInitConfig

B, HEIGHT, WIDTH = 2, 7, 13
MLP = {"dim": 8, "feature_dim": 12, "sigma": 8.0}
ENCODER = {"patch": 3, "padding": 1, "encoder_dim": 12, "encoder_depth": 2, "encoder_heads": 3}
SIZE = (HEIGHT, WIDTH)
LAINR = LainrConfig(
    size=SIZE, **ENCODER, num_latents=5, latent_dim=8, dim=8, feature_dim=12, sigmas=(8.0, 4.0), sigma_q=2.0
)

SYSTEMS = {
    "ipc": (IpcConfig(size=SIZE, **ENCODER, **MLP, num_latents=5), (5, 8)),
    "ipc, two layers": (IpcConfig(size=SIZE, **ENCODER, **MLP, num_latents=5, modulated=(0, 2)), (10, 12)),
    "trans-inr": (TransInrConfig(size=SIZE, **ENCODER, **MLP, groups=4), (4 * 4 + 3, 12)),
    "learned-init": (LearnedInitConfig(size=SIZE, **MLP, depth=3), (8 + 8 + 3, 12)),
    "meta-ipc": (LearnedInitConfig(size=SIZE, **MLP, modulated=(1,), rank=5), (5, 8)),
    "w/o STA": (ComposedLainrConfig(LAINR), (5, 8)),
}


@pytest.fixture(params=SYSTEMS)
def system(request):
    return SYSTEMS[request.param]


def make(config, dtype=torch.float64):
    torch.manual_seed(0)
    return config.build().to(dtype)


@pytest.fixture
def images():
    return random(B, 3, HEIGHT, WIDTH)


def test_tokens_and_values_have_the_shapes_they_should(system, images):
    config, shape = system
    model = make(config)
    tokens = model.encode(images)
    assert tokens.shape == (B, *shape)
    assert model.decode(tokens, random(11, 2)).shape == (B, 11, 3)


def test_permuting_coordinates_permutes_values(system, images):
    model = make(system[0])
    tokens, coords, order = model.encode(images), random(11, 2), torch.randperm(11)
    same(model.decode(tokens, coords[order]), model.decode(tokens, coords)[:, order])


def test_chunks_and_grids_equal_the_whole(system, images):
    model, grid = make(system[0]), Grid.cells(5, 7).to(torch.float64)
    tokens, points = model.encode(images), random(B, 11, 2)
    whole = model.decode(tokens, grid)
    same(model.decode(tokens, grid.coords()), whole)
    same(model.decode(tokens, grid.coords().expand(B, -1, -1)), whole)
    for chunk in (1, 6, 10):
        same(model.decode(tokens, grid, chunk), whole)
        same(model.decode(tokens, grid.coords(), chunk), whole)
        same(model.decode(tokens, points, chunk), model.decode(tokens, points))


def test_instances_of_a_batch_do_not_meet(system, images):
    model, coords = make(system[0]), random(11, 2)
    alone = torch.cat([model.decode(model.encode(image[None]), coords) for image in images])
    same(model.decode(model.encode(images), coords), alone)


def test_encoding_is_the_same_with_and_without_recording(system, images):
    model = make(system[0])
    with torch.no_grad():
        unrecorded = model.encode(images)
    same(model.encode(images), unrecorded)


def test_every_parameter_learns(system):
    model, images = make(system[0], torch.float32), random(B, 3, HEIGHT, WIDTH).float()
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=3e-3), []
    for _ in range(30):
        loss = (model.decode(model.encode(images), Grid.cells(*SIZE)) - images.flatten(2).mT).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


@torch.no_grad()
def test_bfloat16_keeps_to_the_exact_values(system, images):
    model, grid = make(system[0], torch.float32), Grid.cells(23, 29)
    tokens = model.encode(images.float())
    exact = model.decode(tokens, grid)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model.decode(tokens, grid)
    weights = model.bfloat16().decode(tokens, grid)
    for values in (narrow, weights):
        assert values.dtype == torch.float32
        assert (values - exact).square().mean().log10() < -4  # 40 dB with layers 8 wide, where little averages out


@torch.no_grad()
def test_saving_and_loading_change_neither_weights_nor_fields(system, tmp_path):
    model = make(system[0], torch.float32).eval()
    loaded = pretrained.load(pretrained.save(model, tmp_path / "model"))
    assert loaded.config == model.config and type(loaded) is type(model)
    picture = random(3, HEIGHT, WIDTH).float()
    field = Field.of(loaded, picture)
    field.save(tmp_path / "x.field")
    again = Field.load(tmp_path / "x.field", loaded)
    assert torch.equal(again.render(9, 11), field.render(9, 11))
    expected = model.decode(model.encode(picture[None]), Grid.cells(HEIGHT, WIDTH))
    torch.testing.assert_close(field.render(HEIGHT, WIDTH).flatten(1).T, expected[0], rtol=0, atol=1e-5)


def test_the_published_models_have_the_published_sizes():
    with torch.device("meta"):
        ipc, trans_inr = IpcConfig().build(), TransInrConfig().build()
    assert ipc.num_parameters == pytest.approx(43.7e6, rel=0.01)  # as the peers' code has
    assert trans_inr.num_parameters == pytest.approx(44.5e6, rel=0.01)
    assert (ipc.net.layout.count, ipc.net.layout.width) == (256, 256)
    assert (trans_inr.net.layout.count, trans_inr.net.layout.width) == (4 * 64 + 3, 256)
    assert trans_inr.net.layout.values == (4 * 64 + 3) * 256  # nothing is filling


def test_layers_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"modulated layers \(5,\) of depth 5; the first is 0"):
        replace(SYSTEMS["ipc"][0], modulated=(5,)).build()


def adapted_by_hand(model, images):
    """Two steps of gradient descent with ordinary autograd, layer by layer."""
    rows = [p.expand(B, -1, -1) for p in model.initial.values()]
    axes = [-1 + 2 * ((torch.arange(n, dtype=torch.float32) + 0.5) / n) for n in SIZE]
    for _ in range(model.config.inner_steps):
        tokens = model.net.layout.join(rows)
        error = (model.decode(tokens, Grid(tuple(axes))) - images.flatten(2).mT).square().mean((1, 2)).sum()
        gradients = torch.autograd.grad(error, rows, create_graph=True)
        rows = [
            r - model.config.inner_rate * r.square().sum((1, 2), keepdim=True) * g
            for r, g in zip(rows, gradients, strict=True)
        ]
    return model.net.layout.join(rows)


@pytest.mark.parametrize("name", ["learned-init", "meta-ipc"])
def test_the_outer_gradient_is_of_second_order(name, images):
    model, weight = make(replace(SYSTEMS[name][0], inner_rate=0.1)), random(1, 1, SYSTEMS[name][1][1])
    parameters = list(model.parameters())
    by_hand = adapted_by_hand(model, images)
    same(model.encode(images), by_hand)
    gradients = [
        torch.autograd.grad((tokens * weight).sum(), parameters, allow_unused=True)
        for tokens in (model.encode(images), by_hand)
    ]
    for ours, expected in zip(*gradients, strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            same(ours, expected)
    bias = model.net.layers[0].bias  # reached by second derivatives alone
    assert gradients[0][[p is bias for p in parameters].index(True)].abs().max() > 0
