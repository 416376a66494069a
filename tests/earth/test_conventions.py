"""Axes and missing values as files really mark them: right, or a line that says what to write into the file."""

import json

import numpy as np
import pytest
import xarray
from earth_files import COLUMNS, LATITUDES, LONGITUDES, ROWS, dataset, truth

from tokenfield.data.decoding import PictureError
from tokenfield.earth.conventions import label_of, valid_range
from tokenfield.earth.data import GriddedConfig
from tokenfield.earth.files import EarthFile, Snapshot

VALUES = truth(LATITUDES, LONGITUDES)
AXES = {"lat": ("lat", LATITUDES, {"units": "degrees_north"}), "lon": ("lon", LONGITUDES, {"units": "degrees_east"})}
HOLE = np.zeros((ROWS, COLUMNS), bool)
HOLE[1, 2:5] = True


def first(path) -> Snapshot:
    file = EarthFile(path)
    return file.read(next(file.layers(file.variables, stacked=False)))


PACKED = np.where(HOLE, -32767, np.round(VALUES * 100)).astype("i2")
SCALED = {"scale_factor": 0.01, "units": "degC"}
MISSING = {
    "a range in stored numbers": (PACKED, SCALED | {"valid_range": np.array([-9000, 9000], "i2")}),
    "a range in physical units": (PACKED, SCALED | {"valid_range": np.array([-90.0, 90.0])}),
    "a least and a largest": (PACKED, SCALED | {"valid_min": np.int16(-9000), "valid_max": np.int16(9000)}),
    "a least alone": (PACKED, SCALED | {"valid_min": np.int16(-9000)}),
    "a largest alone": (np.where(HOLE, 32000, PACKED).astype("i2"), SCALED | {"valid_max": np.int16(9000)}),
    "a falling scale": (-PACKED, {"scale_factor": -0.01, "valid_range": np.array([-9000, 9000], "i2")}),
    "of floats": (np.where(HOLE, -9999, VALUES).astype("f4"), {"valid_range": np.array([-90, 90], "f4")}),
    "as text": (np.where(HOLE, -9999, VALUES).astype("f4"), {"valid_range": "-90, 90"}),
    "CMIP's fill, undeclared": (np.where(HOLE, 1e20, VALUES).astype("f4"), {}),
    "its negative": (np.where(HOLE, -1e20, VALUES).astype("f4"), {}),
    "netCDF's fill of floats": (np.where(HOLE, 9.96921e36, VALUES).astype("f4"), {}),
    "netCDF's fill of shorts": (PACKED, SCALED),
    "NaN": (np.where(HOLE, np.nan, VALUES).astype("f4"), {}),
    "two marks": (np.where(HOLE, [-999], VALUES).astype("f4"), {"missing_value": np.float32(-999)}),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_marked_as_missing_is_missing_and_nothing_else(name, tmp_path):
    values, attributes = MISSING[name]
    xarray.Dataset({"sst": (("lat", "lon"), values, attributes)}, AXES).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    read = first(tmp_path / "x.nc")
    np.testing.assert_array_equal(read.valid[0].numpy() == 0, HOLE)
    np.testing.assert_allclose(read.values[0].numpy()[~HOLE], VALUES[~HOLE], atol=0.006)


def test_bounds_that_say_nothing_mask_nothing():
    def bounds(encoding=None, **attributes):
        array = xarray.DataArray(np.zeros(3), attrs=attributes)
        array.encoding = encoding or {}
        return valid_range(array)

    assert bounds() == bounds(valid_range="unknown") == bounds(valid_range=np.array([np.nan, 1])) == (-np.inf, np.inf)
    assert bounds(valid_min=2.0) == (2.0, np.inf)
    unsigned = {"dtype": np.dtype("i1"), "_Unsigned": "true", "scale_factor": 0.5}
    assert bounds(unsigned, valid_range=np.array([0, -6], "i1")) == (0.0, 125.0)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("fill", [None, -9999.0])
def test_zeros_of_a_zarr_store_are_zeros(zarr_format, fill, tmp_path):
    values = np.where(HOLE, 0.0 if fill is None else fill, VALUES).astype("f4")
    data = xarray.Dataset({"sst": (("lat", "lon"), values)}, AXES)
    data.to_zarr(tmp_path / "x.zarr", zarr_format=zarr_format, consolidated=False,
                 encoding={"sst": {"_FillValue": fill}})
    np.testing.assert_array_equal(first(tmp_path / "x.zarr").valid[0].numpy() == 0, HOLE & (fill is not None))


PLAIN = {"units": "degrees"}
AXIS_PAIRS = {
    "the axis attribute": ("y", "x", PLAIN | {"axis": "Y"}, PLAIN | {"axis": "X"}),
    "standard names": ("a", "b", {"standard_name": "latitude"}, {"standard_name": "longitude"}),
    "long names": ("j", "i", PLAIN | {"long_name": "Latitude"}, PLAIN | {"long_name": "Longitude (east)"}),
    "netCDF-Java": ("a", "b", {"_CoordinateAxisType": "Lat"}, {"_CoordinateAxisType": "Lon"}),
    "plurals": ("lats", "lons", {}, {}),
    "NCL": ("lat_0", "lon_0", {}, {}),
    "NCL's GRIB": ("g0_lat_1", "g0_lon_2", {}, {}),
    "NEMO": ("nav_lat", "nav_lon", {}, {}),
    "capitals": ("LATITUDE", "LONG", {}, {}),
}


@pytest.mark.parametrize("name", AXIS_PAIRS)
@pytest.mark.parametrize("radians", [False, True])
def test_axes_are_known_by_what_files_say_of_them(name, radians, tmp_path):
    y, x, for_y, for_x = AXIS_PAIRS[name]
    scale, unit = (np.pi / 180, {"units": "radians"}) if radians else (1, {})
    xarray.Dataset({"sst": ((y, x), VALUES)}, {y: (y, LATITUDES * scale, for_y | unit), x: (x, LONGITUDES * scale,
                   for_x | unit)}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    read = first(tmp_path / "x.nc")
    np.testing.assert_allclose(read.grid.latitudes, LATITUDES, atol=1e-9)
    np.testing.assert_allclose(read.grid.longitudes, LONGITUDES, atol=1e-9)


STRANGE_PAIRS = {
    "a projection": ({"axis": "Y", "units": "m"}, {"axis": "X", "units": "m"}),
    "a rotated pole": (PLAIN | {"axis": "Y", "standard_name": "grid_latitude"},
                       PLAIN | {"axis": "X", "standard_name": "grid_longitude"}),
    "nothing": ({}, {}),
}


@pytest.mark.parametrize("name", STRANGE_PAIRS)
def test_other_axes_are_refused_with_what_to_write(name, tmp_path):
    xarray.Dataset({"sst": (("y", "x"), VALUES)}, {"y": ("y", LATITUDES, STRANGE_PAIRS[name][0]),
                   "x": ("x", LONGITUDES, STRANGE_PAIRS[name][1])}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with pytest.raises(PictureError, match=r"degrees_north .* standard_name"):
        first(tmp_path / "x.nc")


def test_names_say_date_variable_and_level(tmp_path):
    data = dataset(steps=2).expand_dims(lev=[500.0]).assign_coords(lev=("lev", [500.0], {"units": "hPa"}))
    data.transpose("lev", "time", ...).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    file = EarthFile(tmp_path / "x.nc")
    names = [file.read(layer).name for layer in file.layers(("SST",), stacked=False)]
    assert names == ["x.nc SST 2000-01-01 lev=500hPa", "x.nc SST 2000-01-02 lev=500hPa"]


@pytest.mark.parametrize("values, attributes, label", [
    (np.array(["DJF", "MAM"]), {}, "a=DJF"), (np.array([b"r1i1p1f1"]), {}, "a=r1i1p1f1"),
    (np.array(["two words\n"], object), {}, "a=two words"), (np.array([True]), {}, "a=1"),
    (np.array([6.5]), {"units": "hours since 2000-02-28 12:00"}, "2000-02-28T18:30:00"),
    (np.array([24.0]), {"units": "hours since 2000-02-28"}, "2000-02-29"),
    (np.array([366.0]), {"units": "hour since 0000-01-01"}, "a=366"),
    (np.array([np.nan]), {"units": "days since 2000-01-01"}, "a=nan"),
    (np.array([3.0]), {"units": "months since once"}, "a=3"), (np.array([10.0]), {"units": "m"}, "a=10m"),
])
def test_a_place_on_an_axis_has_a_name(values, attributes, label):
    assert label_of("a", xarray.DataArray(values, dims="a", attrs=attributes), 0) == label
    assert label_of("a", None, 7) == "a[7]"


@pytest.mark.parametrize("name", ["x.nc", "x.zarr"])
def test_variables_in_groups_are_found_beside_those_of_the_root(name, tmp_path):
    """Also where a group has no axes but those of the group that it lies in, and where 0 is a value, or a longitude."""
    own = dataset(variables=("T",)) * 0
    for group, data in ((None, dataset(variables=("R",))), ("sea/surface", dataset(variables=("SST",))),
                        ("air", dataset(variables=("T",))), ("air/aloft", own.drop_vars(list(own.coords)))):
        if name.endswith("nc"):
            data.to_netcdf(tmp_path / name, mode="a", group=group, engine="h5netcdf")
        else:
            data.to_zarr(tmp_path / name, mode="a", group=group, zarr_format=2, consolidated=False)
    for array in tmp_path.rglob(".zarray"):  # as Zarr itself fills what nobody said otherwise of
        array.write_text(json.dumps(json.loads(array.read_text()) | {"fill_value": 0}))
    file = EarthFile(tmp_path / name)
    assert sorted(file.variables) == ["R", "SST", "air/T", "air/aloft/T"]
    for variable, values in (("R", VALUES), ("SST", VALUES), ("air/aloft/T", 0 * VALUES)):
        read = file.read(next(file.layers((variable,), stacked=False)))
        np.testing.assert_allclose(read.values[0], values, atol=1e-5)
        assert read.name == f"{name} {variable} 2000-01-01" and read.valid.all()


def test_one_s_own_files_train_by_default(tmp_path):
    dataset(steps=8).to_netcdf(tmp_path / "whatever I have.nc", engine="h5netcdf")
    from tokenfield.earth.recipes import lainr_climatology

    source = lainr_climatology().data.open(tmp_path, "train")
    assert len(source) == 6 and isinstance(lainr_climatology().data, GriddedConfig)
