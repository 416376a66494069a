"""Anchored fields: geometry of the neighbours, locality, continuity, and the linear code training starts from."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.coords import Grid, centers
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.nn.anchors import gaps, harmonics, neighbours, window

TINY = AnchoredConfig(cell=4, latent_dim=7, encoder_dim=6, decoder_dim=6, head_dim=3, harmonics=8, decoder_depth=1)


@pytest.fixture(scope="module")
def model():
    """A tiny model whose every parameter matters: the zero-initialised maps are perturbed."""
    torch.manual_seed(0)
    model = TINY.build()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    return model.double().eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 20, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@given(st.integers(1, 13), st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=17))
@settings(max_examples=25, deadline=None)
def test_gaps_lose_no_coordinate(cells, values):
    """Sorting into gaps and reading back at `place` gives the relative coordinates, in any order, with repeats."""
    near = neighbours(torch.tensor(values), cells)
    sorted_axis = gaps(near)
    torch.testing.assert_close(sorted_axis.relative.flatten(1)[:, sorted_axis.place], near.relative.T)
    gap = sorted_axis.place // sorted_axis.relative.shape[2]
    assert (gap + sorted_axis.first == near.lower).all()
    assert (near.relative.abs() <= 1 + 1e-5).all()


def test_harmonics_of_two_cells_are_the_orthonormal_dct():
    basis = harmonics(centers(14, dtype=torch.float64), 14)
    torch.testing.assert_close(basis @ basis.T, torch.eye(14, dtype=torch.float64))


def test_windows_of_sharpness_one_are_a_partition_of_unity():
    r = torch.linspace(0.01, 0.99, 29, dtype=torch.float64)
    torch.testing.assert_close(window(r).exp() + window(r - 1).exp(), torch.ones_like(r))


@torch.no_grad()
def test_grid_equals_points_and_permutations_permute(model, images):
    tokens = model.encode(images)
    assert tokens.shape == (2, 5, 7, 7)
    generator = torch.Generator().manual_seed(2)
    grid = Grid(tuple(torch.rand(n, dtype=torch.float64, generator=generator) * 2 - 1 for n in (11, 13)))
    on_grid = model.decode(tokens, grid)
    points = model.decode(tokens, grid.coords())
    torch.testing.assert_close(on_grid, points, rtol=0, atol=1e-12)
    order = torch.randperm(len(grid), generator=generator)
    torch.testing.assert_close(model.decode(tokens, grid.coords()[order]), on_grid[:, order], rtol=0, atol=1e-12)
    own = torch.stack([grid.coords(), grid.coords()[order]])
    expected = torch.stack([on_grid[0], on_grid[1][order]])
    torch.testing.assert_close(model.decode(tokens, own), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.decode(tokens, grid, chunk=29), on_grid, rtol=0, atol=1e-12)


@torch.no_grad()
def test_tokens_and_values_are_local(model, images):
    """A token changes with pixels within `halo` cells only; a value with tokens within `reach` cells only."""
    row, column = 0, 6
    changed = images.clone()
    changed[:, :, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] += 0.5
    moved = (model.encode(changed) - model.encode(images)).abs().amax((0, 3)) > 0
    distance = torch.maximum((torch.arange(5)[:, None] - row).abs(), (torch.arange(7) - column).abs())
    assert (moved == (distance <= model.halo)).all()

    tokens = model.encode(images)
    other = tokens.clone()
    other[:, row, column] += 0.5
    grid = Grid.cells(20, 28).to(torch.float64)
    moved = (model.decode(other, grid) - model.decode(tokens, grid)).abs().amax((0, 2)).view(20, 28) > 0
    cell = moved.view(5, 4, 7, 4).any(3).any(1)
    assert cell[row, column] and not cell[distance > model.reach].any()


@torch.no_grad()
def test_interior_of_a_crop_equals_the_whole(model, images):
    whole, crop = model.encode(images), model.encode(images[:, :, 4:, 8:])
    torch.testing.assert_close(crop[:, model.halo :, model.halo :], whole[:, 1 + model.halo :, 2 + model.halo :])


@torch.no_grad()
def test_field_is_continuous_across_gaps_and_cells(model, images):
    """Halving the distance between two points halves, in the limit, the change: no jump anywhere."""
    tokens = model.encode(images)
    steps = []
    for n in (401, 801, 1601):
        line = torch.linspace(-1, 1, n, dtype=torch.float64)
        values = model.decode(tokens, torch.stack([line, line.flip(0) * 0.7], -1))
        steps.append(values.diff(dim=1).abs().max().item())
    assert steps[1] < 0.6 * steps[0] and steps[2] < 0.6 * steps[1]


@torch.no_grad()
def test_initialization_is_the_best_linear_code(images):
    """With sharp windows a fresh model's pixels are the projection on the cells' principal components."""
    torch.manual_seed(0)
    config = replace(TINY, latent_dim=11, sharpness=200.0)
    model = config.build().double()
    model.initialize(images)
    values = model.decode(model.encode(images), Grid.cells(20, 28).to(torch.float64))
    out = values.view(2, 20, 28, 3).permute(0, 3, 1, 2)
    cells = images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(-1, 48)
    mean = cells.mean(0)
    components = torch.linalg.svd(cells - mean, full_matrices=False).Vh[:11]
    best = (cells - mean) @ components.T @ components + mean
    patches = out.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(-1, 48)
    torch.testing.assert_close(patches, best, rtol=0, atol=1e-6)
    tokens = model.encode(images).flatten(0, 2)
    torch.testing.assert_close(tokens.std(0, correction=0), torch.ones(11, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_gradients_match_finite_differences(model, images):
    tokens = model.encode(images[:1, :, :8, :8]).detach().requires_grad_()
    points = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2 - 1
    points.requires_grad_()
    assert torch.autograd.gradcheck(lambda t, p: model.decode(t, p), (tokens, points))
    grid = Grid.cells(3, 5).to(torch.float64)
    assert torch.autograd.gradcheck(lambda t: model.decode(t, grid), (tokens,))
