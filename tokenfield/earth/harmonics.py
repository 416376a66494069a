"""Real spherical harmonics at any points of the sphere, and least squares with a prior over any set of places.

With s = (x^2 + y^2)^(1/2) the associated Legendre functions are s^m T_lm(z), and s^m (cos m phi, sin m phi) are the
real and the imaginary part of (x + i y)^m: polynomials in the coordinates of a point, without angles and without a
pole. The recursion over l at fixed m is the stable one (Holmes and Featherstone, 2002, Eq. 11-13).
"""

from functools import lru_cache
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.earth.sphere import LatLon

ITERATIONS = 48
"""Of conjugate gradients, in training; where ragged parts of the sea are missing they end short of the exact fit."""


def orders(degree: int) -> Float[Tensor, " n"]:
    """m of every column of `basis`: column l^2 + l + m is the cosine of order m, l^2 + l - m the sine."""
    return torch.tensor([m for n in range(degree + 1) for m in range(-n, n + 1)], dtype=torch.float64)


@lru_cache
def recursion(degree: int) -> np.ndarray:
    """Row l: a, b, c of T_lm = a z T_(l-1)m - b T_(l-2)m + c for m = 0 .. `degree`, (degree + 1, 3, degree + 1)."""
    steps, first = np.zeros((degree + 1, 3, degree + 1)), 1.0  # T_ll
    for n in range(degree + 1):
        first *= 1.0 if n == 0 else sqrt(3.0) if n == 1 else sqrt((2 * n + 1) / (2 * n))
        m = np.arange(n)
        below = (n - m) * (n + m)
        a = (2 * n - 1) * (2 * n + 1) / below
        b = (2 * n + 1) * (n + m - 1) * (n - m - 1) / (below * max(2 * n - 3, 1))
        steps[n, 0, :n], steps[n, 1, :n], steps[n, 2, n] = np.sqrt(a), np.sqrt(b.clip(0)), first
    return steps


def legendre(z: Float[Tensor, " q"], degree: int) -> Float[Tensor, "q n"]:
    """T_lm(z) in every column of `basis`, normalised."""
    before = last = z.new_zeros(z.shape[0], degree + 1)
    rows = []
    for a, b, c in z.new_tensor(recursion(degree)).unbind():
        before, last = last, a * z[:, None] * last - b * before + c
        rows.append(last)
    columns = [n * (degree + 1) + abs(m) for n in range(degree + 1) for m in range(-n, n + 1)]
    return torch.cat(rows, 1)[:, columns]


def turns(x: Float[Tensor, " q"], y: Float[Tensor, " q"], degree: int) -> Float[Tensor, "q n"]:
    """Real or imaginary part of (x + i y)^|m| in every column of `basis`; in real numbers, as graphs hold no others."""
    real, imaginary = torch.ones_like(x)[:, None], torch.zeros_like(x)[:, None]  # powers 0 .. 2^k - 1
    a, b = x[:, None], y[:, None]  # power 2^k
    while real.shape[1] <= degree:
        more = real * a - imaginary * b, real * b + imaginary * a
        real, imaginary = torch.cat([real, more[0]], 1), torch.cat([imaginary, more[1]], 1)
        a, b = a * a - b * b, 2 * a * b
    m = orders(degree).to(x).long()
    return torch.where(m < 0, imaginary[:, m.abs()], real[:, m.abs()])


def basis(points: Float[Tensor, "q 3"], degree: int) -> Float[Tensor, "q n"]:
    """Harmonics of degree 0 .. `degree` at points of the unit sphere, in float64: (Q, (degree + 1)^2).

    The mean of each squared over the sphere is 1; no Condon-Shortley phase. The first (l + 1)^2 columns are the basis
    of degree l.
    """
    x, y, z = points.double().unbind(-1)
    return legendre(z, degree) * turns(x, y, degree)


def grid_basis(grid: LatLon, degree: int) -> Float[Tensor, "q n"]:
    """`basis` at the cells of a grid, row-major, from one column of latitudes and one row of longitudes."""
    y, x = grid.latitudes.deg2rad(), grid.longitudes.deg2rad()
    rows = legendre(y.sin(), degree) * y.cos().clamp(min=0)[:, None] ** orders(degree).abs()
    return (rows[:, None] * turns(x.cos(), x.sin(), degree)).flatten(0, 1)


def least_squares(table: Float[Tensor, "q n"], values: Float[Tensor, "q c"], weights: Float[Tensor, "q c"],
                  prior: Float[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """z that minimises, channel by channel, the sum of weights (values - table z)^2 + prior z^2.

    By conjugate gradients on the normal equations, from 0, divided by their diagonal: what observations say little
    about stays near 0. `table` may have any number of rows, none included; weights are at least 0, prior above 0.
    """
    diagonal = (table.square().T @ weights + prior[:, None]).rsqrt()
    z = torch.zeros_like(diagonal)
    residual = diagonal * (table.T @ (weights * values))
    direction, length = residual, residual.square().sum(0)
    for _ in range(ITERATIONS):
        at = diagonal * direction
        image = diagonal * (table.T @ (weights * (table @ at)) + prior[:, None] * at)
        step = length / (direction * image).sum(0).clamp(min=1e-30)
        z, residual = z + step * direction, residual - step * image
        new = residual.square().sum(0)
        direction, length = residual + new / length.clamp(min=1e-30) * direction, new
    return diagonal * z


def exact_least_squares(table: Float[Tensor, "q n"], values: Float[Tensor, "q c"], weights: Float[Tensor, "q c"],
                        prior: Float[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """What `least_squares` approaches, from the normal equations: a matrix product more for every column of weights."""
    table, columns = table.double(), []
    for value, weight in zip(values.T, weights.T, strict=True):
        normal = table.T @ (table * weight[:, None]) + prior.double().diag()
        columns.append(torch.linalg.solve(normal, table.T @ (weight * value).double()))
    return torch.stack(columns, 1).to(values)
