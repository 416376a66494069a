"""`climate year`, `climate decode`: a year as one field, other grids as netCDF and Zarr, one line for nonsense."""

import numpy as np
import pytest
import xarray
from earth_files import write
from test_accessor import model, stations  # noqa: F401, a fixture

from tokenfield.earth.sphere import LatLon
from tokenfield.models import pretrained


@pytest.fixture
def earth(tmp_path, model):  # noqa: F811
    """A model's folder, a file of twelve steps, and a grid."""
    pretrained.save(model, tmp_path / "model")
    write(tmp_path / "sea.nc", steps=12, hole=True)
    grid = LatLon.globe(5, 8)
    coords = {"lat": ("lat", grid.latitudes.numpy(), {"units": "degrees_north"}),
              "lon": ("lon", grid.longitudes.numpy(), {"units": "degrees_east"})}
    xarray.Dataset(coords=coords).to_netcdf(tmp_path / "grid.nc", engine="h5netcdf")
    stations(9).to_netcdf(tmp_path / "stations.nc", engine="h5netcdf")
    return tmp_path


def test_a_year_is_encoded_and_decoded_on_another_grid_between_its_steps(earth, run):
    outcome = run("climate", "year", earth / "sea.nc", "--model", earth / "model", "-o", earth / "year.field")
    assert outcome.code == 0 and "SST in degC on 7 latitudes x 12 longitudes, 12 steps" in outcome.out
    assert run("info", earth / "year.field").code == 0
    common = "climate", "decode", earth / "year.field", "--model", earth / "model"
    for name, opened in (("out.nc", lambda path: xarray.open_dataset(path, engine="h5netcdf")),
                         ("out.zarr", xarray.open_zarr)):
        done = run(*common, "-o", earth / name, "--like", earth / "grid.nc", "--when", "2000-01-03T12", "2000-01-05")
        assert done.code == 0 and "SST on 2 time x 5 lat x 8 lon" in done.out
        out = opened(earth / name)
        assert out.SST.attrs["units"] == "degC" and out.SST.attrs["cell_methods"] == "area: mean"
        assert list(out.time.values) == list(np.array(["2000-01-03T12", "2000-01-05"], "datetime64[ns]"))
    assert run(*common, "-o", earth / "s.nc", "--like", earth / "stations.nc").code == 0
    assert xarray.open_dataset(earth / "s.nc", engine="h5netcdf").SST.dims == ("time", "station")
    asked = run("climate", "query", earth / "year.field", "--model", earth / "model", "--at", 10, 20, "--when", 2.5)
    assert asked.code == 0 and "SST, degC" in asked.out


NONSENSE = {
    "a text file": (("decode", "Y", "-o", "a.txt"), "ends in .nc or .zarr"),
    "no moment": (("query", "Y", "--at", 1, 2), "12 moments; give one with --when"),
    "beyond its end": (("decode", "Y", "-o", "a.nc", "--when", 99), "times from 99 to 99"),
    "no date": (("decode", "Y", "-o", "a.nc", "--when", "monday"), "give dates such as 2001-02-14"),
    "no file": (("year", "nothing.nc", "-o", "b.field"), "nothing.nc"),
    "no variable": (("year", "S", "-o", "b.field", "--variable", "ICE"), "its variables are SST"),
    "no such place": (("year", "S", "-o", "b.field", "--select", "depth=0"), "give DIM=PLACE"),
    "a folder": (("decode", "Y", "-o", "full.zarr", "--overwrite"), "full.zarr exists already, and a folder of others"),
    "not free": (("year", "S", "-o", "Y"), "would be replaced"),
}


def test_what_makes_no_sense_is_one_line(earth, run):
    run("climate", "year", earth / "sea.nc", "--model", earth / "model", "-o", earth / "year.field")
    for name, (words, message) in NONSENSE.items():
        (earth / "full.zarr").mkdir(exist_ok=True)
        names = {"Y": "year.field", "S": "sea.nc"} | {name: name for name in ("a.nc", "b.field", "full.zarr")}
        paths = {name: earth / file for name, file in names.items()}
        outcome = run("climate", *(paths.get(word, word) for word in words), "--model", earth / "model")
        assert outcome.code == 1, name
        assert len(outcome.lines) == 1 and message in outcome.err, (name, outcome.err)
