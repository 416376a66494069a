"""Functa, with vector and with grid latents: the inner step in closed form, second order, and what must not matter."""

from dataclasses import replace

import pytest
import torch
from tensors import random, same

from experiments.miniature import tiny
from tokenfield.coords import Grid, centers
from tokenfield.data.pictures import write_picture
from tokenfield.fields.field import Field
from tokenfield.metrics import mse
from tokenfield.models import pretrained
from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.nn.lattice_reading import linear, nearest, read_points
from tokenfield.nn.meta_learning import descend
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.objective import Reconstruction, ReconstructionConfig
from tokenfield.training.session import Session

B, SIZE = 2, (7, 11)
VECTOR = FunctaConfig(size=SIZE, dim=8, depth=3, latent_dim=5, w0=5.0)
GRID = SpatialFunctaConfig(size=SIZE, grid=(3, 2), latent_dim=5, kernel=3, dim=8, depth=3, w0=5.0)
SYSTEMS = {
    "vector": VECTOR,
    "grid, nearest": GRID,
    "grid, linear": replace(GRID, interpolation="linear", kernel=1),
}


@pytest.fixture(params=SYSTEMS)
def model(request):
    return make(SYSTEMS[request.param])


def make(config):
    torch.manual_seed(0)
    return config.build().double()


@pytest.fixture
def images():
    return random(B, 3, *SIZE)


def test_one_step_in_closed_form(images):
    """Two linear layers with w0 = 1 and one hidden unit: y = w sin(a v + b + m z) + c + 1/2."""
    config = replace(VECTOR, dim=1, depth=2, latent_dim=1, w0=1.0, inner_steps=1, channels=1)
    model, target = make(config), images[:, :1]
    first, last = model.siren.layers
    points = ((Grid.cells(*SIZE).coords() + 1) / 2).double()
    phase = points @ first.weight[0] + first.bias                                       # at z = 0
    values = last.weight * phase.sin() + last.bias + 0.5
    m = model.to_shifts.weight.squeeze()
    slope = (2 * (values - target.flatten(1)) * last.weight * phase.cos() * m).mean(1)  # d MSE / d z
    same(model.encode(target).flatten(), -model.rates().flatten() * slope)


def test_steps_are_of_the_picture_alone_and_vmapped_ones_are_the_same(model, images):
    together = model.encode(images)
    same(together, torch.cat([model.encode(image[None]) for image in images]))
    grid = Grid.cells(*SIZE)
    located, scale = model.locate(grid), model.error_scale

    def error(tokens, image):
        values = model.combine(located, model.prepare(tokens[None]))
        return mse(values, image.flatten(1).T[None])[0] * scale

    tokens = torch.zeros_like(together)
    for _ in range(3):
        tokens = tokens - model.rates() * torch.func.vmap(torch.func.grad(error))(tokens, images)
    same(together, tokens)


def test_the_outer_gradient_is_of_second_order(model, images):
    """Against autograd's own, and against a finite difference through all three steps."""
    weight, grid = random(*model.encode(images).shape), Grid.cells(*SIZE)
    tokens = torch.zeros_like(weight, requires_grad=True)
    start = tokens
    for _ in range(3):
        values = model.decode(tokens, grid)
        error = mse(values, images.flatten(2).mT).sum() * model.error_scale
        tokens = tokens - model.rates() * torch.autograd.grad(error, tokens, create_graph=True)[0]
    assert start.requires_grad
    parameters = list(model.parameters())
    ours = torch.autograd.grad((model.encode(images) * weight).sum(), parameters, allow_unused=True)
    expected = torch.autograd.grad((tokens * weight).sum(), parameters, allow_unused=True)
    for a, b in zip(ours, expected, strict=True):
        same(a, b)
    bias, step = model.siren.layers[0].bias, 1e-6
    with torch.no_grad():
        bias[2] += step
        above = (model.encode(images) * weight).sum()
        bias[2] -= 2 * step
        below = (model.encode(images) * weight).sum()
    torch.testing.assert_close((above - below) / (2 * step), ours[1][2], rtol=1e-5, atol=1e-9)


def test_evaluation_without_gradients_gives_the_tokens_of_training(model, images):
    with torch.no_grad():
        evaluated = model.encode(images)
    assert not evaluated.requires_grad and torch.equal(evaluated, model.encode(images))


def test_autocast_does_not_touch_the_phases(model, images):
    model.float()
    exact = model.encode(images.float())
    with torch.autocast("cpu", torch.bfloat16):
        tokens = model.encode(images.float())
        values = model.decode(tokens, Grid.cells(5, 7))
    assert torch.equal(tokens, exact) and torch.equal(values, model.decode(exact, Grid.cells(5, 7)))


def test_permuting_coordinates_permutes_values(model, images):
    tokens, coords, order = model.encode(images), 2 * random(13, 2) - 1, torch.randperm(13)
    same(model.decode(tokens, coords[order]), model.decode(tokens, coords)[:, order])


def test_chunks_grids_and_points_of_their_own_equal_the_whole(model, images):
    tokens, grid = model.encode(images), Grid.cells(5, 13).to(torch.float64)
    whole = model.decode(tokens, grid)
    same(model.decode(tokens, grid, chunk=7), whole)
    same(model.decode(tokens, grid.coords()), whole)
    points = grid.coords()[torch.stack([torch.randperm(65) for _ in range(B)])]
    same(model.decode(tokens, points), torch.stack([model.decode(tokens, p)[i] for i, p in enumerate(points)]))


def test_a_cell_of_nearest_latents_is_a_copy_of_the_same_function():
    """Equal latents without neighbours in the map: every cell shows the same patch."""
    model = make(replace(GRID, kernel=1))
    tokens = random(1, 1, 1, 5).expand(1, 3, 2, 5)
    grid = Grid(tuple(centers(n, dtype=torch.float64) for n in (9, 8)))
    values = model.decode(tokens, grid).unflatten(1, (3, 3, 2, 4))
    same(values, values[:, :1, :, :1].expand_as(values))


def test_linear_interpolation_is_that_of_grid_sample():
    model = make(SYSTEMS["grid, linear"])
    shifts, points = random(1, 3, 2, 4), 2 * random(19, 2) - 1
    expected = torch.nn.functional.grid_sample(
        shifts.movedim(-1, 1), points.flip(-1)[None, None], padding_mode="border", align_corners=False
    )
    located = model.locate(points)
    same(read_points(shifts, *located.axes), expected[:, :, 0].mT)


@pytest.mark.parametrize("read", [nearest, linear])
def test_weights_add_up_to_one_and_cells_exist(read):
    coords = torch.tensor([-1.0, -0.999, -0.3, 0.0, 0.7, 1.0])
    values = read(coords, 3)
    same(values.weights.sum(-1), torch.ones(6))
    assert values.cells.min() >= 0 and values.cells.max() <= 2
    assert values.local.min() >= 0 and values.local.max() <= 1


def test_linear_latents_make_a_continuous_field():
    model = make(SYSTEMS["grid, linear"])
    line = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    values = model.decode(random(1, 3, 2, 5), torch.stack([line, 0.3 * line], -1))[0]
    assert (values[1:] - values[:-1]).abs().max() < 0.01


def test_descend_yields_the_start_and_every_step():
    """Gradient descent of x^2 / 2 multiplies by 1 - rate."""
    path = [x.item() for (x,) in descend([torch.ones(1)], lambda at: (at[0] ** 2).sum() / 2, lambda _: [0.25], 3)]
    assert path == pytest.approx([1, 0.75, 0.75**2, 0.75**3])


def test_rates_stay_between_zero_and_one(model):
    with torch.no_grad():
        model.rates.rate.fill_(7.0)
    assert model.rates().max() == 1


def test_training_reaches_every_parameter_and_learns(model):
    y, x = torch.meshgrid(*(torch.linspace(0, 3, n) for n in SIZE), indexing="ij")
    waves = torch.stack([torch.sin(a * y + b * x) for a, b in [(1, 0), (1, 1), (0, 1), (1, 2), (2, 1), (2, 0)]])
    pictures = (0.5 + 0.4 * waves).unflatten(0, (2, 3)).double()
    objective = Reconstruction(model, ReconstructionConfig(jitter="none"))
    optimizer, losses = torch.optim.Adam(model.parameters(), 3e-3), []
    for _ in range(40):
        loss, _ = objective(pictures, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_field_of_a_larger_picture_is_saved_and_loaded(model, tmp_path):
    folder = pretrained.save(model.float(), tmp_path / "model")
    field = Field.of(pretrained.load(folder), random(3, 13, 17).float())
    field.save(tmp_path / "p.field")
    again = Field.load(tmp_path / "p.field")
    assert torch.equal(again.render(9, 7), field.render(9, 7)) and again.values_stored == field.tokens.numel()


@pytest.mark.parametrize("name", ["functa-celeba-64", "spatial-functa-imagenet-256"])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(name, tmp_path):
    recipe = tiny(RECIPES[name](), steps=4)
    recipe = replace(recipe, data=replace(recipe.data, layout="folder", crop="center", holdout=0.3), checkpoint_every=2)
    pictures, quiet = tmp_path / "pictures", {"session": Session(device="cpu", quiet=True, workers=0)}
    for number in range(5):
        write_picture(pictures / f"{number}.png", random(3, 23, 19 + number).float())
    whole = pretrained.load(train(recipe, pictures, tmp_path / "whole", **quiet))
    train(replace(recipe, steps=2), pictures, tmp_path / "parts", **quiet)  # the rate is constant
    parts = pretrained.load(train(recipe, pictures, tmp_path / "parts", resume=True, **quiet))
    assert pretrained.model_hash(parts) == pretrained.model_hash(whole)
