"""Maps: inverse projections in closed form, equal areas, cells where they lie, a sheet that is drawn."""

import math

import numpy as np
import pytest
import torch
from earth_files import dataset, write
from PIL import Image

from tokenfield.earth.data import GriddedConfig
from tokenfield.earth.globe import encode_field
from tokenfield.earth.maps import maps_of, mollweide, nearest, orthographic, sheet
from tokenfield.earth.models import GriddedLainrConfig
from tokenfield.earth.sphere import LatLon, unit_vectors
from tokenfield.models.lainr import LainrConfig


def test_mollweide_shows_equal_areas_as_equal_areas():
    places = mollweide(400).flatten(0, 1)
    places = places[~places.isnan().any(-1)]
    assert len(places) / (400 * 800) == pytest.approx(math.pi / 4, abs=1e-3)  # an ellipse in its rectangle
    for bound in (0.0, 30.0, 60.0):
        share = (places[:, 0] > bound).float().mean().item()
        assert share == pytest.approx((1 - math.sin(math.radians(bound))) / 2, abs=2e-3)
    assert (places[:, 1] < 90).float().mean().item() == pytest.approx(0.25, abs=2e-3)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (50.0, 10.0), (-90.0, 0.0), (20.0, 200.0)])
def test_orthographic_is_what_is_seen_from_above(centre):
    places = orthographic(21, centre)
    hemisphere = places.flatten(0, 1)
    hemisphere = hemisphere[~hemisphere.isnan().any(-1)].double()
    above = unit_vectors(torch.tensor([centre], dtype=torch.float64))
    assert (unit_vectors(hemisphere) @ above.T > -1e-5).all()  # the near hemisphere
    middle = places[10, 10].double()
    torch.testing.assert_close(unit_vectors(middle), above[0], atol=1e-6, rtol=0)
    east = unit_vectors(places[10, 15].double()) @ above[0]  # 10/21 of the radius away: the sine of the angle
    assert east.item() == pytest.approx(math.sqrt(1 - (10 / 21) ** 2), abs=1e-5)


def test_a_place_shows_the_cell_it_lies_in():
    grid = LatLon.globe(5, 8)
    values = torch.arange(40.0).view(5, 8)
    torch.testing.assert_close(nearest(grid, values, grid.places().float()), values.flatten())
    turned = LatLon(grid.latitudes, grid.longitudes + 90)
    assert nearest(turned, values, torch.tensor([[72.0, 22.5]])).item() == 6  # two columns on, around the Earth
    region = LatLon(torch.tensor([35.0, 25.0], dtype=torch.float64), torch.tensor([-5.0, 5.0], dtype=torch.float64))
    where = torch.tensor([[26.0, 359.0], [39.0, 9.0], [41.0, 0.0], [19.0, 0.0], [30.0, 11.0], [math.nan, 0.0]])
    answers = nearest(region, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), where)
    np.testing.assert_array_equal(answers, [3, 2, math.nan, math.nan, math.nan, math.nan])


@pytest.fixture
def pair(tmp_path):
    sizes = LainrConfig(size=(6, 10), patch=2, padding=0, num_latents=3, latent_dim=4, encoder_dim=16, encoder_depth=1,
                        encoder_heads=2, dim=16, feature_dim=18, sigmas=(4.0,), sigma_q=2.0)
    torch.manual_seed(0)
    path = write(tmp_path / "a.nc", hole=True)
    prepared = next(GriddedConfig(size=(6, 10)).open(path, "train").fields())
    return encode_field(GriddedLainrConfig(lainr=sizes).build().eval(), prepared), prepared.snapshot


def test_a_map_leaves_out_what_is_missing(pair):
    field, snapshot = pair
    truth, drawing, difference = maps_of(field, snapshot, mollweide(60))
    missing = nearest(snapshot.grid, (snapshot.valid[0] == 0).float(), mollweide(60)) == 1
    for one in (truth, drawing, difference):
        assert one.pixels[missing].isnan().all() and one.unit == "degC"
    torch.testing.assert_close(difference.pixels, drawing.pixels - truth.pixels, equal_nan=True)
    places = orthographic(9, (10.0, 20.0))
    (alone,) = maps_of(field, None, places)
    there = ~alone.pixels.isnan()
    assert torch.equal(there, nearest(snapshot.grid, snapshot.valid[0], places) == 1)
    torch.testing.assert_close(alone.pixels[there], field.domain.at(field, places[there])[:, 0])


def test_a_sheet_is_a_picture(pair, tmp_path):
    field, snapshot = pair
    rows = [maps_of(field, snapshot, mollweide(30)), maps_of(field, None, orthographic(30, (0.0, 0.0)))]
    path = sheet(rows, tmp_path / "maps" / "a.png")
    assert Image.open(path).size[0] > 500
    assert dataset().SST.attrs["units"] == rows[0][0].unit
