"""Fourier features of coordinates (Eq. 2-3 of *Locality-Aware Generalizable INR*, NeurIPS 2023).

The phases are computed in float32 (or float64), whatever the autocast type: at bandwidth 128 a bfloat16 phase is wrong
by whole periods, which costs some 30 dB. Hence an elementwise product: a matrix product would be cast down.
"""

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.nn.affine import relu


def frequencies(sigma: float, n: int, *, device: torch.device | str | None = None,
                dtype: torch.dtype = torch.float32) -> Float[Tensor, " n"]:
    """w_j = sigma^(j / (n - 1)), j = 0 .. n-1: from 1 to the bandwidth `sigma`, evenly in the logarithm. (Eq. 2)"""
    j = torch.arange(n, device=device, dtype=dtype)
    return torch.as_tensor(sigma, device=device, dtype=dtype) ** (j / max(n - 1, 1))


def fourier_features(coords: Float[Tensor, "*q x"], omega: Float[Tensor, " n"]) -> Float[Tensor, "*q f"]:
    """gamma(v) = [cos(pi w_j v_i), sin(pi w_j v_i)]: all cosines, coordinate-major, then all sines. (Eq. 2)

    Frequencies are in half-turns per unit; a point has F = 2 x n features, of period 2 in the lowest frequency.
    """
    phase = (torch.pi * coords.unsqueeze(-1) * omega.to(coords.dtype)).flatten(-2)  # (*Q, X n), at least float32
    return torch.cat([phase.cos(), phase.sin()], -1)


def linear_over_axes(gammas: Iterable[Tensor], weight: Float[Tensor, "*b o f"],
                     blocks: tuple[int, int, int]) -> Iterator[Tensor]:
    """What each axis of a grid adds to W gamma(y, x) = W_y gamma(y) + W_x gamma(x): (..., n, O) for every axis.

    `gammas` are features of every axis by itself, (n, F / X); W is for features of points, and `blocks` says how these
    are ordered: (cos | sin, axes, frequencies).
    """
    parts = weight.unflatten(-1, blocks)  # (..., O, cos | sin, X, n)
    for i, gamma in enumerate(gammas):
        yield gamma.to(weight.dtype) @ parts[..., i, :].flatten(-2).mT  # W_i gamma(v_i)


def sum_over_axes(parts: Iterable[Tensor]) -> Float[Tensor, "*b q o"]:
    """Sums of one row per axis, (..., H, O) and (..., W, O) for a picture, for every point of a grid, row-major."""
    total, *others = parts
    for i, part in enumerate(others, 1):
        total = total.unsqueeze(-2) + part.unflatten(-2, (1,) * i + (-1,))
    return total.flatten(-2 - len(others), -2)


class FrequencyFeature(nn.Module):
    """h_F(v; sigma, W, b) = ReLU(W gamma_sigma(v) + b). (Eq. 3)

    On a `Grid`, W gamma(y, x) = W_y gamma(y) + W_x gamma(x): one small product per axis, then a broadcast sum. The
    result is the same to rounding, at O((H + W) d_F d) instead of O(H W d_F d).

    For d_in coordinates gamma has 2 d_in floor(d_F / (2 d_in)) features, of frequencies up to sigma half-turns per
    unit. `linear` False drops W and b (row `w/o linear Eq. 6` of Table 7): h_F is then gamma itself, as wide as d.
    """

    def __init__(self, in_dim: int, sigma: float, feature_dim: int, out_dim: int, *, linear: bool = True):
        super().__init__()
        self.in_dim, self.sigma = in_dim, sigma
        self.num_frequencies = feature_dim // (2 * in_dim)  # n = floor(d_F / (2 d_in))
        num_features = 2 * in_dim * self.num_frequencies
        if self.num_frequencies < 1:
            raise UserError(f"feature_dim {feature_dim} is below 2 x {in_dim} coordinates; use at least {2 * in_dim}")
        if not linear and num_features != out_dim:
            raise UserError(f"without a linear map the width {out_dim} must equal the {num_features} Fourier features")
        self.linear = nn.Linear(num_features, out_dim) if linear else None

    def extra_repr(self) -> str:
        return f"in_dim={self.in_dim}, sigma={self.sigma}, num_frequencies={self.num_frequencies}"

    def forward(self, coords: Coordinates, dtype: torch.dtype | None = None) -> Tensor:
        """(Q, X), (B, Q, X) or a Grid of Q points -> (Q, d) or (B, Q, d).

        The result has the type that its linear map works in (autocast's, the weights'), and without one `dtype`, by
        default that of the coordinates.
        """
        if self.linear is None:
            coords = coords.coords() if isinstance(coords, Grid) else coords
            return self._gamma(coords).to(dtype or coords.dtype)
        if not isinstance(coords, Grid):
            return relu(self.phase(coords))  # Eq. 3
        return relu(sum_over_axes(self.over_axes(coords)))  # (Q, d)

    def phase(self, coords: Float[Tensor, "*q x"]) -> Float[Tensor, "*q d"]:
        """W gamma(v) + b of points, of a feature with a linear map."""
        linear = cast(nn.Linear, self.linear)
        mapped: Tensor = linear(self._gamma(coords).to(linear.weight.dtype))
        return mapped

    def over_axes(self, grid: Grid) -> list[Tensor]:
        """The same of a grid, as what every axis adds to it, (n, d) each; b is in the first."""
        linear = cast(nn.Linear, self.linear)
        gammas = (self._gamma(axis[:, None]) for axis in grid.axes)  # (len, 2 n)
        first, *others = linear_over_axes(gammas, linear.weight, (2, self.in_dim, self.num_frequencies))
        return [linear.bias.to(first.dtype) + first, *others]

    def _gamma(self, coords: Tensor) -> Tensor:
        omega = frequencies(self.sigma, self.num_frequencies, device=coords.device, dtype=coords.dtype)
        return fourier_features(coords, omega)
