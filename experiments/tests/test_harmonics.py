"""Spherical harmonics and coarse grids: orthonormal, exact for what they span, fitted to what is there."""

import json

import numpy as np
import pytest
import torch

from experiments.earth.harmonics import Beside, CoarseGrid, Harmonics
from tokenfield.earth.files import Snapshot
from tokenfield.earth.globe import compare
from tokenfield.earth.harmonics import grid_basis
from tokenfield.earth.models import GriddedLainrConfig
from tokenfield.earth.sphere import LatLon
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig


def snapshot(values, valid=None, grid=None):
    values = values.float()
    valid = torch.ones_like(values) if valid is None else valid
    names = ("x",) * len(values)
    return Snapshot("x", names, names, grid or LatLon.globe(*values.shape[1:]), values * valid, valid)


@pytest.mark.parametrize("hole", [False, True])
def test_they_reproduce_what_they_span(hole):
    grid, generator = LatLon.globe(20, 40), torch.Generator().manual_seed(0)
    coefficients = torch.randn(25, 1, generator=generator, dtype=torch.float64)
    values = (grid_basis(grid, 4) @ coefficients).T.unflatten(1, (20, 40))
    valid = torch.ones(1, 20, 40)
    if hole:
        valid[0, 4:9, 10:20] = 0
    fit = Harmonics(30)(snapshot(values, valid))  # degree 4: 25 of 30
    torch.testing.assert_close(fit, values.float(), atol=2e-3, rtol=0)


def test_more_values_never_fit_worse_and_the_mean_is_the_least():
    torch.manual_seed(0)
    field = snapshot(torch.randn(1, 12, 24))
    errors = [compare(Harmonics(n)(field), field).rmse[0] for n in (1, 4, 25, 100)]
    assert errors == sorted(errors, reverse=True)
    mean = (field.values * field.grid.areas).sum()
    torch.testing.assert_close(Harmonics(3)(field), torch.full((1, 12, 24), mean.item()), atol=1e-4, rtol=0)


def test_a_coarse_grid_gives_a_linear_function_of_its_axes_back_between_its_centres():
    grid = LatLon.globe(36, 72)
    wave = grid.latitudes[:, None] + 0 * grid.longitudes
    coarse = CoarseGrid(2 * 12**2)
    assert coarse.values == 288
    fit = coarse(snapshot(wave[None]))[0]
    inner = slice(6, -6)  # near a pole the mean over a band is not the value at its middle
    torch.testing.assert_close(fit[inner], wave[inner].float(), atol=0.5, rtol=0)


def test_a_coarse_grid_knows_nothing_of_missing_cells():
    valid = torch.ones(1, 8, 16)
    valid[0, :, 3:9] = 0
    field = snapshot(torch.full((1, 8, 16), 5.0), valid)
    fit = CoarseGrid(32)(field)
    torch.testing.assert_close(fit * valid, field.values)


def test_a_model_is_measured_beside_them(tmp_path, capsys):
    torch.manual_seed(0)
    sizes = LainrConfig(size=(6, 10), patch=2, padding=0, num_latents=3, latent_dim=4, encoder_dim=16, encoder_depth=1,
                        encoder_heads=2, dim=16, feature_dim=18, sigmas=(4.0,), sigma_q=2.0)
    pretrained.save(GriddedLainrConfig(lainr=sizes).build(), tmp_path / "model")
    latitudes, longitudes = np.meshgrid(np.linspace(90, -90, 7), np.arange(12) * 30.0, indexing="ij")
    values = 20 * np.cos(np.deg2rad(latitudes)) + np.sin(np.deg2rad(longitudes))
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", values + i)
    beside = Beside(model=str(tmp_path / "model"), data=tmp_path, split="all", json=tmp_path / "out.json")
    assert beside.run() == 0
    assert "harmonics dB" in capsys.readouterr().out
    plain = json.loads((tmp_path / "out.json").read_text())
    assert plain["settings"]["harmonics_values"] == 9 and plain["values_stored"] == 14
    assert [row["fields"] for row in plain["series"]] == [1, 1]
    assert all(row["harmonics_rmse"] < row["deviation"] for row in plain["series"])
