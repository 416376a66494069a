"""Derivatives and means are those of the function: finite differences and fine sums in float64 agree."""

import pytest
import torch
from small_systems import CONFIGS, NAMES, images

from tokenfield import Field
from tokenfield.coords import Grid, centers
from tokenfield.errors import UserError
from tokenfield.fields import calculus

POINTS = torch.rand(6, 2, generator=torch.Generator().manual_seed(5), dtype=torch.double) * 1.8 - 0.9


def field_of(name: str) -> Field:
    if name == "autoencoder-kl":
        pytest.importorskip("diffusers")
    torch.manual_seed(0)
    model = CONFIGS[name].build().eval()
    field = Field.of(model, images()[0])
    model.double()
    return Field(model, field.tokens.double(), field.domain)


@pytest.fixture(params=NAMES)
def field(request):
    return field_of(request.param)


def close(values, expected, rtol=1e-3):
    """At nearly all points: a kink may lie between two points of a difference."""
    off = ((values - expected).flatten(1).abs().amax(1) > rtol * expected.abs().max().clamp(min=1e-3)).sum()
    assert off <= 2, (values - expected).abs().max()


def test_a_gradient_is_that_of_differences(field):
    values = field.gradient(POINTS)
    steps = torch.eye(2, dtype=torch.double) * 1e-6
    with torch.no_grad():
        expected = torch.stack([(field(POINTS + e) - field(POINTS - e)) / 2e-6 for e in steps], -1)
    assert values.shape == (6, 3, 2) and not values.requires_grad
    close(values, expected)


def test_a_laplacian_is_that_of_second_differences(field):
    values, h = field.laplacian(POINTS), 1e-4
    steps = torch.eye(2, dtype=torch.double) * h
    with torch.no_grad():
        expected = sum(field(POINTS + e) - 2 * field(POINTS) + field(POINTS - e) for e in steps) / h**2
    assert values.shape == (6, 3) and not values.requires_grad
    close(values, expected, 1e-2)


def test_a_laplacian_is_exact_between_the_kinks_of_relus():
    """Over 2e-4 differences of the gradient see kinks of the decoder; over 2e-7 there are none in between."""
    field, step = field_of("lainr"), 1e-7
    rise = [field.gradient(POINTS + e)[..., i] - field.gradient(POINTS - e)[..., i]
            for i, e in enumerate(torch.eye(2, dtype=torch.double) * step)]
    torch.testing.assert_close(sum(rise) / (2 * step), field.laplacian(POINTS), rtol=1e-4, atol=1e-4)


def test_a_mean_is_that_of_many_points(field):
    boxes = [(-0.3, -0.2, 0.4, 0.1), (-1.0, -1.0, 1.0, 1.0), (0.1, 0.1, 0.1001, 0.11)]
    values = field.mean(boxes)
    for one, (top, left, bottom, right) in zip(values, boxes, strict=True):
        grid = Grid((centers(400, top, bottom, dtype=torch.double), centers(400, left, right, dtype=torch.double)))
        with torch.no_grad():
            expected = field(grid).mean(0)
        torch.testing.assert_close(one, expected, rtol=1e-2, atol=1e-3)


def test_gradients_chunked_are_the_whole(monkeypatch):
    field = field_of("lainr")
    whole = field.gradient(POINTS), field.laplacian(POINTS)
    monkeypatch.setattr(calculus, "POINTS", 4)
    torch.testing.assert_close((field.gradient(POINTS), field.laplacian(POINTS)), whole)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_derivatives_are_taken_where_nothing_is_recorded(mode):
    """They were zero there, without a word; and what inference_mode made could not be differentiated after it."""
    field = field_of("lainr")
    with mode():
        made, points = field.with_tokens(field.tokens * 1.0), POINTS * 1.0
        inside = made.gradient(points), made.laplacian(points)
    for got in (inside, (made.gradient(points), made.laplacian(points))):
        torch.testing.assert_close(got, (field.gradient(POINTS), field.laplacian(POINTS)))


def test_weights_of_inference_mode_are_one_line():
    with torch.inference_mode():
        field = field_of("lainr")
    with pytest.raises(UserError, match="which autograd takes none of"):
        field.gradient(POINTS)


def test_a_recorded_gradient_goes_on():
    points = POINTS.clone().requires_grad_()
    field = field_of("lainr")
    (values,) = torch.autograd.grad(field.gradient(points).square().sum(), points)
    assert values.abs().max() > 0


def test_nodes_are_exact_for_what_is_cubic_between_half_pixels():
    low, high, pixels = -0.37, 0.81, 7

    def knotted(x):  # |.|^3 with knots at a pixel's centre and at an edge
        return (x - (2 * 3 / pixels - 1)).abs() ** 3 + (x - (2 * 4.5 / pixels - 1)).abs()

    at, weights = calculus.nodes(low, high, pixels)
    fine = centers(2_000_000, low, high, dtype=torch.double)
    assert float(weights.sum()) == pytest.approx(1)
    assert float(weights @ knotted(at)) == pytest.approx(float(knotted(fine).mean()), rel=1e-9)


@pytest.mark.parametrize("box", [(0.5, 0, 0.5, 1), (-1.1, 0, 0, 1), (0, 0.2, 1, 0.1)])
def test_boxes_that_are_none_are_refused(box):
    with pytest.raises(UserError, match="give \\(top, left, bottom, right\\)"):
        field_of("ipc").mean([box])
