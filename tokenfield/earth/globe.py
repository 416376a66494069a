"""The globe as the domain of a field: physical values at any latitude and longitude.

It is a domain like `Tiles` or `Lattice`: a picture of the Earth, north up, from longitude 0 eastward, so `Field` saves,
loads, renders and crops it, in physical values. What it adds are the places, the names and units of its channels, how
they are standardised, and which cells have no value.

    field = encode_field(model, source.load(layer))
    field.domain.at(field, torch.tensor([[48.1, 11.6]]))     # (1, C), in field.domain.units
    score(field, snapshot).rmse                               # area-weighted, in the unit of each variable
"""

import base64
import binascii
import zlib
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokenfield.coords import Grid, centers
from tokenfield.earth.conventions import canonical
from tokenfield.earth.data import GridSample
from tokenfield.earth.files import Snapshot
from tokenfield.earth.models import EarthModel, earth_model
from tokenfield.earth.sphere import LatLon, places
from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain, Labels, Progress
from tokenfield.fields.field import Field
from tokenfield.metrics import mse, psnr
from tokenfield.models.base import FieldModel, Model

LARGEST = 1 << 17
"""Cells along the longest axis, 300 metres each around the equator: a size from a file is not believed beyond it."""

Axis = tuple[float, ...]
"""(first, last, count) of a regular axis in degrees; all its values, and nothing after them, of another one."""


@dataclass(frozen=True)
class Globe(Domain):
    """A field on the sphere."""

    kind: ClassVar[str] = "globe"
    size: tuple[int, int]
    """(rows, columns) of the data's grid."""
    input_size: tuple[int, int]
    """(rows, columns) of the encoder's grid."""
    latitudes: Axis
    longitudes: Axis
    """Of the cells, degrees, the northernmost first."""
    variables: tuple[str, ...]
    units: tuple[str, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    """Of the channels: physical value = standardised value / scale + offset."""
    missing: str = ""
    """Which cells of the grid have no value, packed (`pack`); "" for none."""
    name: str = ""
    """Which moment and level, for people."""

    def __post_init__(self) -> None:
        channels = len(self.variables)
        if not channels or any(len(part) != channels for part in (self.units, self.offset, self.scale)):
            raise UserError("a globe's variables, units, offset and scale must be equally many, at least one")
        if not all(np.isfinite(self.scale)) or 0 in self.scale or not all(np.isfinite(self.offset)):
            raise UserError(f"a globe standardised by {self.scale} and {self.offset}; scales must not be 0")
        if min(self.size) < 2 or max(self.size) > LARGEST or self.grid.shape != self.size:
            raise UserError(f"a globe of {self.size} cells on {len(self.latitudes)} and {len(self.longitudes)} numbers "
                            f"of latitudes and longitudes; at least 2 and at most {LARGEST} a side")

    @cached_property
    def grid(self) -> LatLon:
        """Where the cells are."""
        return LatLon(axis_values(self.latitudes, self.size[0]), axis_values(self.longitudes, self.size[1]))

    def at(self, field: Field, where: Float[Tensor, "q 2"]) -> Float[Tensor, "q c"]:
        """Physical values of a field with this domain at (latitude, longitude) in degrees, any number of them."""
        with torch.no_grad():
            return self._physical(field.model, field.tokens, where)

    def had_value(self, where: Float[Tensor, "*q 2"]) -> Bool[Tensor, "*q c"]:
        """Whether a place is in a cell that has a value; elsewhere a field is a guess."""
        row, column, inside = self.grid.cells(where)
        valid = unpack(self.missing, (len(self.variables), *self.size))
        return (valid[:, row, column] & inside).movedim(0, -1)

    def native(self, field: Field) -> Float[Tensor, "c h w"]:
        """Physical values at the centres of the data's cells."""
        values: Tensor = self.at(field, self.grid.places()).T.unflatten(1, self.size)
        return values

    def _physical(self, model: FieldModel, tokens: Tensor, where: Tensor) -> Tensor:
        """Values (Q, C) at places in degrees."""
        coords = earth_model(model).place(where.double()).to(tokens)
        standard = model.decode(tokens[None], coords)[0]
        return standard / standard.new_tensor(self.scale) + standard.new_tensor(self.offset)

    # What every domain answers; coordinates are (y, x) in [-1, 1] over the picture of the Earth.

    def encode(self, model: FieldModel, picture: Tensor, progress: Progress | None = None) -> Tensor:
        """Standardised values and shares (D, h, w), as `EarthModel.inputs` makes them -> tokens."""
        return model.encode(picture[None].to(next(model.parameters()).device))[0]

    def on_grid(self, model: FieldModel, tokens: Tensor, grid: Grid,
                progress: Progress | None = None) -> Float[Tensor, "c h w"]:
        """Physical values on a grid, some rows at a time."""
        parts: list[Tensor] = []
        for band in grid.split(1 << 16):
            parts.append(self.at_points(model, tokens, band.coords()))
            if progress:
                progress(sum(map(len, parts)), len(grid))
        values: Tensor = torch.cat(parts).T.unflatten(1, grid.shape)
        return values

    def at_points(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
        """Physical values at points of the picture of the Earth."""
        return self._physical(model, tokens, places(points.double()))

    def labels(self, *size: int) -> Labels:
        """Variables with their units, latitudes and longitudes in degrees."""
        height, width = size
        rows, columns = (torch.stack([one, torch.zeros_like(one)], -1) for one in (centers(height), centers(width)))
        where = {"latitude": places(rows.double())[:, 0], "longitude": places(columns.flip(-1).double())[:, 1]}
        return Labels(("variable", "latitude", "longitude"), {"variable": self.variables, **where}, self.units)

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        if not isinstance(model, EarthModel) or tuple(model.input_size) != tuple(self.input_size):
            raise UserError(f"a globe of {self.input_size} cells, but the model takes {model.input_size or 'any size'} "
                            "or no places on the sphere; use the model that encoded the field")
        if model.channels != len(self.variables) or tokens.ndim < 2:
            raise UserError(f"tokens {tuple(tokens.shape)} of {len(self.variables)} variables, but the model has "
                            f"{model.channels} channels")

    def __str__(self) -> str:
        channels = ", ".join(f"{v} in {u}" if u else v for v, u in zip(self.variables, self.units, strict=True))
        return f"{channels} on {self.size[0]} latitudes x {self.size[1]} longitudes"


def encode_field(model: Model, sample: GridSample) -> Field:
    """A snapshot as a field. Raises UserError for other variables, or other units, than the model's."""
    model, snapshot = earth_model(model), sample.snapshot
    check_variables(model, snapshot.name, snapshot.variables, snapshot.units)
    tokens, offset, scale = model.encode_sample(sample)
    domain = Globe(size=snapshot.grid.shape, input_size=model.input_size,
                   latitudes=axis_numbers(snapshot.grid.latitudes), longitudes=axis_numbers(snapshot.grid.longitudes),
                   variables=snapshot.variables, units=snapshot.units, offset=tuple(offset.tolist()),
                   scale=tuple(scale.tolist()), missing=pack(snapshot.valid == 0), name=snapshot.name)
    return Field(model, tokens, domain)


def check_variables(model: EarthModel, what: str, names: tuple[str, ...], units: tuple[str, ...]) -> None:
    """Raises UserError for variables or units that are not the model's; `what` names the data."""
    variables = model.config.variables
    if len(variables) != len(names) or any(v.name not in ("", name) for v, name in zip(variables, names, strict=True)):
        raise UserError(f"{what} holds {', '.join(names)}, the model takes "
                        f"{', '.join(variable.name or 'any variable' for variable in variables)}")
    for variable, unit in zip(variables, units, strict=True):
        if variable.units and unit and canonical(unit) != canonical(variable.units):
            raise UserError(f"{what} is in {unit}, the model takes {variable.units}; convert it first")


def globe_of(field: Field) -> Globe:
    """The domain of a field on the sphere. Raises UserError for a field of anything else."""
    if not isinstance(field.domain, Globe):
        raise UserError(f"a field of a {field.domain.kind}, not of the Earth at one moment; climate encode makes "
                        "such files")
    return field.domain


@dataclass(frozen=True)
class GridScore:
    """How well a field gives its snapshot back, per variable, weighted by area over the cells with a value."""

    rmse: tuple[float, ...]
    psnr: tuple[float, ...]
    """dB; the peak is `span`."""
    span: tuple[float, ...]
    """The snapshot's largest minus its smallest value; as `rmse` in the unit of the variable."""


def compare(values: Float[Tensor, "c h w"], snapshot: Snapshot) -> GridScore:
    """Scores of any values on the snapshot's own grid."""
    weights = (snapshot.grid.areas * snapshot.valid).float()
    pair = values.cpu(), snapshot.values
    spans = snapshot.span.tolist()
    decibels = [psnr(*(part[None, c] for part in pair), data_range=span or 1.0, weights=weights[None, c]).item()
                for c, span in enumerate(spans)]
    return GridScore(tuple(mse(*pair, weights).sqrt().tolist()), tuple(decibels), tuple(spans))


def score(field: Field, snapshot: Snapshot) -> GridScore:
    """Of a field against its data."""
    return compare(globe_of(field).native(field), snapshot)


def axis_numbers(axis: Float[Tensor, " n"]) -> Axis:
    """An axis as numbers for a file: three where it is regular to a thousandth of a degree."""
    numbers = axis[0].item(), axis[-1].item(), float(len(axis))
    if len(axis) > 3 and (axis - axis_values(numbers, len(axis))).abs().max() < 1e-3:
        return numbers
    return tuple(round(value, 6) for value in axis.tolist())


def axis_values(axis: Axis, n: int) -> Float[Tensor, " n"]:
    """The inverse of `axis_numbers` for an axis of n cells."""
    if len(axis) == 3 and n > 3:
        if axis[2] != n:
            raise UserError(f"an axis of {axis[2]:g} places for {n} cells")
        return torch.linspace(axis[0], axis[1], n, dtype=torch.float64)
    return torch.tensor(axis, dtype=torch.float64)


def pack(missing: Bool[Tensor, "c h w"]) -> str:
    """A mask as text: bits, deflated, base 85. Coasts are short, so a mask of 16 200 cells takes some 1000 letters."""
    packed = zlib.compress(np.packbits(missing.cpu().numpy()).tobytes(), 9)
    return base64.b85encode(packed).decode() if missing.any() else ""


def unpack(text: str, shape: tuple[int, int, int]) -> Bool[Tensor, "c h w"]:
    """Which cells have a value, from `pack` of those that have none. Raises UserError for text that is no mask."""
    if not text:
        return torch.ones(shape, dtype=torch.bool)
    try:  # one byte more than there should be says that there are more, however many
        unpacked = zlib.decompressobj().decompress(base64.b85decode(text), -(-prod(shape) // 8) + 1)
        packed = np.frombuffer(unpacked, np.uint8)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise UserError(f"a globe's mask is damaged ({error})") from error
    if packed.size != -(-prod(shape) // 8):
        raise UserError(f"a globe's mask of {8 * packed.size} cells, not {prod(shape)}")
    return ~torch.from_numpy(np.unpackbits(packed, count=prod(shape)).astype(bool)).view(shape)
