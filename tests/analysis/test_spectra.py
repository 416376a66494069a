"""Radial power spectra: Parseval, waves where they are, white noise flat."""

from itertools import pairwise

import pytest
import torch

from tokenfield.analysis.figures import bicubic
from tokenfield.analysis.spectra import frequencies, power_between, power_spectrum, radial_power, spectrum_figure

SIZES = [(31, 31), (29, 47), (16, 24), (1, 7)]


def noise(height, width, channels=3, seed=0):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


def wave(height, width, fy, fx):
    """A plane wave of (fy, fx) cycles per pixel."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (2 * torch.pi * (fy * y + fx * x)).cos()[None]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_all_bands_together_are_the_whole_power(height, width):
    image, edges = noise(height, width), [0, 0.11, 0.3, 0.5, 1]
    bands = [power_between(image, low, high) for low, high in pairwise(edges)]
    assert sum(bands) == pytest.approx(power_spectrum(image).mean().item())
    assert frequencies(height, width).max() <= 0.5**0.5 + 1e-12


def test_a_constant_has_no_power_and_scale_counts_squared():
    assert power_spectrum(torch.full((3, 13, 17), 0.7)).max() < 1e-25
    image = noise(13, 17)
    torch.testing.assert_close(power_spectrum(3 * image + 5), 9 * power_spectrum(image), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("f", [(0.25, 0.0), (0.0, 0.25), (0.15, 0.2), (-0.15, 0.2)])
def test_a_wave_is_on_its_ring_in_any_direction(f):
    power = radial_power(wave(64, 64, *f), rings=20)  # |f| = 0.25: the boundary of rings 9 and 10
    assert power[8:12].sum() > 0.99 * power.sum()
    inside, radius = power_between(wave(64, 64, *f), 0.2, 0.3), sum(c * c for c in f) ** 0.5
    assert radius == pytest.approx(0.25)
    assert inside == pytest.approx(0.5, rel=0.02)  # the variance of a cosine


def test_white_noise_is_flat_at_its_variance():
    power = torch.stack([radial_power(noise(64, 64, seed=seed), rings=8) for seed in range(8)]).mean(0)
    torch.testing.assert_close(power[1:], torch.full((7,), 1 / 12, dtype=torch.float64), rtol=0.15, atol=0)


def test_directions_do_not_matter():
    image = noise(30, 30)
    for turned in (image.flip(1), image.flip(2), image.rot90(1, (1, 2))):
        torch.testing.assert_close(radial_power(turned, 9), radial_power(image, 9))


def test_empty_rings_are_nan_and_nothing_else_is():
    power = radial_power(noise(4, 4), rings=8)  # |f| in 0, 1/4, sqrt(2)/4, 1/2, ...
    assert power.isfinite().nonzero().flatten().tolist() == [0, 4, 5]


def test_interpolation_adds_next_to_nothing_beyond_the_nyquist_of_what_it_enlarges():
    small = noise(24, 24)
    enlarged, repeated = bicubic(small, 72, 72), small.repeat_interleave(3, 1).repeat_interleave(3, 2)
    beyond = [power_between(image, 0.5 / 3, 1) / power_between(image, 0, 0.5 / 3) for image in (enlarged, repeated)]
    assert 0 < beyond[0] < 0.1 < beyond[1]


def test_the_figure_is_a_png(tmp_path):
    curves = {name: radial_power(noise(32, 32, seed=i), 8) for i, name in enumerate(("photograph", "bicubic", "a"))}
    path = spectrum_figure(tmp_path / "s.png", curves, 2, title="2x", plain=2)
    assert path.read_bytes()[:4] == b"\x89PNG"
