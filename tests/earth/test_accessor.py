"""xarray in and out: grids, years, stations; cell means, units, masks, CF attributes, deviations that hold."""

import copy

import numpy as np
import pytest
import torch
import xarray
from earth_files import LATITUDES, LONGITUDES, dataset, write

from tokenfield import Field
from tokenfield.earth.accessor import EarthField
from tokenfield.earth.data import GriddedConfig
from tokenfield.earth.globe import Globe, globe_of
from tokenfield.earth.harmonic_field import GriddedHarmonicConfig
from tokenfield.earth.series import GlobeSeries
from tokenfield.earth.sphere import LatLon, cell_means
from tokenfield.errors import UserError
from tokenfield.models import pretrained

SIZE = (7, 12)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Harmonic tokens, begun from the toy series as training begins."""
    path = write(tmp_path_factory.mktemp("earth") / "a.nc", steps=24)
    source = GriddedConfig(size=SIZE, points=40).open(path, "train")
    draws = [source.sample(0, 0, slot) for slot in range(29)]
    own = GriddedHarmonicConfig(size=SIZE, degree=3, patterns=5).build().eval()
    own.initialize({key: torch.stack([draw[key] for draw in draws]) for key in draws[0]})
    return own


def test_a_field_keeps_units_names_and_what_is_missing(model):
    data = dataset(hole=True).isel(time=0)
    data.SST.attrs["standard_name"] = "sea_surface_temperature"
    out = data.tokenfield.encode(model).decode()
    assert out.SST.units == "degC" and out.SST.standard_name == "sea_surface_temperature"
    assert out.Conventions == "CF-1.8" and out.latitude.units == "degrees_north" and out.longitude.axis == "X"
    missing = np.isnan(out.SST.values)
    assert missing[2, 3:5].all() and missing.sum() == 2
    assert not np.isnan(data.tokenfield.encode(model).decode(guesses=True).SST).any()
    np.testing.assert_allclose(out.SST.values[~missing], data.SST.values[~missing], atol=1.5)


@pytest.mark.parametrize("order", [1, -1])
def test_regridding_gives_means_over_cells(model, order):
    """Means over cells of twice the side are means over the four cells in each, by area."""
    encoded = dataset().isel(time=0).tokenfield.encode(model)
    fine, coarse = LatLon.globe(10, 16), LatLon.globe(5, 8)
    axes = [{"lat": ("lat", grid.latitudes.numpy()[::order], {"units": "degrees_north"}),
             "lon": ("lon", grid.longitudes.numpy(), {"units": "degrees_east"})} for grid in (fine, coarse)]
    values, means = (encoded.decode(like=xarray.Dataset(coords=axis), guesses=True).SST for axis in axes)
    assert means.cell_methods == "area: mean" and means.lat.values[0] > means.lat.values[-1]
    area = fine.areas.numpy()
    blocks = (values.values * area).reshape(5, 2, 8, 2).sum((1, 3)) / area.reshape(5, 2, 8, 2).sum((1, 3))
    if order < 0:
        return np.testing.assert_allclose(values, encoded.decode(like=xarray.Dataset(coords={
            **axes[0], "lat": ("lat", fine.latitudes.numpy(), {"units": "degrees_north"})}), guesses=True).SST)
    np.testing.assert_allclose(means.values, blocks, atol=0.25)
    middles = globe_of(encoded.field).at(encoded.field, coarse.places()).view(5, 8).numpy()
    assert abs(means.values - middles).max() > 1.0  # values in the middles are something else


def test_the_mean_over_a_cell_is_exact_for_polynomials():
    grid = LatLon.globe(4, 6)

    def values(where):
        z, x = where[:, 0].deg2rad().sin(), where[:, 1]
        return torch.stack([z**2, x**3], -1)

    mean = cell_means(values, grid, (45.0, 60.0))
    z, x = grid.rows, grid.columns
    torch.testing.assert_close(mean[0, :, 0], ((z**3).diff(dim=-1) / 3 / z.diff(dim=-1))[:, 0].float())
    torch.testing.assert_close(mean[1, 0], ((x**4).diff(dim=-1) / 4 / x.diff(dim=-1))[:, 0].float())


def test_a_year_is_one_field_and_answers_between_months(model, tmp_path):
    data = dataset(steps=9, hole=True)
    encoded = data.tokenfield.encode(model)
    domain = encoded.field.domain
    assert isinstance(domain, GlobeSeries) and encoded.field.native_size == (9, 7, 12)
    months = encoded.decode()
    assert months.SST.dims == ("time", "latitude", "longitude") and str(months.time.values[3])[:10] == "2000-01-04"
    np.testing.assert_allclose(encoded.decode(when=["2000-01-04"]).SST[0], months.SST[3], atol=1e-5)
    truth = dataset(steps=18).SST  # steps 0.7 of a radian apart: the middle is nearer to the cubic than to the chord
    step = data.assign_coords(time=data.time)
    between, chord = encoded.decode(when=[3.5], guesses=True).SST[0], months.SST[3:5].mean("time")
    exact = 30 * np.cos(np.deg2rad(LATITUDES))[:, None] - 5 + 4 * np.cos(np.deg2rad(LATITUDES))[:, None] * np.cos(
        2 * np.deg2rad(LONGITUDES)[None] + 0.7 * 3.5)
    error = {name: float(np.sqrt(np.nanmean((value - exact) ** 2))) for name, value in (("cubic", between.values),
                                                                                        ("chord", chord.values))}
    at_step = float(np.sqrt(np.nanmean((months.SST[3] - step.SST.values[3]) ** 2)))
    assert error["cubic"] < at_step + 0.02 and truth.shape[0] == 18
    with pytest.raises(UserError, match="times from 12 to 12"):
        encoded.decode(when=[12.0])
    encoded.save(tmp_path / "year.field")
    again = Field.load(tmp_path / "year.field", model)
    assert again.domain == domain
    torch.testing.assert_close(again.render(), encoded.field.render())
    assert again.render().shape == (1, 9, 7, 12) and again.to_xarray().dims == ("variable", "time", "latitude",
                                                                              "longitude")


def test_a_climatology_closes(model):
    steps = 12
    data = dataset(steps=steps)
    data.time.attrs["modulo"] = " "
    encoded = data.tokenfield.encode(model)
    assert encoded.field.domain.period == pytest.approx(steps)
    before, after = encoded.decode(when=[-0.5]).SST, encoded.decode(when=[steps - 0.5]).SST
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_weights_of_moments_are_exact_for_cubics():
    times = torch.tensor([0.0, 1.0, 2.5, 3.0, 5.0, 7.0], dtype=torch.float64)
    steps = (dataset_step(),) * 6
    series = GlobeSeries(steps, tuple(times.tolist()))
    when = torch.linspace(0, 7, 29, dtype=torch.float64)
    number, weights = series.weights(when)
    torch.testing.assert_close(weights.sum(1), torch.ones(29, dtype=torch.float64))
    torch.testing.assert_close((weights * (times**3 - times)[number]).sum(1), when**3 - when)


def dataset_step():
    return Globe(size=(2, 3), input_size=(2, 3), latitudes=(45.0, -45.0), longitudes=(60.0, 180.0, 300.0),
                 variables=("a",), units=("",), offset=(0.0,), scale=(1.0,))


def test_written_files_are_read_again(model, tmp_path):
    out = dataset(steps=3, hole=True).tokenfield.encode(model).decode()
    out.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    out.to_zarr(tmp_path / "a.zarr")
    for again in (xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf"), xarray.open_zarr(tmp_path / "a.zarr")):
        xarray.testing.assert_allclose(again, out)
        np.testing.assert_allclose(again.tokenfield.encode(model).decode().SST, out.SST, atol=1.5)


def stations(count, seed=0):
    """Values of the toy field at places drawn by area, one of them missing."""
    draw = np.random.default_rng(seed)
    lat, lon = np.rad2deg(np.arcsin(draw.uniform(-1, 1, count))), draw.uniform(0, 360, count)
    y, x = np.deg2rad(lat), np.deg2rad(lon)
    values = 30 * np.cos(y) - 5 + 4 * np.cos(y) * np.cos(2 * x + 0.7 * 5)
    values[0] = np.nan
    return xarray.Dataset({"SST": ("station", values.astype("f4"), {"units": "degC"})}, {
        "lat": ("station", lat, {"units": "degrees_north"}), "lon": ("station", lon, {"units": "degrees_east"})})


def test_scattered_places_are_encoded_and_every_answer_has_a_deviation(model):
    few, many = (stations(count).tokenfield.encode(model) for count in (40, 140))
    held = stations(300, seed=1)
    truth = held.SST.values
    for encoded, share in ((few, 0.8), (many, 0.8)):
        out = encoded.decode(like=held, deviation=True)
        assert out.SST.dims == ("station",) and out.SST_deviation.units == "degC"
        inside = np.abs(out.SST.values - truth)[1:] < 1.645 * out.SST_deviation.values[1:]  # 90 % of a normal one
        assert inside.mean() > share
    fewer, more = (e.decode(like=held, deviation=True).SST_deviation.mean() for e in (few, many))
    assert more < fewer
    assert float(np.nanmean(np.abs(many.decode(like=held).SST - truth))) < 1.0
    grid = many.decode(like=dataset())
    assert grid.SST.shape == (7, 12)


def test_bad_data_get_one_line(model):
    deep = dataset().expand_dims(depth=[0.0, 10.0])
    with pytest.raises(UserError, match=r"data along depth; select one place of it: --select depth=0"):
        deep.tokenfield.encode(model)
    with pytest.raises(UserError, match="no latitudes and longitudes"):
        xarray.Dataset({"a": ("x", [1.0])}).tokenfield.encode(model)
    with pytest.raises(UserError, match="one moment"):
        dataset().isel(time=0).tokenfield.encode(model).decode(when=[0])
    with pytest.raises(UserError, match="scattered observations"):
        dataset().isel(time=0).tokenfield.encode(model).decode(deviation=True)


def other_type(dtype):
    return lambda model: model.to(dtype)


@pytest.mark.parametrize("change", [*map(other_type, (torch.bfloat16, torch.float16, torch.float64)),
                                    lambda model: torch.compile(model, backend="eager"), torch.nn.DataParallel])
def test_weights_of_other_types_and_wrapped_models(change, model, tmp_path):
    """Used, saved and loaded, the harmonic model gives the same field, but for rounded patterns."""
    data = dataset(steps=2)
    expected = data.tokenfield.encode(model).decode()["SST"]
    changed = change(copy.deepcopy(model))
    for own in (changed, pretrained.load(pretrained.save(changed, tmp_path / "m"))):
        again = data.tokenfield.encode(own).decode()["SST"]
        assert again.dtype == np.float32
        np.testing.assert_allclose(again, expected, atol=0.05)


@pytest.mark.parametrize("change", [lambda: torch.set_default_dtype(torch.float64),
                                    lambda: torch.set_default_dtype(torch.float16),
                                    lambda: torch.set_default_device("meta")])
def test_defaults_of_the_program_around_change_no_globe(change, model, tmp_path):
    data = dataset(steps=2)
    expected = data.tokenfield.encode(model).decode()["SST"]
    try:
        change()
        encoded = data.tokenfield.encode(model)
        encoded.save(tmp_path / "a.field")
        again = EarthField(Field.load(tmp_path / "a.field", model), {}).decode()["SST"]
        np.testing.assert_array_equal(encoded.decode()["SST"], expected)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device("cpu")
    np.testing.assert_array_equal(again, expected)
