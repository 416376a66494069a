"""Attention on nodes: interpolation by its mathematics, and how far the coarse field is from the exact one."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.miniature import shrink
from tokenfield import Field
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig, LocalizedLainrConfig
from tokenfield.models.pretrained import model_hash
from tokenfield.nn.coarse import at_points, matrix, near, on_grid

SMALL = LainrConfig(
    size=(14, 14),
    patch=7,
    padding=0,
    num_latents=5,
    latent_dim=6,
    encoder_dim=12,
    encoder_depth=1,
    encoder_heads=3,
    dim=8,
    feature_dim=8,
    sigma_q=2.0,
    sigmas=(8.0, 4.0, 2.0),
)


def build(config=SMALL):
    torch.manual_seed(0)
    return config.build().double().eval(), torch.randn(2, 5, 6, dtype=torch.float64)


def points(n: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@settings(deadline=None)
@given(st.integers(4, 23), st.lists(st.floats(-1, 1), min_size=1, max_size=7))
def test_weights_reproduce_cubics(n, values):
    axis = torch.tensor(values, dtype=torch.float64)
    first, weights = near(axis, n)
    assert first.min() >= 0 and first.max() + 4 <= n
    at = torch.linspace(-1, 1, n, dtype=torch.float64)[first[:, None] + torch.arange(4)]
    for power in range(4):
        torch.testing.assert_close((weights * at**power).sum(-1), axis**power, atol=1e-12, rtol=0)


def test_a_dense_matrix_over_few_nodes_holds_the_same_weights():
    first, weights = near(torch.tensor([-0.3, 0.1, 0.11], dtype=torch.float64), 31)
    used, dense = matrix(first, weights)
    lattice = torch.randn(31, dtype=torch.float64)
    expected = (weights * lattice[first[:, None] + torch.arange(4)]).sum(-1)
    torch.testing.assert_close(dense @ lattice[used], expected)
    assert dense.shape == (3, used.stop - used.start) and used.stop - used.start < 31


def test_grid_and_scattered_points_interpolate_alike():
    lattice, grid = torch.randn(2, 7, 7, 3, dtype=torch.float64), Grid.cells(5, 11).to(torch.float64)
    y, x = (near(axis, 7) for axis in grid.axes)
    coords = grid.coords()
    scattered = at_points(lattice, near(coords[:, 0], 7), near(coords[:, 1], 7))
    torch.testing.assert_close(on_grid(lattice, y, x), scattered)
    own = coords.expand(2, -1, -1)
    torch.testing.assert_close(at_points(lattice, near(own[..., 0], 7), near(own[..., 1], 7)), scattered)


CONFIGS = {
    "lainr": SMALL,
    "one band": replace(SMALL, sigmas=(8.0,)),
    "w/o linear Eq. 7": replace(SMALL, linear_modulation=False),
    "w/o multiFM": replace(SMALL, plain_depth=2),
    "localized": LocalizedLainrConfig(SMALL),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_at_the_nodes_it_is_exact(config):
    model, tokens = build(config)
    lattice = Grid((torch.linspace(-1, 1, 11).double(),) * 2)
    torch.testing.assert_close(model.coarse(11).decode(tokens, lattice), model.decode(tokens, lattice))


def test_the_error_falls_with_the_nodes_and_is_small():
    model, tokens = build()
    exact = model.decode(tokens, points(997))
    errors = [(model.coarse(n).decode(tokens, points(997)) - exact).square().mean().sqrt().item() for n in (8, 16, 64)]
    assert errors[0] > 2 * errors[1] > 8 * errors[2]
    assert errors[2] < 1e-3 * exact.std()


def test_chunks_permutations_and_batches_change_nothing():
    model, tokens = build()
    coarse, coords = model.coarse(9), points(53)
    whole = coarse.decode(tokens, coords)
    order = torch.randperm(53)
    torch.testing.assert_close(coarse.decode(tokens, coords[order]), whole[:, order])
    torch.testing.assert_close(coarse.decode(tokens, coords, chunk=7), whole)
    torch.testing.assert_close(coarse.decode(tokens[1:], coords), whole[1:])
    grid = Grid.cells(13, 17).to(torch.float64)
    torch.testing.assert_close(coarse.decode(tokens, grid, chunk=31), coarse.decode(tokens, grid.coords()))


def test_gradients_reach_the_tokens_and_agree_with_the_exact_ones():
    model, tokens = build()
    gradients = []
    for view in (model, model.coarse(65)):
        z = tokens.clone().requires_grad_()
        view.decode(z, Grid.cells(14, 14).to(torch.float64)).square().mean().backward()
        gradients.append(z.grad)
    assert (gradients[1] - gradients[0]).norm() < 1e-2 * gradients[0].norm()


def test_a_coarse_field_is_the_same_model():
    model = build()[0].float()
    field = Field.of(model, torch.rand(3, 19, 23))
    view = field.coarse(33)
    assert model_hash(view.model) == model_hash(model)
    assert [name for name, _ in view.model.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert model.instead is None, "the model itself stays exact"
    difference = view.render(38, 46) - field.render(38, 46)
    assert 0 < difference.abs().max() < 0.05


def test_who_cannot():
    model, _ = build()
    with pytest.raises(UserError, match="3 nodes per axis; give at least 4"):
        model.coarse(3)
    with pytest.raises(UserError, match="answers every coordinate exactly"):
        AnchoredConfig(encoder_dim=32, decoder_dim=32).build().coarse(16)
    square = replace(SMALL, latent_dim=8, plain_depth=2)
    with pytest.raises(UserError, match="modulates weights"):
        ComposedLainrConfig(square).build().coarse(16)
    assert shrink(LainrConfig()).build().coarse(4).instead is not None
