"""Fourier features: Eq. 2 written out, the separable form of Eq. 3, and phases that no narrow type touches."""

import math

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.metrics import decibels
from tokenfield.nn.fourier import FrequencyFeature, fourier_features, frequencies


def test_frequencies_run_from_1_to_the_bandwidth():
    omega = frequencies(128.0, 5, dtype=torch.float64)
    torch.testing.assert_close(omega, torch.tensor([128 ** (j / 4) for j in range(5)], dtype=torch.float64))
    assert frequencies(128.0, 1).tolist() == [1.0]  # j / (n - 1) would divide by zero


def test_features_are_all_cosines_then_all_sines_coordinate_major():
    v, omega = torch.tensor([[0.3, -0.7]], dtype=torch.float64), torch.tensor([1.0, 2.5, 7.0], dtype=torch.float64)
    phases = [math.pi * w * c for c in (0.3, -0.7) for w in (1.0, 2.5, 7.0)]
    expected = torch.tensor([[math.cos(p) for p in phases] + [math.sin(p) for p in phases]], dtype=torch.float64)
    torch.testing.assert_close(fourier_features(v, omega), expected)


@pytest.mark.parametrize(("in_dim", "width", "features"), [(1, 7, 6), (2, 11, 8), (3, 23, 18), (6, 256, 252)])
def test_any_number_of_coordinates(in_dim, width, features):
    layer = FrequencyFeature(in_dim, 16.0, width, 5)
    assert layer.linear.in_features == features == 2 * in_dim * (width // (2 * in_dim))
    assert layer(torch.rand(3, 7, in_dim)).shape == (3, 7, 5)


@pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 5, 2)])
@pytest.mark.parametrize("linear", [True, False])
def test_a_grid_equals_its_points(shape, linear):
    width = 12 * len(shape)
    layer = FrequencyFeature(len(shape), 64.0, width, width, linear=linear).double()
    axes = tuple(torch.rand(n, dtype=torch.float64) * 2 - 1 for n in shape)  # jittered grids are grids
    grid = Grid(axes)
    torch.testing.assert_close(layer(grid), layer(grid.coords()), rtol=0, atol=1e-13)


def test_a_grid_equals_its_points_in_gradients():
    layer = FrequencyFeature(2, 64.0, 12, 5).double()
    grid = Grid.cells(5, 7).to(torch.float64)
    weights = torch.randn(35, 5, dtype=torch.float64)
    on_grid = torch.autograd.grad((layer(grid) * weights).sum(), list(layer.parameters()))
    at_points = torch.autograd.grad((layer(grid.coords()) * weights).sum(), list(layer.parameters()))
    for a, b in zip(on_grid, at_points, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def agreement(value, exact):
    return decibels((value.float() - exact.float()).square().mean()).item()


@pytest.mark.parametrize("where", ["points", "grid"])
@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_bfloat16_leaves_the_phases_alone(where, how):
    # gamma at bandwidth 128 through a map that shows it as it is.
    layer = FrequencyFeature(2, 128.0, 64, 64)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.eye(64))
        layer.linear.bias.zero_()
    coords = Grid.cells(61, 67)
    coords = coords if where == "grid" else coords.coords()
    exact = layer(coords)
    if how == "weights":
        narrow = layer.bfloat16()(coords)
    else:
        with torch.autocast("cpu", torch.bfloat16):
            narrow = layer(coords)
    assert narrow.dtype == torch.bfloat16  # all that follows moves half the bytes
    assert agreement(narrow, exact) > 50  # a rounded cosine: 2^-9 relative
    # What phases in bfloat16 would give; the margin is the point of the test.
    spoiled = fourier_features(Grid.cells(61, 67).coords().bfloat16(), frequencies(128.0, 16).bfloat16()).relu()
    assert agreement(spoiled, exact) < 25


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((2, 16.0, 3, 5), "at least 4"), ((2, 16.0, 8, 5, False), "must equal the 8")],
)
def test_widths_that_cannot_be(arguments, says):
    *positional, linear = arguments if len(arguments) == 5 else (*arguments, True)
    with pytest.raises(ValueError, match=says):
        FrequencyFeature(*positional, linear=linear)
