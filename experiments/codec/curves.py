"""Curves of rate and distortion, and the mean distance between two of them: the BD-rate.

BD-rate (Bjontegaard 2001): the mean over a range of distortions of the difference between two curves' logarithms of the
rate, as a percentage; -20 % is a fifth of the bytes less at equal distortion. The logarithm of the rate is interpolated
over the distortion by monotone cubic pieces (PCHIP), which unlike the polynomial of the original cannot overshoot. The
range is where both curves are, and where the reference's rate is between `LOW` and `HIGH` bits per pixel.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

LOW, HIGH = 0.15, 2.0
POINTS = 400

Curve = Sequence[tuple[float, float]]
"""(bits per pixel, distortion measure that rises with quality)."""


def bd_rate(reference: Curve, other: Curve) -> float:
    """Percent; NaN where the curves have no distortion in common within the range."""
    first, second = (PchipInterpolator(*monotone(curve)) for curve in (reference, other))
    low = max(first.x[0], second.x[0])
    high = min(first.x[-1], second.x[-1])
    if low >= high:
        return math.nan
    grid = np.linspace(low, high, POINTS)
    rate = first(grid)
    inside = (rate >= math.log(LOW)) & (rate <= math.log(HIGH))
    if not inside.any():
        return math.nan
    return 100 * (math.exp(float((second(grid) - rate)[inside].mean())) - 1)


def monotone(curve: Curve) -> tuple[list[float], list[float]]:
    """Distortions and logarithms of rates, without the points that cost more and give less."""
    points: list[tuple[float, float]] = []
    for rate, quality in sorted(curve):
        if not points or quality > points[-1][0]:
            points.append((quality, math.log(rate)))
    return [quality for quality, _ in points], [rate for _, rate in points]
