"""The sphere: closed forms of areas and vectors, conservation of integrals, the seam and the poles."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.earth.sphere import Averaging, LatLon, places, plane, unit_vectors


def grid(latitudes, longitudes) -> LatLon:
    return LatLon(torch.tensor(latitudes, dtype=torch.float64), torch.tensor(longitudes, dtype=torch.float64))


def test_unit_vectors_of_known_places():
    vectors = unit_vectors(torch.tensor([[0.0, 0.0], [0.0, 90.0], [90.0, 123.0], [-90.0, 7.0], [0.0, 180.0]]))
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1], [-1, 0, 0]])
    torch.testing.assert_close(vectors, expected, atol=1e-6, rtol=0)


@given(st.floats(-90, 90), st.floats(-720, 720))
def test_unit_vectors_have_length_one_and_come_round(latitude, longitude):
    here, again = unit_vectors(torch.tensor([[latitude, longitude], [latitude, longitude + 360]], dtype=torch.float64))
    torch.testing.assert_close(here.norm(), torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(here, again)


def test_the_plane_is_the_picture_of_the_earth():
    at = torch.tensor([[90.0, 0.0], [0.0, 180.0], [-45.0, -90.0]], dtype=torch.float64)
    torch.testing.assert_close(plane(at), torch.tensor([[-1.0, -1], [0, 0], [0.5, 0.5]], dtype=torch.float64))
    torch.testing.assert_close(places(plane(at)), at.remainder(360) * torch.tensor([0, 1]) + at * torch.tensor([1, 0]))


@pytest.mark.parametrize("height, width", [(2, 2), (2, 3), (7, 13), (90, 180)])
def test_areas_of_the_globe_add_up_to_one(height, width):
    areas = LatLon.globe(height, width).areas
    assert areas.shape == (height, width) and (areas > 0).all()
    assert areas.sum().item() == pytest.approx(1, abs=1e-12)


def test_a_narrow_cell_has_the_area_of_its_cosine():
    areas, latitudes = LatLon.globe(180, 360).areas[:, 0], LatLon.globe(180, 360).latitudes
    cosine = latitudes.deg2rad().cos()
    torch.testing.assert_close(areas / areas.sum(), cosine / cosine.sum(), atol=1e-6, rtol=1e-4)


def test_a_row_on_the_pole_is_a_cap():
    eight = grid([90.0, 45.0, 0.0, -45.0, -90.0], [0.0, 90.0, 180.0, 270.0])
    assert eight.areas.sum().item() == pytest.approx(1)
    assert eight.areas[0].sum().item() == pytest.approx((1 - math.sin(math.radians(67.5))) / 2)


def test_a_region_has_the_area_of_its_box():
    box = grid([29.5, 30.5][::-1], [350.5, 351.5, 352.5])
    expected = (math.sin(math.radians(31)) - math.sin(math.radians(29))) / 2 * 3 / 360
    assert box.areas.sum().item() == pytest.approx(expected)


def test_columns_that_are_not_quite_even_still_meet():
    columns = grid([1.0, 0.0], [20.1, 110.0, 200.1, 290.1]).columns
    assert columns[-1, 1].item() - columns[0, 0].item() == pytest.approx(360)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 11), st.integers(2, 13), st.integers(2, 11), st.integers(2, 13), st.integers(0, 9))
def test_averaging_conserves_the_integral(height, width, rows, columns, seed):
    source, to = LatLon.globe(height, width), LatLon.globe(rows, columns)
    values = torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    averages, share = Averaging(source, to)(values, torch.ones_like(values))
    torch.testing.assert_close(share, torch.ones_like(share))
    torch.testing.assert_close((averages * to.areas).sum((1, 2)), (values * source.areas).sum((1, 2)))


def test_averaging_over_the_same_cells_changes_nothing_wherever_they_begin():
    source, to = LatLon.globe(5, 12), LatLon.globe(5, 12)
    values = torch.rand(1, 5, 12, dtype=torch.float64)
    turned = LatLon(source.latitudes, source.longitudes - 120)  # from -105 to 225, the same cells from another one on
    averages, _ = Averaging(turned, to)(values.roll(4, -1), torch.ones(1, 5, 12, dtype=torch.float64))
    torch.testing.assert_close(averages, values)


def test_missing_cells_take_no_part():
    source, to = LatLon.globe(4, 8), LatLon.globe(2, 4)
    values, valid = torch.full((1, 4, 8), 3.0), torch.ones(1, 4, 8)
    values[0, :, ::2], valid[0, :, ::2] = 1e9, 0  # every second column is missing
    valid[0, :2, :2] = 0  # and one new cell altogether
    averages, share = Averaging(source, to)(values, valid)
    assert averages[0, 0, 0] == 0 and share[0, 0, 0] == 0
    torch.testing.assert_close(averages.flatten()[1:], torch.full((7,), 3.0))
    torch.testing.assert_close(share.flatten()[1:], torch.full((7,), 0.5))


def test_a_region_is_seen_where_it_is_and_nowhere_else():
    box = grid([35.0, 25.0], [-5.0, 5.0])  # latitudes 20 to 40 around longitude 0
    averages, share = Averaging(box, LatLon.globe(9, 18))(torch.full((1, 2, 2), 7.0), torch.ones(1, 2, 2))
    assert {tuple(k) for k in share[0].nonzero().tolist()} == {(2, 0), (2, 17), (3, 0), (3, 17)}
    assert (averages[share > 0] == 7).all()
