"""Coordinates: cell centres in [-1, 1], row-major, and grids that stay tensor products."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.coords import Grid, centers, count, in_pieces

sizes = st.lists(st.integers(1, 13), min_size=1, max_size=3)


def test_centers_are_spec_1s_formula():
    n = 7
    i = torch.arange(n)
    torch.testing.assert_close(centers(n), -1 + 2 * (i + 0.5) / n)
    torch.testing.assert_close(centers(3, 10.0, 16.0, dtype=torch.float64), torch.tensor([11.0, 13.0, 15.0]).double())


def test_centers_are_where_grid_sample_reads_pixels():
    picture = torch.rand(1, 1, 5, 7)
    y, x = torch.meshgrid(centers(5), centers(7), indexing="ij")
    read = F.grid_sample(picture, torch.stack([x, y], -1)[None], align_corners=False)
    torch.testing.assert_close(read, picture)


def test_grid_points_are_row_major_yx():
    grid = Grid.cells(2, 3)
    coords = grid.coords()
    assert len(grid) == count(grid) == len(coords) == 6
    assert grid.shape == (2, 3)
    torch.testing.assert_close(coords[1] - coords[0], torch.tensor([0.0, 2 / 3]))  # x varies fastest
    torch.testing.assert_close(coords[3] - coords[0], torch.tensor([1.0, 0.0]))


def test_a_box_of_a_finer_grid_is_part_of_it():
    whole, part = Grid.cells(10, 10), Grid.box((-1.0, 0.0), (-0.4, 1.0), 3, 5)
    torch.testing.assert_close(part.axes[0], whole.axes[0][:3])
    torch.testing.assert_close(part.axes[1], whole.axes[1][5:])


def test_grid_moves_and_casts_every_axis():
    grid = Grid.cells(2, 3).to(torch.float64)
    assert {axis.dtype for axis in grid.axes} == {torch.float64}
    assert grid.device == torch.device("cpu")


@given(sizes, st.integers(1, 50))
@settings(deadline=None, max_examples=60)
def test_splits_are_consecutive_rows_within_the_chunk(shape, chunk):
    grid = Grid.cells(*shape)
    parts = list(grid.split(chunk))
    torch.testing.assert_close(torch.cat([part.coords() for part in parts]), grid.coords())
    row = len(grid) // shape[0]
    assert all(len(part) <= max(chunk, row) for part in parts)


@given(sizes, st.integers(1, 50))
@settings(deadline=None, max_examples=60)
def test_tiles_cover_a_grid_once_and_never_exceed_the_chunk(shape, chunk):
    grid = Grid.cells(*shape)
    visits = torch.zeros(shape)
    for place, tile in grid.tiles(chunk):
        assert 1 <= len(tile) <= chunk
        assert visits[place].shape == tile.shape
        visits[place] += 1
    assert (visits == 1).all()


def test_tiles_are_near_to_square_but_use_what_a_thin_grid_leaves():
    assert {tile.shape for _, tile in Grid.cells(64, 64).tiles(256)} == {(16, 16)}
    assert {tile.shape for _, tile in Grid.cells(2, 100).tiles(100)} == {(2, 50)}
    assert {tile.shape for _, tile in Grid.cells(100, 1).tiles(25)} == {(25, 1)}


@pytest.mark.parametrize("chunk", [1, 4, 7, 1000])
def test_asking_in_pieces_is_asking_once(chunk):
    def values(coords):
        points = coords.coords() if isinstance(coords, Grid) else coords
        assert count(coords) <= chunk
        return (points if points.ndim == 3 else points[None]).cos().cumsum(-1)  # any function of one point

    grid = Grid.cells(5, 7)
    points = grid.coords()
    own = torch.rand(3, 11, 2)
    torch.testing.assert_close(in_pieces(values, grid, chunk), points[None].cos().cumsum(-1))
    torch.testing.assert_close(in_pieces(values, points, chunk), points[None].cos().cumsum(-1))
    torch.testing.assert_close(in_pieces(values, own, chunk), own.cos().cumsum(-1))


def test_pieces_carry_gradients():
    weight = torch.tensor(1.3, requires_grad=True)
    for coords in (Grid.cells(5, 7), torch.rand(11, 2)):
        points = coords.coords() if isinstance(coords, Grid) else coords

        def values(part):
            return ((part.coords() if isinstance(part, Grid) else part)[None] * weight).sin()

        (whole,) = torch.autograd.grad(values(coords).square().sum(), weight)
        (parts,) = torch.autograd.grad(in_pieces(values, coords, 4).square().sum(), weight)
        torch.testing.assert_close(parts, whole)
        assert len(points) > 4  # there was something to cut
