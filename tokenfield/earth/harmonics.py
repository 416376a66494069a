"""Real spherical harmonics at any points of the sphere, and least squares with a prior over any set of places.

With s = (x^2 + y^2)^(1/2) the associated Legendre functions are s^m T_lm(z), and s^m (cos m phi, sin m phi) are the
real and the imaginary part of (x + i y)^m: polynomials in the coordinates of a point, without angles and without a
pole. The recursion over l at fixed m is the stable one (Holmes and Featherstone, 2002, Eq. 11-13).
"""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.earth.sphere import LatLon

ITERATIONS = 48
"""Of conjugate gradients, in training; where ragged parts of the sea are missing they end short of the exact fit."""


def orders(degree: int) -> Float[Tensor, " n"]:
    """m of every column of `basis`: column l^2 + l + m is the cosine of order m, l^2 + l - m the sine."""
    return torch.cat([torch.arange(-n, n + 1, dtype=torch.float64) for n in range(degree + 1)])


def legendre(z: Float[Tensor, " q"], degree: int) -> Float[Tensor, "q n"]:
    """T_lm(z) in every column of `basis`, normalised."""
    order = torch.arange(degree + 1, dtype=torch.float64, device=z.device)
    columns, before, last = [], z.new_zeros(len(z), degree + 1), z.new_zeros(len(z), degree + 1)
    first = 1.0  # T_ll
    for n in range(degree + 1):
        first *= 1.0 if n == 0 else sqrt(3.0) if n == 1 else sqrt((2 * n + 1) / (2 * n))
        m = order[:n]
        a = ((2 * n - 1) * (2 * n + 1) / ((n - m) * (n + m))).sqrt()
        b = ((2 * n + 1) * (n + m - 1) * (n - m - 1) / ((n - m) * (n + m) * max(2 * n - 3, 1))).clamp(min=0).sqrt()
        new = torch.zeros_like(last)
        new[:, :n] = a * z[:, None] * last[:, :n] - b * before[:, :n]
        new[:, n] = first
        before, last = last, new
        columns += [new[:, 1 : n + 1].flip(1), new[:, : n + 1]]
    return torch.cat(columns, 1)


def turns(x: Float[Tensor, " q"], y: Float[Tensor, " q"], degree: int) -> Float[Tensor, "q n"]:
    """Real or imaginary part of (x + i y)^|m| in every column of `basis`."""
    power = torch.complex(torch.ones_like(x), torch.zeros_like(x))
    powers = [power]
    for _ in range(degree):
        power = power * torch.complex(x, y)
        powers.append(power)
    m = orders(degree).to(x).long()
    parts = torch.stack(powers, -1)[:, m.abs()]
    return torch.where(m < 0, parts.imag, parts.real)


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
