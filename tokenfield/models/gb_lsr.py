"""GB-LSR: *Global-Bandwidth Local Spectral Representation* (2606.19617, 2026), in its main variant.

encode: convolutions shrink the picture to one feature per patch of P x P pixels; these are the tokens.
decode: a linear map makes of a feature the coefficients of a truncated Fourier series per channel, which is evaluated
    where a coordinate lies in its patch. One bandwidth s is trained and shared by all patches of all pictures; every
    patch has an order p, beyond which coefficients fade.

    value(u, v) = sum_ij sigmoid(4 (p - max(i, j))) c_ij phi_i(u) phi_j(v),
    phi = 1, cos(pi s u), sin(pi s u), cos(2 pi s u), sin(2 pi s u), ...

u and v are -1 and 1 at the centres of a patch's outermost pixels, as in the authors' code. Nothing joins neighbouring
patches, so values may jump between them. The encoder normalises over the whole picture (GroupNorm), so a model is for
pictures of one size, and others are tiled; a side that is no multiple of P is continued by reflection.
"""

from dataclasses import dataclass
from math import ceil, log, log2
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokenfield.configs import Sizes, check_divides
from tokenfield.coords import Coordinates, Grid, by_kind
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.nn.affine import wide
from tokenfield.nn.lattice_reading import nearest, pick

STEEPNESS = 4.0
"""How fast coefficients fade beyond a patch's order."""


@dataclass(frozen=True)
class GbLsrConfig(Sizes):
    """Sizes of the model; the defaults are those published at 256 pixels."""

    size: tuple[int, int] = (256, 256)
    """Height and width of the pictures it encodes."""
    channels: int = 3
    """Values per pixel."""
    patch: int = 32
    """Side of a patch in pixels, a power of two: the encoder halves the picture so often."""
    dim: int = 128
    """Features per patch, the width of a token."""
    groups: int = 8
    """Groups of the encoder's normalisation."""
    modes: int = 16
    """Functions per axis: the constant, then cosines and sines by turns."""
    bandwidths: tuple[float, float] = (0.25, 2.0)
    """Least and largest bandwidth; it starts at their geometric mean."""
    orders: tuple[float, float] = (1.0, 16.0)
    """Least and largest order of a patch; it starts at their mean."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch < 2 or self.patch & (self.patch - 1):
            raise UserError(f"patch {self.patch} is no power of two; give 2, 4, 8, ...")
        if min(self.size) < self.patch:
            raise UserError(f"size {self.size[0]} x {self.size[1]} is below patch {self.patch}; change one of them")
        check_divides("groups", self.groups, "dim", self.dim)
        for name, (low, high) in (("bandwidths", self.bandwidths), ("orders", self.orders)):
            if low >= high:
                raise UserError(f"{name} {low:g} and {high:g}; give the smaller one first")

    @property
    def lattice(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return ceil(self.size[0] / self.patch), ceil(self.size[1] / self.patch)

    def build(self) -> "GbLsr":
        return GbLsr(self)


class Series(NamedTuple):
    """Coordinates of one axis: their patch, and the functions of the series there, (Q, modes)."""

    patch: Int[Tensor, "*q"]
    functions: Float[Tensor, "*q p"]


def along(axis: int, prepared: Float[Tensor, "..."], series: Series) -> Float[Tensor, "..."]:
    """The sum of the series along an axis of patches, the coefficients' being the next one: a product per patch."""
    parts, places = [], []
    for patch, place in by_kind(series.patch):
        of_patch = prepared.select(axis, patch)
        parts.append(torch.tensordot(series.functions[place], of_patch, ([1], [axis])).movedim(0, axis))
        places.append(place)
    return torch.cat(parts, axis).index_select(axis, torch.cat(places).argsort())


class QueryState(NamedTuple):
    """The axes (y, x) of a grid, or of points."""

    y: Series
    x: Series
    grid: bool


class GbLsr(FieldModel):
    """A Fourier series per patch. Tokens are (B, rows, columns, dim)."""

    name = "gb-lsr"
    token = "the feature of one patch of the picture"
    default_recipe: ClassVar[RecipeFields | None] = {"model": {"size": (64, 64), "patch": 8, "dim": 96},
                                                     "objective": {"jitter": "none", "fraction": 1.0}}

    def __init__(self, config: GbLsrConfig):
        super().__init__()
        self.config, self.input_size, self.channels, self.cell = config, config.size, config.channels, config.patch
        self.chunk = 1 << 16  # a grid's cost is per row of patches: larger parts waste less of it
        dim = config.dim

        def normalised(width: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(width, dim, 3, stride=stride, padding=1), nn.GroupNorm(config.groups, dim), nn.SiLU()]

        halvings = [part for _ in range(int(log2(config.patch))) for part in normalised(dim, 2)]
        last = nn.Conv2d(dim, dim, 3, padding=1)
        self.encoder = nn.Sequential(*normalised(config.channels, 1), *halvings, last)
        self.coefficients = nn.Linear(dim, config.channels * config.modes**2)
        nn.init.normal_(self.coefficients.weight, std=0.01)
        nn.init.zeros_(self.coefficients.bias)
        self.order = nn.Linear(dim, 1)
        nn.init.zeros_(self.order.weight)
        nn.init.zeros_(self.order.bias)
        self.raw_bandwidth = nn.Parameter(torch.zeros(()))

    @property
    def bandwidth(self) -> Float[Tensor, ""]:
        """s, between the two bandwidths: log s is their logarithms' blend."""
        low, high = map(log, self.config.bandwidths)
        return (low + (high - low) * self.raw_bandwidth.sigmoid()).exp()

    def muon_excluded(self) -> set[str]:
        """The maps to numbers that the series is made of."""
        return {"coefficients.weight", "order.weight"}

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n d"]:
        """Pictures in [0, 1] of `config.size` -> features of the patches; padding is shared out to both sides."""
        images = images.to(self.order.weight.dtype)
        (top, bottom), (left, right) = (self._padding(axis) for axis in range(2))
        return wide(self.encoder(F.pad(images, (left, right, top, bottom), mode="reflect"))).movedim(1, -1)

    def _padding(self, axis: int) -> tuple[int, int]:
        """Pixels before and after the picture, less than its side."""
        rest = self.config.lattice[axis] * self.config.patch - self.config.size[axis]
        return rest // 2, rest - rest // 2

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> QueryState:
        """Which patches the coordinates are in, and the series' functions there."""
        axes = coords.axes if isinstance(coords, Grid) else coords.unbind(-1)
        y, x = (self._series(i, axis) for i, axis in enumerate(axes))
        return QueryState(y, x, isinstance(coords, Grid))

    def _series(self, axis: int, coords: Float[Tensor, "*q"]) -> Series:
        side, rows, patch = self.config.size[axis], self.config.lattice[axis], self.config.patch
        pixels = (coords + 1) / 2 * side + self._padding(axis)[0]
        read = nearest(2 * pixels / (rows * patch) - 1, rows)
        u = (2 * read.local - 1).to(torch.promote_types(coords.dtype, self.order.weight.dtype)) * patch / (patch - 1)
        k = torch.arange(self.config.modes, device=u.device)
        phase = torch.pi * self.bandwidth.to(u.dtype) * ((k + 1) // 2) * u.unsqueeze(-1)
        return Series(read.cells.squeeze(-1), phase.sin().where((k > 0) & (k % 2 == 0), phase.cos()))

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> Float[Tensor, "b m n c p p"]:
        """The coefficients, faded beyond each patch's order."""
        tokens = tokens.to(self.order.weight.dtype)
        low, high = self.config.orders
        order = low + (high - low) * wide(self.order(tokens)).sigmoid()[..., None, None]  # (B, M, N, 1, 1, 1)
        k = torch.arange(self.config.modes, device=tokens.device)
        fade = (STEEPNESS * (order - torch.maximum(k[:, None], k))).sigmoid()
        modes = self.config.modes
        coefficients: Tensor = wide(self.coefficients(tokens)).unflatten(-1, (self.channels, modes, modes))
        faded: Tensor = coefficients * fade
        return faded

    def combine(self, located: QueryState, prepared: Float[Tensor, "b m n c p p"]) -> Float[Tensor, "b q c"]:
        """The series; on a grid along y first, then along x."""
        y, x = located.y, located.x
        if located.grid:
            rows = along(1, prepared.permute(0, 1, 4, 2, 3, 5), y)  # (B, H, N, C, p)
            return along(2, rows.permute(0, 1, 2, 4, 3), x).flatten(1, 2)  # (B, H, W, C)
        picked = pick(prepared.flatten(3), y.patch, x.patch, grid=False).unflatten(-1, prepared.shape[3:])
        of_points = (axis.functions.expand(*picked.shape[:2], -1) for axis in (y, x))
        return torch.einsum("bqcij,bqi,bqj->bqc", picked, *of_points)
