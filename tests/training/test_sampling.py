"""Which coordinates a step asks for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.coords import Grid, count
from tokenfield.errors import UserError
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.sampling import CoordinateConfig, Sampling, draw

HEIGHT, WIDTH = 11, 17


def points(sampling: Sampling) -> torch.Tensor:
    return sampling.coords.coords() if isinstance(sampling.coords, Grid) else sampling.coords


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


configs = st.builds(
    CoordinateConfig,
    jitter=st.sampled_from(["none", "pixel", "axis", "normal", "normal-axis"]),
    fraction=st.sampled_from([1.0, 0.5, 0.1, 0.001]),
    subset=st.sampled_from(["points", "grid"]),
)


@given(config=configs, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_coordinate_lies_in_the_pixel_that_answers_it(config, seed):
    sampling = draw(config, HEIGHT, WIDTH, seeded(seed))
    index = torch.arange(HEIGHT * WIDTH, dtype=torch.float32).view(1, 1, HEIGHT, WIDTH)
    answer = sampling.gather(index)[0, :, 0].long()  # the number of the pixel behind every coordinate
    y, x = points(sampling).unbind(-1)
    pixel_y, pixel_x = (y + 1) / 2 * HEIGHT, (x + 1) / 2 * WIDTH
    slack = 1e-4  # float32 rounding at the edges of pixels
    assert ((answer // WIDTH - slack <= pixel_y) & (pixel_y <= answer // WIDTH + 1 + slack)).all()
    assert ((answer % WIDTH - slack <= pixel_x) & (pixel_x <= answer % WIDTH + 1 + slack)).all()
    assert answer.unique().numel() == answer.numel() == count(sampling.coords)  # no pixel twice


@pytest.mark.parametrize(
    ("changes", "is_grid"),
    [
        ({"jitter": "none"}, True),
        ({"jitter": "axis"}, True),
        ({"jitter": "normal-axis"}, True),
        ({"jitter": "normal-axis", "fraction": 0.3, "subset": "points"}, False),
        ({"jitter": "pixel"}, False),
        ({"jitter": "normal"}, False),
        ({"jitter": "axis", "fraction": 0.3, "subset": "grid"}, True),
        ({"jitter": "none", "fraction": 0.3, "subset": "points"}, False),
        ({"jitter": "axis", "fraction": 0.3, "subset": "points"}, False),
    ],
)
def test_tensor_products_stay_grids(changes, is_grid):
    assert isinstance(draw(ReconstructionConfig(**changes), HEIGHT, WIDTH, seeded()).coords, Grid) == is_grid


def test_without_noise_all_coordinates_are_the_pixel_centres():
    sampling = draw(ReconstructionConfig(jitter="none"), HEIGHT, WIDTH, seeded())
    assert torch.equal(points(sampling), Grid.cells(HEIGHT, WIDTH).coords())


@pytest.mark.parametrize("jitter", ["axis", "normal-axis"])
def test_axis_noise_of_scattered_points_is_one_offset_per_row_and_per_column(jitter):
    sampling = draw(ReconstructionConfig(jitter=jitter, fraction=0.9), HEIGHT, WIDTH, seeded())
    for axis, index in enumerate((sampling.rows, sampling.columns)):
        for i in index.unique():
            assert sampling.coords[index == i, axis].unique().numel() == 1


def test_noise_fills_the_pixel_evenly():
    draws = torch.cat(
        [points(draw(ReconstructionConfig(jitter="pixel"), 3, 5, seeded(s)))[:, 0] for s in range(400)]
    )  # (6000,), uniform on [-1, 1]
    assert abs(draws.mean()) < 0.03  # standard error 0.0075
    assert abs(draws.var() - 1 / 3) < 0.02


@pytest.mark.parametrize("jitter", ["normal", "normal-axis"])
@pytest.mark.parametrize(("height", "width"), [(41, 41), (13, 41), (41, 7)])
def test_variational_coordinates_have_the_spread_of_anr(height, width, jitter):
    config, still = ReconstructionConfig(jitter=jitter), Grid.cells(height, width).coords()
    seeds = range(9) if jitter == "normal" else range(600)  # few offsets per draw where rows and columns share them
    offsets = torch.stack([points(draw(config, height, width, seeded(s))) - still for s in seeds])
    p = 1 / 41  # half a pixel of the longer side: noise of N(0, (0.3 p)^2), clipped to +-0.5 p
    assert offsets.abs().max() <= 0.5 * p + 1e-6
    for axis in offsets.flatten(0, 1).unbind(-1):
        assert (axis.abs() > 0.499 * p).float().mean() == pytest.approx(0.0956, abs=0.015)  # P(|N| > 5/3)
        assert axis.std() == pytest.approx(0.28 * p, rel=0.04)  # of the clipped normal distribution


@pytest.mark.parametrize("jitter", ["pixel", "normal"])
@pytest.mark.parametrize("changes", [{}, {"fraction": 0.3}, {"fraction": 0.3, "subset": "grid"}])
def test_noise_of_its_own_for_every_picture_does_not_depend_on_how_a_batch_is_shared_out(jitter, changes):
    config = ReconstructionConfig(jitter=jitter, noise="instance", **changes)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=seeded(3))
    whole = draw(config, HEIGHT, WIDTH, seeded(), images)
    parts = [draw(config, HEIGHT, WIDTH, seeded(), part) for part in (images[:2], images[2:])]
    assert torch.equal(whole.coords, torch.cat([part.coords for part in parts]))
    assert all(torch.equal(whole.rows, p.rows) and torch.equal(whole.columns, p.columns) for p in parts)
    assert whole.coords.shape == (5, len(whole.rows), 2) and count(whole.coords) == len(whole.rows)
    assert (whole.coords[0] - whole.coords[1]).abs().mean() > 1e-3  # pictures differ, and so do steps:
    assert not torch.equal(whole.coords, draw(config, HEIGHT, WIDTH, seeded(1), images).coords)
    pieces = list(whole.split(3))
    assert torch.equal(torch.cat([piece.coords for piece in pieces], 1), whole.coords)
    assert torch.equal(torch.cat([piece.gather(images) for piece in pieces], 1), whole.gather(images))


def test_a_pictures_own_noise_lies_in_its_pixels():
    config = ReconstructionConfig(jitter="pixel", noise="instance")
    sampling = draw(config, HEIGHT, WIDTH, seeded(), torch.rand(2, 1, HEIGHT, WIDTH, generator=seeded(4)))
    cell = ((sampling.coords + 1) / 2 * torch.tensor([HEIGHT, WIDTH])).floor()
    assert (cell[..., 0] == sampling.rows).float().mean() > 0.999  # but for rounding at the edges
    assert (cell[..., 1] == sampling.columns).float().mean() > 0.999


@pytest.mark.parametrize("jitter", ["none", "axis", "normal-axis"])
def test_noise_that_is_shared_cannot_differ_between_pictures(jitter):
    with pytest.raises(UserError, match="noise instance with"):
        ReconstructionConfig(jitter=jitter, noise="instance")


def test_fractions_count_coordinates():
    assert count(draw(ReconstructionConfig(fraction=0.1), 20, 30, seeded()).coords) == 60
    grid = draw(ReconstructionConfig(jitter="none", fraction=0.25, subset="grid"), 20, 30, seeded()).coords
    assert grid.shape == (10, 15)
    assert count(draw(ReconstructionConfig(fraction=1e-6), 20, 30, seeded()).coords) == 1


@pytest.mark.parametrize("changes", [{}, {"jitter": "axis"}, {"jitter": "none", "fraction": 0.37}])
@pytest.mark.parametrize("blocks", [1, 2, 5, 1000])
def test_blocks_put_together_are_the_whole(changes, blocks):
    sampling = draw(ReconstructionConfig(**changes), HEIGHT, WIDTH, seeded())
    images = torch.rand(2, 3, HEIGHT, WIDTH, generator=seeded(5))
    parts = list(sampling.split(blocks))
    assert len(parts) <= blocks
    assert torch.equal(torch.cat([points(p) for p in parts]), points(sampling))
    assert torch.equal(torch.cat([p.gather(images) for p in parts], 1), sampling.gather(images))


@pytest.mark.parametrize(
    "changes",
    [{"fraction": 0.0}, {"fraction": 1.5}, {"row_blocks": 0}, {"zoom": 0}, {"row_blocks": 2, "zoom": 2}],
)
def test_meaningless_settings_are_refused(changes):
    with pytest.raises(UserError, match="objective"):
        ReconstructionConfig(**changes)


def test_points_of_every_pictures_own_differ_between_pictures_and_are_theirs():
    images = torch.rand(3, 2, 11, 13, generator=torch.Generator().manual_seed(1))
    config = CoordinateConfig(jitter="none", fraction=0.2, subset="own")
    whole = draw(config, 11, 13, torch.Generator().manual_seed(5), images)
    assert whole.coords.shape == (3, round(0.2 * 143), 2) and not torch.equal(whole.rows[0], whole.rows[1])
    values = whole.gather(images)
    for b in range(3):
        expected = images[b, :, whole.rows[b], whole.columns[b]].T
        assert torch.equal(values[b], expected)
        centres = torch.stack([2 * (whole.rows[b] + 0.5) / 11 - 1, 2 * (whole.columns[b] + 0.5) / 13 - 1], -1)
        torch.testing.assert_close(whole.coords[b], centres)
    part = draw(config, 11, 13, torch.Generator().manual_seed(5), images[1:2])  # however a batch is shared out
    assert torch.equal(part.rows[0], whole.rows[1])
    blocks = list(whole.split(4))
    assert torch.equal(torch.cat([block.gather(images) for block in blocks], 1), values)


def test_own_points_with_shared_rows_are_refused():
    with pytest.raises(UserError, match=r"subset own with objective\.jitter axis"):
        CoordinateConfig(jitter="axis", fraction=0.5, subset="own")
