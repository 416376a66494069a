"""Spherical harmonics, and least squares with a prior."""

import numpy as np
import torch

from tokenfield.earth.harmonics import basis, exact_least_squares, grid_basis, least_squares
from tokenfield.earth.sphere import LatLon, unit_vectors


def test_they_are_orthonormal_over_the_sphere():
    degree = 6
    nodes, weights = np.polynomial.legendre.leggauss(degree + 1)  # exact for products of two of them
    longitudes = np.arange(2 * degree + 1) * 360 / (2 * degree + 1)
    latitudes = torch.from_numpy(np.rad2deg(np.arcsin(nodes)))
    table = basis(unit_vectors(torch.cartesian_prod(latitudes, torch.from_numpy(longitudes))), degree)
    measure = torch.from_numpy(np.repeat(weights / 2, 2 * degree + 1)) / (2 * degree + 1)
    identity = torch.eye((degree + 1) ** 2, dtype=torch.float64)
    torch.testing.assert_close(table.T @ (measure[:, None] * table), identity, atol=1e-12, rtol=0)


def test_the_lowest_are_one_and_the_coordinates():
    where = torch.tensor([[12.0, 34.0], [-56.0, 200.0]], dtype=torch.float64)
    x, y, z = unit_vectors(where).unbind(-1)
    expected = torch.stack([torch.ones_like(x), 3**0.5 * y, 3**0.5 * z, 3**0.5 * x], -1)
    torch.testing.assert_close(basis(unit_vectors(where), 1), expected)


def test_addition_theorem():
    """The squares of one degree's functions add up to 2 l + 1 at every point, poles included."""
    where = torch.tensor([[90.0, 0.0], [0.0, 10.0], [-33.3, 271.0]], dtype=torch.float64)
    for degree in (3, 20, 60):
        total = basis(unit_vectors(where), degree).square().sum(-1)
        torch.testing.assert_close(total, torch.full_like(total, (degree + 1) ** 2))


def test_on_a_grid_they_are_the_same():
    grid = LatLon.globe(7, 12)
    torch.testing.assert_close(grid_basis(grid, 11), basis(unit_vectors(grid.places()), 11), atol=1e-11, rtol=0)


def test_least_squares_is_the_solution_of_the_normal_equations():
    torch.manual_seed(0)
    table, values, weights = torch.randn(41, 7).double(), torch.randn(41, 3).double(), torch.rand(41, 3).double()
    prior = torch.rand(7).double() + 0.1
    torch.testing.assert_close(exact_least_squares(table, values, weights, prior),
                               least_squares(table, values, weights, prior))
    for c, z in enumerate(least_squares(table, values, weights, prior).T):
        normal = table.T @ (table * weights[:, c, None]) + prior.diag()
        torch.testing.assert_close(z, torch.linalg.solve(normal, table.T @ (weights[:, c] * values[:, c])))
    assert least_squares(table[:0], values[:0], weights[:0], prior).abs().max() == 0
