"""Rendering below the native size: means over boxes, exact where the head allows it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.coords import Grid, centers
from tokenfield.fields.field import Field
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.nn.anchors import fade, harmonics


@settings(deadline=None, max_examples=25)
@given(cell=st.integers(2, 9), span=st.integers(1, 9), at=st.floats(-0.9, 0.9))
def test_the_fade_is_the_mean_of_point_samples_one_pixel_apart(cell, span, at):
    offsets = (torch.arange(span, dtype=torch.float64) - (span - 1) / 2) / cell  # in cells
    samples = harmonics(torch.tensor(at, dtype=torch.float64) + offsets, 2 * cell).mean(0)
    faded = harmonics(torch.tensor(at, dtype=torch.float64), 2 * cell) * fade(2 * cell, cell, float(span))
    torch.testing.assert_close(faded, samples, atol=1e-6, rtol=0)


def test_one_pixel_fades_nothing_and_high_frequencies_fade_first():
    assert torch.equal(fade(14, 7, 1.0), torch.ones(14))
    faded = fade(14, 7, 1.7)
    assert faded[0] == 1 and (faded.diff() < 0).all()


def anchored(sharpness: float = 60.0):
    torch.manual_seed(1)
    config = AnchoredConfig(
        cell=6,
        latent_dim=5,
        encoder_dim=16,
        decoder_dim=16,
        head_dim=8,
        harmonics=12,
        sharpness=sharpness,
        start="random",
    )
    return config.build().eval()


@pytest.mark.parametrize("reduction", [2, 3, 6])
def test_whole_pixels_of_an_anchored_field_are_the_mean_of_its_pixels(reduction):
    model, picture = anchored(), torch.rand(3, 24, 36)
    field = Field.of(model, picture)
    full = field.render(24, 36)
    small = field.render(24 // reduction, 36 // reduction)
    mean = torch.nn.functional.avg_pool2d(full, reduction)
    assert (small - mean).abs().max() < 1e-4 * full.abs().max() + 1e-5  # the sharp window leaves 1e-6 of a neighbour


def test_boxes_larger_than_a_cell_are_means_of_smaller_ones():
    field = Field.of(anchored(), torch.rand(3, 24, 36))
    mean = torch.nn.functional.avg_pool2d(field.render(24, 36), 12)
    torch.testing.assert_close(field.render(2, 3), mean, atol=1e-4, rtol=1e-4)


def test_models_without_an_integral_average_points():
    torch.manual_seed(2)
    config = LainrConfig(
        size=(13, 13),
        patch=5,
        padding=1,
        num_latents=3,
        latent_dim=7,
        encoder_dim=16,
        encoder_depth=1,
        encoder_heads=2,
        dim=16,
        feature_dim=16,
    )
    field = Field.of(config.build().eval(), torch.rand(3, 26, 39))
    mean = torch.nn.functional.avg_pool2d(field.render(26, 39), 13)
    torch.testing.assert_close(field.render(2, 3), mean, atol=1e-5, rtol=1e-5)


def test_point_sampling_on_request_and_at_or_above_the_native_size():
    field = Field.of(anchored(), torch.rand(3, 24, 36))
    grid = Grid(tuple(centers(n, dtype=torch.float64) for n in (8, 12)))
    torch.testing.assert_close(field.render(8, 12, antialias=False).flatten(1).T, field(grid))
    assert torch.equal(field.render(24, 36), field.render(24, 36, antialias=False))
    assert torch.equal(field.render(48, 72), field.render(48, 72, antialias=False))


def test_a_box_of_pixels_is_those_pixels():
    """In floating point it is a little more or less than they are, and means of two points are not those pixels."""
    field = Field.of("photos-zoom", torch.rand(3, 17, 23))
    crop = field.crop(field.pixel_box(5, 5, 9, 9), (4, 4))
    torch.testing.assert_close(crop, field.render()[:, 5:9, 5:9], rtol=0, atol=1e-5)


def test_bands_and_tiles_change_nothing():
    field = Field.of(anchored(), torch.rand(3, 24, 36))
    whole = field.render(7, 11)
    bands = torch.cat(list(field.rows(7, 11, points=23)), 1)
    torch.testing.assert_close(bands, whole, atol=1e-6, rtol=1e-6)
