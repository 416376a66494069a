"""Fields on the sphere from files: netCDF, Zarr and NPY, as one kind of snapshot.

Axes are known by the CF conventions' attributes (units, standard_name, axis), else by their names. Times are not
decoded: climatologies use calendars from the year 0, and a step only needs its place. Latitudes may rise or fall,
longitudes run 0..360, -180..180 or 20..380, with or without the first column repeated at the end; values may be packed
integers with `scale_factor`. Snapshots are always north up, eastward, in physical units, with missing cells marked.

NPY files carry no axes: a 2-D array is the whole globe, from the north pole down and from longitude 0 eastward; an odd
number of rows has rows on the poles, as ERA5's 721 x 1440.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.earth.sphere import LatLon
from tokenfield.earth.units import conversion
from tokenfield.io.atomic import shown
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

NETCDF, ZARR, NPY = (".nc", ".cdf", ".nc4", ".netcdf", ".h5"), ".zarr", ".npy"
SUFFIXES = (*NETCDF, ZARR, NPY)
UNREADABLE = (OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError, EOFError, AssertionError)
"""What xarray's backends raise on damaged files: each its own, none of them documented."""
IN_MEMORY = 1 << 30
"""Bytes of the largest netCDF-3 file that is read whole rather than mapped."""
ABSENT = 1e30
"""Values at least this large are the format's fill values, which some files do not declare."""

LATITUDE_UNITS = {"degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"}
LONGITUDE_UNITS = {"degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"}
DEGREES = {"", "degree", "degrees", "deg"}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One moment (and level) of one or more variables on one grid."""

    name: str
    """For people: file, variables and the values of the other axes, as "coads.cdf SST TIME=366"."""
    variables: tuple[str, ...]
    units: tuple[str, ...]
    """Of each channel; "" where the file says nothing."""
    grid: LatLon
    values: Float[Tensor, "c h w"]
    """Physical values, 0 where missing."""
    valid: Float[Tensor, "c h w"]
    """1 where there is a value, 0 where it is missing."""

    @property
    def span(self) -> Float[Tensor, " c"]:
        """Largest minus smallest value of every channel."""
        low, high = (self.values.masked_fill(self.valid == 0, sign * torch.inf) for sign in (1, -1))
        return high.amax((1, 2)) - low.amin((1, 2))

    def convert(self, units: tuple[str, ...]) -> "Snapshot":
        """The same in other units, where they are stated; raises UserError where there is no conversion."""
        linear = [conversion(*pair) for pair in zip(self.units, units, self.variables, strict=True)]
        factor, summand = (torch.tensor(column)[:, None, None] for column in zip(*linear, strict=True))
        units = tuple(new or old for new, old in zip(units, self.units, strict=True))
        return replace(self, units=units, values=(self.values * factor + summand) * self.valid)


@dataclass(frozen=True)
class Layer:
    """What one snapshot is read from."""

    path: Path
    variables: tuple[str, ...]
    index: tuple[tuple[str, int], ...] = ()
    """(dimension, position) of every axis but latitude and longitude."""
    step: int = 0
    """Position in time; 0 where there is no time."""


Oriented = tuple[LatLon, np.ndarray, np.ndarray]
"""A grid, north up and eastward, and which row and column of the file each of its rows and columns is."""


class EarthFile:
    """One file, opened once: netCDF, NPY (whose single variable is the first of `names`) or a Zarr folder.

    `axes` are the (latitude, longitude) dimensions of every variable that has them. Raises PictureError for a file that
    cannot be read or holds nothing on latitudes and longitudes; its `.reason` says which.
    """

    def __init__(self, path: Path, names: tuple[str, ...] = ()):
        self.path = path
        self.dataset = self._open_npy(names) if path.suffix.lower() == NPY else self._open()
        self.axes = self._find_axes()
        self._grids: dict[tuple[str, str], Oriented] = {}

    def _open_npy(self, names: tuple[str, ...]) -> "Dataset":
        import xarray

        try:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            raise self._refuse(f"is damaged or no NPY file ({one_line(error)})") from error
        if array.ndim != 2 or min(array.shape) < 2 or array.dtype.kind not in "fiu":
            raise self._refuse(f"holds {array.dtype} of shape {array.shape}; give numbers (latitudes, longitudes)")
        (height, width), globe = array.shape, LatLon.globe(*array.shape)
        latitudes = np.linspace(90, -90, height) if height % 2 else globe.latitudes.numpy()
        axes = {"latitude": latitudes, "longitude": globe.longitudes.numpy() - 180 / width}
        return xarray.Dataset({(names or ("value",))[0]: (tuple(axes), array)}, axes)

    def _open(self) -> "Dataset":
        import xarray

        options: Record = {"decode_times": False, "decode_timedelta": False}
        try:
            if self.path.suffix.lower() == ZARR:
                options |= {"engine": "zarr"}
            elif self.path.stat().st_size < IN_MEMORY and self.path.open("rb").read(3) == b"CDF":
                options |= {"engine": "scipy", "mmap": False}  # mapped, netCDF-3 complains when it is closed
            return xarray.open_dataset(self.path, **options)
        except ImportError as error:
            raise self._refuse("is netCDF-4 (HDF5), which h5py reads: pip install h5py") from error
        except UNREADABLE as error:
            raise self._refuse(f"is damaged, or neither netCDF nor Zarr ({one_line(error)})") from error

    def _find_axes(self) -> dict[str, tuple[str, str]]:
        dataset, axes, kinds = self.dataset, {}, ("latitude", "longitude")
        roles = {name: role_of(str(name), dataset[name]) for name in dataset.variables}
        flat = [[name for name in roles if roles[name] == kind and dataset[name].ndim == 1] for kind in kinds]
        for name, variable in dataset.data_vars.items():
            along = [next((d for d in variable.dims if d in names), None) for names in flat]
            if all(along) and variable.dtype.kind in "fiu":
                axes[str(name)] = (str(along[0]), str(along[1]))
        curved = ", ".join(str(name) for name, role in roles.items() if role in kinds and dataset[name].ndim > 1)
        if not axes and curved:
            raise self._refuse(f"has latitudes that are no axis ({curved}, a curvilinear grid); regrid it first")
        if not axes:
            raise self._refuse("has no variable on latitudes and longitudes; its axes are "
                               f"{', '.join(map(str, dataset.sizes))}")
        return axes

    def grid(self, variable: str) -> Oriented:
        """Where the cells of a variable are."""
        along = self.axes[variable]
        if along not in self._grids:
            latitudes = self._axis(along[0], "latitudes", 90.001, "degrees north")
            rows, steps = np.argsort(-latitudes), np.diff(latitudes)
            if not ((steps > 0).all() or (steps < 0).all()):
                raise self._refuse(f"has latitudes {along[0]} that neither rise nor fall all the way; sort the file")
            longitudes = np.unwrap(self._axis(along[1], "longitudes", 720.0, "degrees east"), period=360)
            columns = np.arange(len(longitudes))  # now 181 follows 179, not -179
            if longitudes[0] > longitudes[-1]:
                longitudes, columns = longitudes[::-1], columns[::-1]
            steps = np.diff(longitudes)
            if not (steps > 0).all():
                raise self._refuse(f"has longitudes {along[1]} that do not go round in one direction; sort the file")
            keep = longitudes < longitudes[0] + 360 - steps.min() / 4  # without the first column once more at the end
            grid = LatLon(torch.from_numpy(latitudes[rows].clip(-90, 90)), torch.from_numpy(longitudes[keep]))
            self._grids[along] = grid, rows, columns[keep]
        return self._grids[along]

    def _axis(self, name: str, what: str, largest: float, unit_name: str) -> np.ndarray:
        """The numbers of an axis in degrees."""
        axis = self.dataset[name]
        if (unit := unit_of(axis).lower()) not in LATITUDE_UNITS | LONGITUDE_UNITS | DEGREES:
            raise self._refuse(f"has {what} {name} in {unit!r}; give degrees")
        values = self._values(axis).astype(np.float64)
        if len(values) < 2 or not np.isfinite(values).all():
            raise self._refuse(f"has {what} {name} that are fewer than two or not finite")
        if np.abs(values).max() > largest:
            raise self._refuse(f"has {what} {name} from {values.min():g} to {values.max():g}; give {unit_name}")
        return values

    def _values(self, array: "DataArray") -> np.ndarray:
        try:
            return np.asarray(array.values)
        except UNREADABLE as error:
            raise self._refuse(f"is damaged or cut short ({one_line(error)})") from error

    def layers(self, variables: tuple[str, ...], *, stacked: bool) -> Iterator[Layer]:
        """What can be read of some variables, in the order of the file: variables, then time, then levels.

        Stacked, they are the channels of every snapshot, else each is a snapshot of its own. Raises PictureError for
        variables to be stacked that lie on different axes.
        """
        for group in [variables] if stacked else [(name,) for name in variables]:
            sizes = dict(self.dataset[group[0]].sizes)
            if any(dict(self.dataset[name].sizes) != sizes for name in group):
                raise self._refuse(f"has {', '.join(group)} on different axes; they cannot be channels of one field")
            others = {str(d): n for d, n in sizes.items() if d not in self.axes[group[0]]}
            times = [d for d in others if is_time(d, self.dataset.get(d))]
            for place in np.ndindex(*others.values()):
                index = tuple(zip(others, place, strict=True))
                step = next((i for d, i in index if d in times), 0)
                yield Layer(self.path, group, index, step)

    def read(self, layer: Layer) -> Snapshot:
        """The snapshot of a layer. Raises PictureError where it is damaged or nothing in it is there."""
        parts = [",".join(layer.variables)]
        for dimension, i in layer.index:
            value = f"={self.dataset[dimension].values[i]:g}" if dimension in self.dataset else f"[{i}]"
            parts.append(dimension + value)
        label, arrays = " ".join(parts), [self.dataset[name] for name in layer.variables]
        grid, rows, columns = self.grid(layer.variables[0])
        planes = [self._values(array.isel(dict(layer.index)).transpose(*self.axes[name]))[rows][:, columns]
                  for name, array in zip(layer.variables, arrays, strict=True)]
        values = torch.from_numpy(np.stack(planes).astype(np.float32))
        valid = (values.abs() < ABSENT).float()  # false for NaN too
        if not valid.any():
            raise PictureError(f"{shown(self.path)} {label}", "holds no value: every cell is missing")
        return Snapshot(f"{self.path.name} {label}", layer.variables, tuple(map(unit_of, arrays)), grid,
                        torch.where(valid > 0, values, 0.0), valid)

    def _refuse(self, reason: str) -> PictureError:
        return PictureError(self.path, reason)


def unit_of(array: "DataArray") -> str:
    """As the file spells it; "" where it says nothing."""
    return str(array.attrs.get("units", "")).strip()


def role_of(name: str, axis: "DataArray") -> str:
    """ "latitude", "longitude" or "" of a variable in a dataset."""
    unit = unit_of(axis).lower()
    names = {str(axis.attrs.get("standard_name", "")).lower(), name.lower()}
    if unit in LATITUDE_UNITS or names & {"latitude", "lat", "nav_lat"}:
        return "latitude"
    return "longitude" if unit in LONGITUDE_UNITS or names & {"longitude", "lon", "nav_lon"} else ""


def is_time(name: str, axis: "DataArray | None") -> bool:
    """Whether a dimension is time."""
    attributes = {} if axis is None else axis.attrs
    kind, standard, units = (str(attributes.get(key, "")) for key in ("axis", "standard_name", "units"))
    return " since " in units or kind == "T" or "time" in (standard, name.lower())


def one_line(error: BaseException) -> str:
    """The first line of what a library said."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
