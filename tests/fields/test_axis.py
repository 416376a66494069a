"""Axes: every point is covered, weights sum to 1, and nothing jumps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.coords import by_kind
from tokenfield.errors import UserError
from tokenfield.fields.axis import BlockAxis, TileAxis, shares, smoothstep
from tokenfield.fields.domains import Tiles

axes = st.builds(TileAxis, st.integers(1, 400), st.integers(4, 61), st.sampled_from([0.01, 1 / 8, 0.2, 1 / 3]))


def positions(axis, n=997):
    """Everywhere along the axis, its pixel centres and both edges."""
    centres = torch.arange(axis.length, dtype=torch.float64) + 0.5
    return torch.cat([torch.linspace(0, axis.length, n, dtype=torch.float64), centres])


@given(axes)
@settings(max_examples=60, deadline=None)
def test_weights_are_a_partition_of_unity(axis):
    at = positions(axis)
    piece, index, weight = shares(axis, at)
    total = torch.zeros_like(at).index_add(0, index, weight)
    assert (total - 1).abs().max() < 1e-12
    assert (weight > 0).all() and piece.min() >= 0 and piece.max() < axis.pieces


@given(axes)
@settings(max_examples=60, deadline=None)
def test_a_point_lies_inside_every_tile_that_it_belongs_to(axis):
    at = positions(axis)
    piece, index, _ = shares(axis, at)
    starts = torch.tensor(axis.starts)[piece]
    assert (at[index] >= starts).all() and (at[index] <= starts + axis.tile).all()
    first, last = at[index] < starts + 0.5, at[index] > starts + axis.tile - 0.5
    # Beyond its outermost pixel centres a tile is asked only where the picture ends.
    assert not (first & (piece > 0) | last & (piece < axis.pieces - 1)).any()


@given(axes)
@settings(max_examples=60, deadline=None)
def test_tiles_cover_the_axis_and_overlap_by_the_ramp(axis):
    assert axis.starts[0] == 0
    assert all(0 < b - a <= axis.tile - axis.shared for a, b in zip(axis.starts, axis.starts[1:], strict=False))
    if axis.length >= axis.tile:
        assert axis.starts[-1] + axis.tile == axis.length
        fewer = (axis.pieces - 1) * (axis.tile - axis.shared) + axis.shared  # what one tile less would cover
        assert axis.pieces == 1 or fewer < axis.length
    for piece in range(axis.pieces):
        pixels = axis.indices(piece)
        assert len(pixels) == axis.tile and pixels.min() >= 0 and pixels.max() < axis.length


@given(axes)
@settings(max_examples=40, deadline=None)
def test_weights_change_no_faster_than_the_ramp_allows(axis):
    # |smoothstep'| <= 3/2 over `ramp` pixels; a jump anywhere would break the bound on a fine sequence of points.
    at = torch.linspace(0, axis.length, 4001, dtype=torch.float64)
    piece, index, weight = shares(axis, at)
    dense = torch.zeros(axis.pieces, len(at), dtype=torch.float64)
    dense[piece, index] = weight
    assert dense.diff(dim=1).abs().max() <= 1.5 / axis.ramp * axis.length / 4000 + 1e-9


def test_smoothstep_is_flat_at_both_ends():
    t = torch.tensor([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    value = smoothstep(t)
    (slope,) = torch.autograd.grad(value.sum(), t)
    assert value.tolist() == [0, 0, 0.15625, 0.5, 1, 1]
    assert slope.tolist() == [0, 0, 1.125, 1.5, 0, 0]


@given(st.integers(1, 300), st.integers(1, 17), st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_blocks_partition_the_cells(length, cell, block):
    axis = BlockAxis(length, cell, block)
    ranges = [axis.cells_of(piece) for piece in range(axis.pieces)]
    assert [i for lo, hi in ranges for i in range(lo, hi)] == list(range(axis.cells))
    assert (axis.cells - 1) * cell < length <= axis.cells * cell
    first, weight = axis.cover(positions(axis, 101))
    assert (weight == 1).all() and first.min() >= 0 and first.max() < axis.pieces
    for piece, k in by_kind(first):
        lo, hi = axis.cells_near(positions(axis, 101)[k], 2)
        assert lo <= max(0, axis.cells_of(piece)[0]) + block and hi <= axis.cells and lo >= 0


def test_groups_keep_order_and_lose_nothing():
    piece = torch.tensor([5, 2, 5, 2, 9])
    assert [(p, k.tolist()) for p, k in by_kind(piece)] == [(2, [1, 3]), (5, [0, 2]), (9, [4])]


@pytest.mark.parametrize(
    "bad", [{"overlap": 0.0}, {"overlap": 0.4}, {"size": (0, 3)}, {"tile": (3, 9)}], ids=lambda bad: str(bad)
)
def test_tiles_reject_what_cannot_be_blended(bad):
    with pytest.raises(UserError):
        Tiles(**{"size": (5, 5), "tile": (9, 9), "overlap": 1 / 8, **bad})
