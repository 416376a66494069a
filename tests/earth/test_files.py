"""Reading fields on the sphere: whatever way round a file is written, the same field comes out, or one clear line."""

import numpy as np
import pytest
import torch
import xarray
from earth_files import COLUMNS, LATITUDES, LONGITUDES, ROWS, dataset, truth, write

from tokenfield.data.decoding import PictureError
from tokenfield.earth.conventions import canonical, conversion
from tokenfield.earth.files import EarthFile, Snapshot
from tokenfield.errors import UserError


def first(path) -> Snapshot:
    file = EarthFile(path)
    return file.read(next(file.layers(file.variables, stacked=False)))


def around(longitudes):
    """The field's cells in another order of longitudes."""
    return dataset(longitudes=np.asarray(longitudes))


def packed(path):
    data = dataset()
    data.to_netcdf(path, engine="scipy", encoding={"SST": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -32768}})


def repeated(path):
    data = dataset()
    end = data.isel(lon=[0]).assign_coords(lon=data.lon[:1] + 360)
    xarray.concat([data, end], "lon").to_netcdf(path, engine="scipy")


SPELLINGS = {
    "as it is": lambda path: write(path),
    "rising latitudes": lambda path: dataset(latitudes=LATITUDES[::-1].copy()).to_netcdf(path, engine="scipy"),
    "-180 to 180": lambda path: around(np.sort((LONGITUDES + 180) % 360 - 180)).to_netcdf(path, engine="scipy"),
    "20 to 380": lambda path: around(LONGITUDES + 30).to_netcdf(path, engine="scipy"),
    "falling longitudes": lambda path: around(LONGITUDES[::-1].copy()).to_netcdf(path, engine="scipy"),
    "a jump from 180 to -180": lambda path: around((LONGITUDES + 180) % 360 - 180).to_netcdf(path, engine="scipy"),
    "first column repeated": repeated,
    "packed integers": packed,
    "longitudes first": lambda path: dataset().transpose("lon", "time", "lat").to_netcdf(path, engine="scipy"),
    "zarr": lambda path: dataset().to_zarr(path, zarr_format=2),
    "npy": lambda path: np.save(path, truth(LATITUDES, LONGITUDES - 15)),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_way_of_writing_it_is_the_same_field(name, tmp_path):
    path = tmp_path / {"zarr": "a.zarr", "npy": "a.npy"}.get(name, "a.nc")
    SPELLINGS[name](path)
    read = first(path)
    grid = read.grid
    assert read.values.shape == (1, ROWS, COLUMNS) and read.valid.all()
    assert (grid.latitudes.diff() < 0).all() and (grid.longitudes.diff() > 0).all()
    assert grid.areas.sum().item() == pytest.approx(1)
    if name == "npy":
        grid = type(grid)(torch.from_numpy(LATITUDES.copy()).clone(), grid.longitudes)
        assert read.grid.latitudes[0] == 90  # an odd number of rows: the poles are rows
    expected = truth(grid.latitudes.numpy(), grid.longitudes.numpy())
    assert np.abs(read.values[0].numpy() - expected).max() < (0.006 if name == "packed integers" else 1e-4)


def test_levels_and_times_are_layers(tmp_path):
    data = dataset(steps=3).expand_dims(depth=[0.0, 10.0]).assign_coords(depth=("depth", [0.0, 10.0]))
    data.to_netcdf(tmp_path / "a.nc", engine="scipy")
    file = EarthFile(tmp_path / "a.nc")
    layers = list(file.layers(("SST",), stacked=False))
    places = [(layer.step, dict(layer.index)) for layer in layers]
    assert places == [(t, {"depth": z, "time": t}) for z in range(2) for t in range(3)]
    last = file.read(next(layer for layer in layers if layer.step == 2))
    assert "2000-01-03" in last.name and "depth=0" in last.name
    np.testing.assert_allclose(last.values[0], truth(LATITUDES, LONGITUDES, 2), atol=1e-5)


def test_missing_cells_are_marked_however_they_are_written(tmp_path):
    data = dataset(hole=True)
    data.SST[0, 0, 0] = 9.96921e36  # the format's fill value, not declared
    data.to_netcdf(tmp_path / "a.nc", engine="scipy")
    read = first(tmp_path / "a.nc")
    assert {tuple(k) for k in (read.valid[0] == 0).nonzero().tolist()} == {(2, 3), (2, 4), (0, 0)}
    assert (read.values[read.valid == 0] == 0).all()


def without_axes(path):
    xarray.Dataset({"SST": (("row", "column"), np.zeros((3, 4)))}).to_netcdf(path, engine="scipy")


def curvilinear(path):
    corners = {name: (("row", "column"), np.zeros((3, 4)), {"units": unit})
               for name, unit in (("lat", "degrees_north"), ("lon", "degrees_east"))}
    xarray.Dataset({"SST": (("row", "column"), np.zeros((3, 4)))}, corners).to_netcdf(path, engine="scipy")


def in_other_units(unit):
    def write_it(path):
        data = dataset()
        data.lat.attrs["units"] = unit
        data.to_netcdf(path, engine="scipy")

    return write_it


def cut(path, share):
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def shuffled(axis):
    def write_it(path):
        order = np.r_[1, 0, 2 : dataset().sizes[axis]]
        dataset().isel({axis: order}).to_netcdf(path, engine="scipy")

    return write_it


REFUSED = {
    "no latitudes": (without_axes, "no variable on latitudes and longitudes"),
    "curvilinear": (curvilinear, "regrid it first"),
    "latitudes in metres": (in_other_units("m"), "in 'm'"),
    "latitudes in radians": (in_other_units("radians"), "give degrees north"),
    "latitudes beyond the pole": (lambda path: write(path, latitudes=LATITUDES * 1.2), "give degrees north"),
    "longitudes in seconds": (lambda path: write(path, longitudes=LONGITUDES * 3600), "give degrees east"),
    "latitudes out of order": (shuffled("lat"), "sort the file"),
    "longitudes out of order": (shuffled("lon"), "sort the file"),
    "all missing": (lambda path: dataset().where(False).to_netcdf(path, engine="scipy"), "missing"),
    "netCDF-4, cut short": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "h5py|damaged"),
    "empty": (lambda path: path.write_bytes(b""), "neither netCDF nor Zarr"),
    "text": (lambda path: path.write_text("no data"), "neither netCDF nor Zarr"),
    "cut in the header": (lambda path: cut(path, 0.05), "damaged"),
    "cut in the values": (lambda path: cut(path, 0.7), "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_one_line(name, tmp_path):
    make, words = REFUSED[name]
    make(tmp_path / "a.nc")
    with pytest.raises(PictureError, match=words) as caught:
        first(tmp_path / "a.nc")
    assert "a.nc" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((2, 3, 4)), np.array([["a", "b"], ["c", "d"]])])
def test_arrays_that_are_no_grid_are_refused(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(PictureError, match="latitudes, longitudes"):
        first(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(PictureError, match="no NPY"):
        first(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("Deg C", "degC"), ("degrees_celsius", "degC"), ("°C", "degC"), ("kelvin", "K"), ("MB", "hPa"),
     ("M/S", "m/s"), ("m s**-1", "m/s"), ("LOG10 #OBS", "LOG10 #OBS"), ("", "")],
)
def test_spellings_of_a_unit_are_one(spelling, name):
    assert canonical(spelling) == name


def test_kelvin_becomes_celsius_and_nothing_becomes_metres_per_second(tmp_path):
    assert conversion("Deg C", "celsius", "SST") == conversion("", "K", "SST") == (1, 0)
    factor, summand = conversion("K", "degC", "SST")
    assert factor * 273.15 + summand == pytest.approx(0)
    with pytest.raises(UserError, match="SST is in 'K', but 'm/s' is needed"):
        conversion("K", "m/s", "SST")
    read = first(write(tmp_path / "a.nc", hole=True))
    kelvin = read.convert(("K",))
    assert kelvin.units == ("K",)
    torch.testing.assert_close(kelvin.values, (read.values + 273.15) * read.valid)
