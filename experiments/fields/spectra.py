"""How much of a picture is where in frequency: radial power spectra, which show aliasing as it is.

A picture of n pixels knows nothing above half a cycle per pixel, its Nyquist frequency. A field that was encoded from
it and is rendered larger answers for frequencies above: a photograph has some power there, falling steeply; an
interpolation has nearly none; a field that learned high frequencies from samples on one grid has too much, since those
frequencies were free there (they alias to lower ones) and come out at any other position.

Power is in units of squared value per frequency cell, so that its mean over all frequencies is the picture's variance
(Parseval), whatever the picture's size.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.io.charts import COLOURS, INK, SHADE, plot

NYQUIST = 0.5
"""Cycles per pixel."""


def power_spectrum(image: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """|F|^2 at every frequency (row fy, column fx, in `fft` order), mean over channels, float64.

    Means are subtracted and the rest is multiplied by a squared-sine (Hann) window of mean square 1: a picture does not
    end where it began, and without the window that step would fill all frequencies with a cross of power.

    Returns:
        Mean over all (fy, fx) = mean square of the windowed picture.
    """
    values = image.detach().double().cpu()
    values = values - values.mean((1, 2), keepdim=True)
    window = _window(values.shape[1])[:, None] * _window(values.shape[2])
    spectrum: Tensor = torch.fft.fft2(values * window, norm="ortho")
    return spectrum.abs().square().mean(0)


def _window(n: int) -> Float[Tensor, " n"]:
    """sin^2 over n cells, at their centres, so that no cell is lost; mean square 1."""
    window = (torch.pi * (torch.arange(n, dtype=torch.float64) + 0.5) / n).sin().square()
    return window / window.square().mean().sqrt()


def _cycles(n: int) -> Float[Tensor, " n"]:
    """Signed frequencies along an axis of n pixels, in cycles per pixel."""
    cycles: Tensor = torch.fft.fftfreq(n, dtype=torch.float64)
    return cycles


def frequencies(height: int, width: int) -> Float[Tensor, "h w"]:
    """|f| of every entry of `power_spectrum`, in cycles per pixel."""
    fy, fx = _cycles(height), _cycles(width)
    return (fy[:, None].square() + fx.square()).sqrt()


def radial_power(image: Float[Tensor, "c h w"], rings: int) -> Float[Tensor, " rings"]:
    """Mean power on rings of equal width between |f| = 0 and half a cycle per pixel.

    Ring k covers k / (2 rings) <= |f| < (k + 1) / (2 rings); rings that no frequency of the picture falls on are NaN.
    The corners beyond half a cycle, where only diagonal directions exist, are left out.
    """
    power, radius = power_spectrum(image), frequencies(*image.shape[1:])
    ring = (radius * 2 * rings).floor().long()
    inside = ring < rings
    total = torch.zeros(rings, dtype=torch.float64).index_add_(0, ring[inside], power[inside])
    return total / torch.bincount(ring[inside], minlength=rings)


def power_beyond(image: Float[Tensor, "c h w"], scale: float | int) -> float:
    """The part of a (windowed) picture's variance that a picture `scale` times smaller could not hold.

    Its frequencies fill the square max(|fy|, |fx|) < 1 / (2 scale); what lies outside is counted.
    """
    fy, fx = (_cycles(n).abs() for n in image.shape[1:])
    beyond = (fy[:, None] >= NYQUIST / scale) | (fx >= NYQUIST / scale)
    return float((power_spectrum(image) * beyond).mean())


def spectrum_figure(
    path: Path, curves: Mapping[str, Float[Tensor, " rings"]], scale: int, *, title: str, plain: int = 1
) -> Path:
    """Radial spectra of pictures rendered `scale` times as large as what was encoded, on one logarithmic axis.

    Args:
        path: of the PNG file.
        curves: `radial_power` by name; those before `plain` are what the others are measured against, in ink.
        scale: over the encoded size; frequencies are drawn in cycles per encoded pixel, whose Nyquist is marked.
        title: of the chart.
        plain: how many of the first curves are in ink: full, then dashed, dotted.
    """
    labels = {"xlabel": "cycles per encoded pixel", "ylabel": "power", "yscale": "log"}
    with plot(path, title=title, size=(10.0, 4.8), **labels) as axes:
        axes.axvspan(NYQUIST, scale / 2, color=SHADE, linewidth=0)
        axes.text(NYQUIST, 0.02, " beyond the encoded pixels", transform=axes.get_xaxis_transform(), fontsize=10)
        for number, (name, power) in enumerate(curves.items()):
            at = scale * (torch.arange(len(power)) + 0.5) / (2 * len(power))
            ink = number < plain
            colour = INK if ink else COLOURS[(number - plain) % len(COLOURS)]
            style = ("-", "--", ":")[number % 3] if ink else ("-", "--", ":")[(number - plain) // len(COLOURS) % 3]
            axes.plot(at, power, style, color=colour, linewidth=1.6 if ink and not number else 1.1, label=name)
        axes.set_xlim(0, scale / 2)
    return path
