"""BD-rates of curves whose distance is known, and every format on one small picture."""

import math

import pytest
import torch

from experiments.codec.curves import bd_rate, monotone
from experiments.codec.rates import decibels, measure, report
from experiments.codec.rivals import rivals

CURVE = [(0.1, 28.0), (0.3, 32.0), (0.7, 36.0), (1.5, 40.0), (2.5, 43.0)]


def test_bd_rate_of_known_curves():
    assert bd_rate(CURVE, CURVE) == pytest.approx(0)
    assert bd_rate(CURVE, [(rate / 2, quality) for rate, quality in CURVE]) == pytest.approx(-50)
    assert bd_rate(CURVE, [(rate * 1.3, quality) for rate, quality in reversed(CURVE)]) == pytest.approx(30)
    assert math.isnan(bd_rate(CURVE, [(0.1, 60.0), (0.2, 61.0)]))
    cubic = [(math.exp(0.1 * q - 4), q) for q in (27.0, 31.0, 35.0, 41.0, 44.0)]
    dense = [(math.exp(0.1 * q - 4), q) for q in torch.linspace(27, 44, 40).tolist()]
    assert bd_rate(cubic, dense) == pytest.approx(0, abs=1e-6)


def test_points_that_cost_more_and_give_less_are_left_out():
    assert monotone([(1.0, 30.0), (2.0, 29.0), (3.0, 33.0)])[0] == [30.0, 33.0]


def test_every_format_gives_a_point():
    draw = torch.Generator().manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 24, generator=draw), size=(192, 192), mode="bicubic")
    picture = (picture[0].clamp(0, 1) * 255).round() / 255
    results = {"one": {"a": {name: [measure(codec, picture, q) for q in (20, 60, 90)] for name, codec in
                             rivals().items()}}}
    for name, points in results["one"]["a"].items():
        assert points[0]["bytes"] < points[2]["bytes"] and 20 < points[0]["psnr"] < points[2]["psnr"], name
        assert points[1]["bpp"] == 8 * points[1]["bytes"] / 192**2
    assert "| JPEG 4:2:0 | +0.0 |" in report(results) and "COIN++" in report(results)


def test_similarity_in_decibels():
    assert decibels(0.99) == pytest.approx(20) and decibels(1.0) == pytest.approx(60)
