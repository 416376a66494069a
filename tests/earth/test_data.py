"""Gridded training data: splits by time, places drawn by area, samples as functions of their place in the run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from earth_files import COLUMNS, LATITUDES, LONGITUDES, ROWS, dataset, truth, write

from tokenfield.earth.data import GriddedConfig, find_earth_files
from tokenfield.errors import UserError

CONFIG = GriddedConfig(size=(6, 10), points=13)


@pytest.fixture
def era5(tmp_path):
    """ANR's layout: a folder with one array per step, named so that sorting is not counting."""
    for step in range(40):
        np.save(tmp_path / f"t{step}.npy", truth(LATITUDES, LONGITUDES, step) + 273.15)
    return tmp_path


def test_anr_s_split_is_of_the_sorted_list_of_files(era5):
    names = sorted(f"t{step}.npy" for step in range(40))
    train, test = (CONFIG.open(era5, split) for split in ("train", "test"))
    assert [layer.path.name for layer in train.layers] == names[:34]  # 0.85 of 40
    assert [layer.path.name for layer in test.layers] == names[38:]  # the last 0.05


def test_months_held_out_of_a_climatology_take_their_levels_and_variables_along(tmp_path):
    data = dataset(steps=12, variables=("SST", "AIRT")).expand_dims(depth=[0.0, 10.0])
    data.to_netcdf(tmp_path / "a.nc", engine="scipy")
    config = replace(CONFIG, holdout="spread", every=4)
    train, test = (config.open(tmp_path, split) for split in ("train", "test"))
    assert {layer.step for layer in test.layers} == {2, 6, 10}
    assert {layer.step for layer in train.layers} == set(range(12)) - {2, 6, 10}
    assert len(test) == 3 * 2 * 2 and len(train) == 9 * 2 * 2


def test_every_file_of_several_steps_is_a_series_of_its_own(tmp_path):
    write(tmp_path / "a.nc", steps=20)
    write(tmp_path / "b.nc", steps=40)
    write(tmp_path / "relief.nc")  # a single step: nothing of it can be held out
    layers = [(layer.path.name, layer.step) for layer in CONFIG.open(tmp_path, "test").layers]
    assert layers == [("a.nc", 19), ("b.nc", 38), ("b.nc", 39)]
    assert ("relief.nc", 0) in [(layer.path.name, layer.step) for layer in CONFIG.open(tmp_path, "train").layers]


def test_a_sample_is_a_function_of_seed_step_and_slot(tmp_path):
    write(tmp_path / "a.nc", steps=5, hole=True)
    first, again = (CONFIG.open(tmp_path, "train") for _ in range(2))
    again.sample(0, 3, 1)  # what was asked before does not matter
    one, other = first.sample(7, 2, 1), again.sample(7, 2, 1)
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert not torch.equal(one["places"], first.sample(7, 2, 0)["places"])
    assert one["places"].shape == (13, 2) and one["values"].shape == one["weights"].shape == (13, 1)


def test_places_are_drawn_by_area_and_never_where_nothing_is(tmp_path):
    write(tmp_path / "a.nc", hole=True)
    source = replace(CONFIG, points=20_000).open(tmp_path, "train")
    sample = source.sample(0, 0, 0)
    assert (sample["weights"] == 1).all()
    field = next(source.fields())
    areas = (field.snapshot.grid.areas * field.snapshot.valid[0]).sum(1)
    rows = (sample["places"][:, :1] - field.snapshot.grid.latitudes.float()).abs().argmin(1)
    shares = torch.bincount(rows, minlength=ROWS) / len(rows)
    torch.testing.assert_close(shares, (areas / areas.sum()).float(), atol=0.01, rtol=0)
    mean = sample["values"].mean()  # a plain mean over places is the mean over the area
    torch.testing.assert_close(mean, field.mean[0], atol=0.2, rtol=0)


def test_values_are_those_of_the_places_cells(tmp_path):
    write(tmp_path / "a.nc")
    sample = CONFIG.open(tmp_path, "train").sample(0, 0, 0)
    for (latitude, longitude), value in zip(sample["places"].tolist(), sample["values"][:, 0], strict=True):
        assert value == pytest.approx(truth(np.array([latitude]), np.array([longitude])).item(), abs=1e-3)


def test_variational_places_stay_within_their_cells(tmp_path):
    write(tmp_path / "a.nc")
    exact, moved = (replace(CONFIG, points=999, jitter=jitter).open(tmp_path, "train").sample(0, 0, 0)["places"]
                    for jitter in ("none", "normal"))
    away = (moved - exact).abs() / torch.tensor([180 / ROWS, 360 / COLUMNS])
    assert 0.1 < away.mean() < 0.15 and away.max() < 0.2501  # E|e| = 0.15 sqrt(2 / pi) = 0.12


def test_all_cells_of_the_encoder_s_grid_weigh_their_area(tmp_path):
    write(tmp_path / "a.nc", hole=True)
    source = replace(CONFIG, points=0).open(tmp_path, "train")
    sample, field = source.sample(0, 0, 0), next(source.fields())
    assert sample["values"].shape == (60, 1)
    weighted = (sample["values"] * sample["weights"]).sum() / sample["weights"].sum()
    torch.testing.assert_close(weighted, field.mean[0], atol=1e-4, rtol=1e-4)


def test_statistics_are_over_the_area_that_was_seen(tmp_path):
    write(tmp_path / "a.nc", hole=True)
    field = next(CONFIG.open(tmp_path, "train").fields())
    weights = (field.snapshot.grid.areas * field.snapshot.valid).flatten()
    values = field.snapshot.values.flatten().double()
    mean = (weights * values).sum() / weights.sum()
    deviation = ((weights * (values - mean) ** 2).sum() / weights.sum()).sqrt()
    present = values[field.snapshot.valid.flatten() > 0]
    torch.testing.assert_close(field.mean[0].double(), mean)
    torch.testing.assert_close(field.deviation[0].double(), deviation)
    torch.testing.assert_close(field.span[0].double(), present.max() - present.min())


def test_channels_together_are_one_sample(tmp_path):
    write(tmp_path / "a.nc", variables=("U", "V"))
    config = replace(CONFIG, variables=("V", "U"), channels="together")
    sample = config.open(tmp_path, "train").sample(0, 0, 0)
    torch.testing.assert_close(sample["values"][:, 0], sample["values"][:, 1] + 10)  # V first, as asked


def test_values_come_in_any_unit(tmp_path):
    write(tmp_path / "a.nc")
    kelvin = replace(CONFIG, variables=("SST",), units=("kelvin",)).open(tmp_path, "train").sample(0, 0, 0)
    plain = replace(CONFIG, variables=("SST",)).open(tmp_path, "train").sample(0, 0, 0)
    torch.testing.assert_close(kelvin["values"], plain["values"] + 273.15)


def test_a_folder_s_unusable_files_are_named_and_the_rest_is_used(tmp_path):
    write(tmp_path / "good.nc", steps=2)
    (tmp_path / "bad.nc").write_text("no data")
    write(tmp_path / "other.nc", variables=("SALT",))
    source = replace(CONFIG, variables=("SST",)).open(tmp_path, "train")
    assert len(source) == 1
    summary = source.skipped.summary()
    assert "bad.nc" in summary and "other.nc (has no SST; its variables are SALT)" in summary


def test_layers_without_any_value_are_skipped_and_named(tmp_path):
    data = dataset(steps=4)
    data.SST[:2] = np.nan
    data.to_netcdf(tmp_path / "a.nc", engine="scipy")
    source = replace(CONFIG, shares=(1.0, 0.0, 0.0)).open(tmp_path, "train")
    assert all(source.sample(0, step, 0)["deviation"] > 0 for step in range(8))
    assert len(list(source.fields())) == 2 and len(source.skipped) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"variables": ("WIND",)}, "none of WIND is there; the variables are SST"),
     ({"files": ("*.grib",)}, "no file .*grib in it")],
)
def test_what_is_not_there_is_one_line(changes, words, tmp_path):
    write(tmp_path / "a.nc")
    with pytest.raises(UserError, match=words):
        replace(CONFIG, **changes).open(tmp_path, "train")


@pytest.mark.parametrize(
    "changes",
    [{"size": (1, 9)}, {"points": -1}, {"shares": (0.5, 0.1, 0.1)}, {"every": 1}, {"channels": "together"},
     {"units": ("K",)}],
)
def test_a_configuration_that_means_nothing_is_refused(changes):
    with pytest.raises(UserError):
        replace(CONFIG, **changes)


def test_a_zarr_folder_is_a_file_and_its_insides_are_not(tmp_path):
    dataset(steps=2).to_zarr(tmp_path / "a.zarr", zarr_format=2)
    write(tmp_path / "b.nc")
    assert [path.name for path in find_earth_files(tmp_path)] == ["a.zarr", "b.nc"]
    assert find_earth_files(tmp_path / "a.zarr") == [tmp_path / "a.zarr"]
    with pytest.raises(UserError, match="no such file"):
        find_earth_files(tmp_path / "nothing")
