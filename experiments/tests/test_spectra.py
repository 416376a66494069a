"""Radial power spectra: Parseval, waves where they are, white noise flat."""

import pytest
import torch

from experiments.fields.spectra import frequencies, power_beyond, power_spectrum, radial_power, spectrum_figure
from tokenfield.evaluation.figures import bicubic

SIZES = [(31, 31), (29, 47), (16, 24), (1, 7)]


def noise(height, width, channels=3, seed=0):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


def wave(height, width, fy, fx):
    """A plane wave of (fy, fx) cycles per pixel."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (2 * torch.pi * (fy * y + fx * x)).cos()[None]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_mean_power_is_the_windowed_pictures_mean_square(height, width):
    image = noise(height, width).double()
    power, centred = power_spectrum(image), image - image.mean((1, 2), keepdim=True)
    windows = ((torch.pi * (torch.arange(n) + 0.5) / n).sin().square() for n in (height, width))
    y, x = (w / w.square().mean().sqrt() for w in windows)
    assert power.mean().item() == pytest.approx((centred * y[:, None] * x).square().mean().item(), rel=1e-6)
    assert frequencies(height, width).max() <= 0.5**0.5 + 1e-12


def test_a_constant_has_no_power_and_scale_counts_squared():
    assert power_spectrum(torch.full((3, 13, 17), 0.7)).max() < 1e-25
    image = noise(13, 17)
    torch.testing.assert_close(power_spectrum(3 * image + 5), 9 * power_spectrum(image), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("f", [(0.25, 0.0), (0.0, 0.25), (0.15, 0.2), (-0.15, 0.2)])
def test_a_wave_is_on_its_ring_in_any_direction(f):
    power = radial_power(wave(64, 64, *f), rings=20)  # |f| = 0.25: the boundary of rings 9 and 10
    assert power[8:12].sum() > 0.99 * power.sum()
    assert power_spectrum(wave(64, 64, *f)).mean().item() == pytest.approx(0.5, rel=0.02)  # the variance of a cosine


def test_what_lies_beyond_is_what_a_smaller_picture_could_not_hold():
    assert power_beyond(wave(64, 64, 0.15, 0.2), 2) < 1e-3 < 0.4 < power_beyond(wave(64, 64, 0.15, 0.2), 3)
    assert power_beyond(wave(64, 64, 0.2, 0.2), 2) < 1e-3  # |f| = 0.28: a diagonal wave that half the pixels still hold
    image = noise(31, 47)
    assert power_beyond(image, 1.0001) < power_beyond(image, 2) < power_beyond(image, 1e9)
    assert power_beyond(image, 1e9) <= power_spectrum(image).mean().item()  # all but frequency zero


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
    beyond = [power_beyond(image, 3) / power_spectrum(image).mean().item() for image in (enlarged, repeated)]
    assert 0 < beyond[0] < 0.15 < beyond[1], beyond


def test_the_figure_is_a_png(tmp_path):
    curves = {name: radial_power(noise(32, 32, seed=i), 8) for i, name in enumerate(("photograph", "bicubic", "a"))}
    path = spectrum_figure(tmp_path / "s.png", curves, 2, title="2x", plain=2)
    assert path.read_bytes()[:4] == b"\x89PNG"
