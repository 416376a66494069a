"""Hyponet: the coordinate MLP whose weights an instance brings along, all of them or a few.

    x_0 = gamma(v),   x_l = ReLU(W_l x_(l-1) + b_l),   y = W_L x_(L-1) + b_L + output bias

TransINR (ECCV 2022), instance pattern composers (CVPR 2023), Learned Init (CVPR 2021) and MLPs fitted to one picture
are this MLP; they differ in where its matrices come from, which is what a kind of layer says. Matrices are out x in
here; the papers transpose them, so that their "weight columns" are these rows.

| layer | W | rows that an instance brings |
|---|---|---|
| `SharedLayer` | unit(W) | none |
| `ScaledLayer` | unit(W * rows, repeated), TransINR | g, a divisor of fan-out |
| `FactorLayer` | unit(U^T rows), pattern composers | R |
| `LinearLayer` | W | none |
| `PlainFactorLayer` | U^T rows, pattern composers as ANR's code has them | R |
| `MatrixLayer` | unit(rows), Learned Init | fan-out |
| `AffineLayer` | rows, and their last entry is the bias: no sharing at all | fan-out |

unit divides every row by its Euclidean norm. The tokens of an instance are all its rows, one layer after the other.
Every layer has `rows` of `width` numbers, and `affine(rows)` gives weights (B, out, in) and its bias.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid, centers
from tokenfield.errors import UserError
from tokenfield.nn.affine import Affine, apply, stack, wide
from tokenfield.nn.fourier import frequencies, linear_over_axes, sum_over_axes

Features = Tensor | list[Tensor]
"""What an MLP reads: features of points (..., Q, F), or of every axis of a grid (n, F / X)."""


Rounding = Literal["exact", "ginr-ipc"]


class Raw(nn.Module):
    """The coordinates themselves, for sine layers."""

    def __init__(self, in_dim: int):
        super().__init__()
        self.in_dim, self.out_dim, self.blocks = in_dim, in_dim, (1, in_dim, 1)

    def of(self, coords: Float[Tensor, "*q x"]) -> Float[Tensor, "*q f"]:
        """Features of points, or of one axis (n, 1)."""
        return coords

    def forward(self, coords: Coordinates) -> Features:
        """Of every point, or of every axis of a grid by itself: H + W rows in place of H W."""
        return [self.of(axis[:, None]) for axis in coords.axes] if isinstance(coords, Grid) else self.of(coords)


class Fourier(Raw):
    """[cos(u w_j v_i), sin(u w_j v_i)], coordinate-major, all cosines first. (Eq. 2 of LAINR for u = pi)

    n = floor(feature_dim / (2 X)) frequencies per coordinate, X = `in_dim`, run from 1 to sigma, evenly in the
    logarithm; u = `unit` is in radians per unit of frequency and coordinate. `rounding` is exact, to the last bit of
    float32; or ginr-ipc: phases in float32, (v_i w_j) u, of frequencies and of cell centres that were rounded after
    every operation, as that project's code has them, so that its weights give the values that they gave there.
    """

    def __init__(self, in_dim: int, feature_dim: int, sigma: float, unit: float = math.pi,
                 rounding: Rounding = "exact"):
        super().__init__(in_dim)
        self.sigma, self.unit, self.n, self.rounding = sigma, unit, feature_dim // (2 * in_dim), rounding
        if self.n < 1:
            raise UserError(f"feature_dim {feature_dim} is below 2 x {in_dim} coordinates; use at least {2 * in_dim}")
        self.out_dim, self.blocks = 2 * in_dim * self.n, (2, in_dim, self.n)

    def extra_repr(self) -> str:
        return f"in_dim={self.in_dim}, sigma={self.sigma}, num_frequencies={self.n}"

    def of(self, coords: Float[Tensor, "*q x"]) -> Float[Tensor, "*q f"]:
        """Phases are brought into one period in float64: at sigma 128 a float32 phase can be wrong by 4e-5."""
        if self.rounding == "ginr-ipc":
            in_space = self.unit == 1  # where frequencies are powers of 2
            steps = torch.linspace(0, (math.log2 if in_space else math.log)(self.sigma), self.n, device=coords.device)
            omega = 2.0**steps if in_space else steps.exp()
            phase = (coords.float().unsqueeze(-1) * omega).flatten(-2) * self.unit
            return torch.cat([phase.cos(), phase.sin()], -1).to(coords.dtype)
        exact = torch.float64 if coords.device.type != "mps" else coords.dtype  # which has no float64
        omega = frequencies(self.sigma, self.n, device=coords.device, dtype=exact) * (self.unit / math.pi)
        turns = (coords.to(exact).unsqueeze(-1) * omega).flatten(-2)  # half-turns
        phase = math.pi * (turns - 2 * (turns / 2).round()).to(coords.dtype)  # in [-pi, pi]
        return torch.cat([phase.cos(), phase.sin()], -1)


def stepwise(axis: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Cell centres in float32, rounded after every operation; another axis as it is."""
    n = len(axis)
    if not torch.equal(axis, centers(n, device=axis.device, dtype=axis.dtype)):
        return axis
    return -1 + 2 * ((torch.arange(n, device=axis.device, dtype=torch.float32) + 0.5) / n)


def unit(weight: Float[Tensor, "*b o i"]) -> Float[Tensor, "*b o i"]:
    """Every row divided by its Euclidean norm over fan-in."""
    return F.normalize(weight, dim=-1)


class LinearLayer(nn.Linear):
    """A layer that all instances share, as it is: a linear map, which starts as PyTorch's do."""

    def __init__(self, fan_in: int, fan_out: int, rows: int = 0):
        super().__init__(fan_in, fan_out)
        self.rows, self.width = rows, fan_in

    def affine(self, rows: Tensor | None = None) -> Affine:
        """Weight (out, in) and bias."""
        return self.weight, self.bias


class SharedLayer(LinearLayer):
    """A layer that all instances share, its rows of norm 1; the bias starts at 0."""

    def __init__(self, fan_in: int, fan_out: int, rows: int = 0):
        super().__init__(fan_in, fan_out, rows)
        nn.init.zeros_(self.bias)

    def affine(self, rows: Tensor | None = None) -> Affine:
        """Normalised weight (out, in) and bias."""
        return unit(self.weight), self.bias


class ScaledLayer(SharedLayer):
    """A shared matrix multiplied, element by element, by an instance's rows: row j of W by row j mod g."""

    def __init__(self, fan_in: int, fan_out: int, rows: int):
        if fan_out % rows:
            raise UserError(f"{rows} groups do not divide a layer of {fan_out} outputs; choose a divisor")
        super().__init__(fan_in, fan_out, rows)

    def affine(self, rows: Tensor | None = None) -> Affine:
        """Rows are (B, g, in)."""
        assert rows is not None, "a scaled layer has rows"
        return unit(self.weight * rows.repeat(1, self.out_features // self.rows, 1)), self.bias


class FactorLayer(nn.Module):
    """A matrix of rank R: an instance's rows V, its pattern composers, mixed by a shared factor U. (W = V U)"""

    def __init__(self, fan_in: int, fan_out: int, rows: int):
        super().__init__()
        self.rows, self.width = rows, fan_in
        self.factor = nn.Parameter(torch.randn(rows, fan_out) / math.sqrt(rows * fan_in))
        self.bias = nn.Parameter(torch.zeros(fan_out))

    def affine(self, rows: Float[Tensor, "b r i"]) -> Affine:
        """Rows are (B, R, in)."""
        return unit(self.factor.T @ rows), self.bias


class PlainFactorLayer(FactorLayer):
    """Pattern composers whose product is not normalised. (W = V U)

    Factor and bias start as one linear map of R inputs does.
    """

    def __init__(self, fan_in: int, fan_out: int, rows: int):
        super().__init__(fan_in, fan_out, rows)
        for parameter in (self.factor, self.bias):
            nn.init.uniform_(parameter, -1 / math.sqrt(rows + 1), 1 / math.sqrt(rows + 1))

    def affine(self, rows: Float[Tensor, "b r i"]) -> Affine:
        """Rows are (B, R, in)."""
        return self.factor.T @ rows, self.bias


class MatrixLayer(nn.Module):
    """A matrix that an instance brings whole, so that `rows` is fan-out; the bias is shared."""

    def __init__(self, fan_in: int, fan_out: int, rows: int):
        assert rows == fan_out, f"{rows} rows for {fan_out} outputs"
        super().__init__()
        self.rows, self.width = rows, fan_in
        self.bias = nn.Parameter(torch.zeros(fan_out))

    def affine(self, rows: Float[Tensor, "b r i"]) -> Affine:
        """Rows are (B, out, in)."""
        return unit(rows), self.bias


class AffineLayer(nn.Module):
    """Matrix and bias of an instance's own, side by side and as they are."""

    def __init__(self, fan_in: int, fan_out: int):
        super().__init__()
        self.rows, self.width = fan_out, fan_in + 1

    def affine(self, rows: Float[Tensor, "b r i"]) -> Affine:
        """Rows are (B, out, in + 1), biases (B, 1, out)."""
        return rows[..., :-1], rows[..., -1].unsqueeze(-2)


Layer = LinearLayer | FactorLayer | MatrixLayer | AffineLayer


@dataclass(frozen=True)
class Layout:
    """Which of an instance's tokens are the rows of which layer: its `counts` rows of `widths` numbers.

    Shared layers have no rows. Tokens are as wide as the widest; narrower rows are filled up with zeros.
    """

    counts: tuple[int, ...]
    widths: tuple[int, ...]

    @property
    def count(self) -> int:
        """R, tokens of an instance."""
        return sum(self.counts)

    @property
    def width(self) -> int:
        """D, numbers per token."""
        return max(w for n, w in zip(self.counts, self.widths, strict=True) if n)

    @property
    def values(self) -> int:
        """Numbers that say something: all but the filling."""
        return sum(n * w for n, w in zip(self.counts, self.widths, strict=True))

    def split(self, tokens: Float[Tensor, "b r d"]) -> list[Tensor]:
        """Rows (B, count, width) of every layer."""
        return [part[..., :width] for part, width in zip(tokens.split(self.counts, 1), self.widths, strict=True)]

    def join(self, rows: Sequence[Tensor]) -> Float[Tensor, "b r d"]:
        """The inverse of `split`; layers without rows may be left out."""
        return torch.cat([F.pad(r, (0, self.width - r.shape[-1])) for r in rows if r.shape[1]], 1)


def sizes(features: int, dim: int, depth: int, out_dim: int) -> list[tuple[int, int]]:
    """(fan-in, fan-out) of every layer of an MLP of `depth` layers, `dim` wide."""
    if depth < 2:
        raise UserError(f"an MLP of depth {depth}; it needs a first and a last layer, at least 2")
    widths = [features, *[dim] * (depth - 1), out_dim]
    return list(pairwise(widths))


class Hyponet(nn.Module):
    """The MLP, and its three parts of decoding.

    Layers are of the kinds above. `output_bias` 0.5 centres pictures in [0, 1]; `activation` may work in place.
    """

    def __init__(self, features: Raw, layers: Sequence[Layer], *, output_bias: float = 0.0,
                 activation: Callable[[Tensor], Tensor] = torch.relu_):
        super().__init__()
        self.features = features
        self.layers = cast(Sequence[Layer], nn.ModuleList(layers))
        self.output_bias, self.activation = output_bias, activation
        self.layout = Layout(tuple(layer.rows for layer in layers), tuple(layer.width for layer in layers))

    def locate(self, coords: Coordinates) -> Features:
        """Features of the coordinates, or the first layer's output (Q, d) where that is shared."""
        features: Features = self.features(coords)
        first = self.layers[0]
        if isinstance(first, LinearLayer) and not first.rows:
            return self.activation(self.first(features, first.affine()))
        return features

    def prepare(self, tokens: Float[Tensor, "b r d"]) -> list[Affine]:
        """Matrices and biases of the layers that `locate` has not passed yet."""
        start = 0 if self.layout.counts[0] else 1
        tokens = tokens.to(next(self.parameters(), tokens).dtype)
        pairs = list(zip(self.layers, self.layout.split(tokens), strict=True))[start:]
        return [layer.affine(rows) for layer, rows in pairs]

    def hidden(self, located: Features, prepared: list[Affine]) -> Float[Tensor, "b q o"]:
        """The last layer's output, without activation and output bias."""
        if isinstance(located, Tensor) and not self.layout.counts[0]:
            return stack(located, prepared, self.activation)
        first = self.activation(self.first(located, prepared[0]))
        return stack(first, prepared[1:], self.activation)

    def combine(self, located: Features, prepared: list[Affine]) -> Float[Tensor, "b q c"]:
        """Values (B, Q, C)."""
        return wide(self.hidden(located, prepared)) + self.output_bias

    def first(self, features: Features, affine: Affine) -> Tensor:
        """The first layer; on a grid a product per axis and a sum."""
        weight, bias = affine
        if isinstance(features, Tensor):
            return apply(affine, features.to(weight.dtype))
        first, *others = linear_over_axes(features, weight, self.features.blocks)
        return sum_over_axes([bias + first, *others])
