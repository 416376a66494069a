"""Fields on the sphere from files: netCDF, Zarr and NPY, as one kind of snapshot.

Which axes a file has, and which cells have no value, `conventions.py` says. Times are decoded for names alone:
climatologies use calendars from the year 0, and a step only needs its place. Latitudes may rise or fall, longitudes run
0..360, -180..180 or 20..380, in degrees or radians, with or without the first column repeated at the end; values may be
packed integers with `scale_factor`, and variables may lie in groups. Snapshots are always north up, eastward, in
physical units, with missing cells marked.

NPY files carry no axes: a 2-D array is the whole globe, from the north pole down and from longitude 0 eastward; an odd
number of rows has rows on the poles, as ERA5's 721 x 1440.
"""

import warnings
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.earth.conventions import (
    DEGREES,
    HOW_TO_SAY,
    LATITUDE_UNITS,
    LONGITUDE_UNITS,
    RADIANS,
    conversion,
    is_time,
    is_value,
    label_of,
    role_of,
    unit_of,
)
from tokenfield.earth.plugin import NETCDF, ZARR
from tokenfield.earth.sphere import LatLon
from tokenfield.io.atomic import shown
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from xarray import DataArray, Dataset, Variable

NPY = ".npy"
SUFFIXES = (*NETCDF, ZARR, NPY)
UNREADABLE = (OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError, EOFError, AssertionError)
"""What xarray's backends raise on damaged files: each its own, none of them documented."""
IN_MEMORY = 1 << 30
"""Bytes of the largest netCDF-3 file that is read whole rather than mapped."""

@dataclass(frozen=True, eq=False)
class Snapshot:
    """One moment (and level) of one or more variables on one grid."""

    name: str
    """For people: file, variables, date and level, as "levitus.nc TEMP 1998-06-15 depth=10m"."""
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
    """One file, opened once: netCDF, NPY (whose single variable is the first of `names`) or a Zarr folder; or a dataset
    that is there already, with times as numbers.

    `axes` are the (latitude, longitude) dimensions of every variable that has them. Raises PictureError for a file that
    cannot be read or holds nothing on latitudes and longitudes; its `.reason` says which.
    """

    def __init__(self, path: Path, names: tuple[str, ...] = (), dataset: "Dataset | None" = None):
        self.path = path
        if dataset is None:
            dataset = self._open_npy(names) if path.suffix.lower() == NPY else open_dataset(path)
        self.dataset = dataset
        self.axes = self._find_axes()
        if not self.axes:
            raise self._refuse("has no variable on latitudes and longitudes; its axes are "
                               f"{', '.join(map(str, self.dataset.sizes)) or 'none'}{HOW_TO_SAY}")
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
        return axes

    @property
    def variables(self) -> tuple[str, ...]:
        """What can be read, in the order of the file."""
        return tuple(self.axes)

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
        if (unit := unit_of(axis).lower()) not in LATITUDE_UNITS | LONGITUDE_UNITS | DEGREES | RADIANS:
            raise self._refuse(f"has {what} {name} in {unit!r}; give degrees")
        values = self._values(axis).astype(np.float64)
        values = np.rad2deg(values) if unit in RADIANS else values
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
        arrays = [self.dataset[name] for name in layer.variables]
        others = sorted(layer.index, key=lambda place: not is_time(place[0], self.dataset.get(place[0])))  # time first
        label = " ".join([",".join(layer.variables), *(label_of(d, self.dataset.get(d), i) for d, i in others)])
        grid, rows, columns = self.grid(layer.variables[0])
        planes = [self._values(array.isel(dict(layer.index)).transpose(*self.axes[name]))[rows][:, columns]
                  for name, array in zip(layer.variables, arrays, strict=True)]
        there = np.stack([is_value(array, plane) for array, plane in zip(arrays, planes, strict=True)])
        values = torch.from_numpy(np.stack(planes).astype(np.float32))
        valid = torch.from_numpy(there.astype(np.float32))
        if not valid.any():
            raise PictureError(f"{shown(self.path)} {label}", "holds no value: every cell is missing")
        return Snapshot(f"{self.path.name} {label}", layer.variables, tuple(map(unit_of, arrays)), grid,
                        torch.where(valid > 0, values, 0.0), valid)

    def _refuse(self, reason: str) -> PictureError:
        return PictureError(self.path, reason)


def open_dataset(path: Path) -> "Dataset":
    """A netCDF file or a Zarr folder with all its groups, times as numbers. Raises PictureError for what is neither."""
    import xarray

    if path.exists() and not path.is_file() and not path.is_dir():
        raise PictureError(path, "is no regular file")
    options: Record = {"decode_times": False, "decode_timedelta": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that Zarr's metadata stand in many files
            if path.suffix.lower() == ZARR:
                options |= {"engine": "zarr"}
                return merged({name: _open_zarr(path, options | {"group": name}) for name in groups_of(path, options)})
            if path.stat().st_size < IN_MEMORY and path.open("rb").read(3) == b"CDF":
                options |= {"engine": "scipy", "mmap": False}  # mapped, netCDF-3 complains when it is closed
                return xarray.open_dataset(path, **options)
            return merged(groups_of(path, options))
    except ImportError as error:
        raise PictureError(path, "is netCDF-4 (HDF5), which h5py reads: pip install 'tokenfield[earth]'") from error
    except UNREADABLE as error:
        raise PictureError(path, f"is damaged, or neither netCDF nor Zarr ({one_line(error)})") from error


def groups_of(path: Path, options: Record) -> "dict[str, Dataset]":
    """The root, "/", and the groups of a file; where one of them cannot be opened, the root alone."""
    import xarray

    try:
        return xarray.open_groups(path, **options)
    except UNREADABLE:
        return {"/": xarray.open_dataset(path, **options)}


def merged(tree: "dict[str, Dataset]") -> "Dataset":
    """The root and what lies in groups below it as one dataset: names by their groups, unless they are unique.

    A group sees the axes of those it lies in.
    """
    import xarray

    shared = Counter(name for data in tree.values() for name in data.data_vars)
    parts = [tree["/"]]
    for path, data in tree.items():
        if not (group := path.strip("/")):
            continue
        outer: dict[Hashable, Variable] = {}
        for parent in ("/", *(f"/{above}" for above in reversed(PurePosixPath(group).parents) if above.name)):
            variables = tree[parent].variables.items() if parent in tree else ()
            outer |= {name: axis for name, axis in variables if set(axis.dims) <= set(data.dims)}
        data = data.assign_coords({name: axis for name, axis in outer.items() if name not in data.variables})
        own = {name: f"{group}/{name}" for name in [*data.dims, *data.variables] if name not in data.data_vars}
        parts.append(data.rename(own | {name: f"{group}/{name}" for name in data.data_vars if shared[name] > 1}))
    return xarray.merge(parts) if len(parts) > 1 else parts[0]


def _open_zarr(path: Path, options: Record) -> "Dataset":
    """A group of a Zarr store, in which 0, what an array is filled with unless somebody said otherwise, marks nothing.
    """
    import xarray

    stored = xarray.open_dataset(path, mask_and_scale=False, use_zarr_fill_value_as_mask=True, **options)
    for variable in stored.variables.values():
        if variable.attrs.get("_FillValue") == 0:
            del variable.attrs["_FillValue"]
    return xarray.decode_cf(stored, decode_times=False, decode_timedelta=False)


def one_line(error: BaseException) -> str:
    """The first line of what a library said."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
