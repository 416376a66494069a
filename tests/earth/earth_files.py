"""Small earth-science files of every kind, all of one known field, for the tests of readers, training and commands."""

from pathlib import Path

import numpy as np
import xarray

ROWS, COLUMNS = 7, 12
LATITUDES = 90 - 180 * (np.arange(ROWS) + 0.5) / ROWS
LONGITUDES = 360 * (np.arange(COLUMNS) + 0.5) / COLUMNS


def truth(latitudes: np.ndarray, longitudes: np.ndarray, step: int = 0) -> np.ndarray:
    """A smooth temperature in degC, warm at the equator, with a wave that moves with time: (H, W) float32."""
    y, x = np.deg2rad(latitudes)[:, None], np.deg2rad(longitudes)[None]
    return np.float32(30 * np.cos(y) - 5 + 4 * np.cos(y) * np.cos(2 * x + 0.7 * step))


def dataset(
    *,
    steps: int = 1,
    latitudes: np.ndarray = LATITUDES,
    longitudes: np.ndarray = LONGITUDES,
    names: tuple[str, str] = ("lat", "lon"),
    units: str = "degC",
    hole: bool = False,
    variables: tuple[str, ...] = ("SST",),
) -> xarray.Dataset:
    """The field as (time, lat, lon); with `hole`, two cells are missing at every step."""
    stack = np.stack([truth(latitudes, longitudes, step) for step in range(steps)])
    if hole:
        stack[:, 2, 3:5] = np.nan
    axes = {
        "time": ("time", np.arange(float(steps)), {"units": "days since 2000-01-01"}),
        names[0]: (names[0], latitudes, {"units": "degrees_north"}),
        names[1]: (names[1], longitudes, {"units": "degrees_east"}),
    }
    values = {name: (("time", *names), stack + 10 * i, {"units": units}) for i, name in enumerate(variables)}
    return xarray.Dataset(values, axes)


def write(path: Path, **changes) -> Path:
    """`dataset(**changes)` as a netCDF-3 file."""
    dataset(**changes).to_netcdf(path, engine="scipy")
    return path
