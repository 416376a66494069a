"""Derivatives and means of fields: what a continuous function can be asked beside its values.

Coordinates are (y, x) in [-1, 1] over the picture, and derivatives are by them: of an H x W picture, per pixel they
are 2 / H and 2 / W times as large. Values of most systems are smooth; with ReLUs in the decoder (LAINR, ANR, IPC) they
are piecewise so, and a Laplacian misses what happens at kinks.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.fields.rendering import check_boxes
from tokenfield.nn.defaults import gradients, recordable

POINTS = 1 << 14
"""Points whose derivatives are taken at once: second derivatives hold several times what values hold."""
GAUSS = 3**-0.5
"""The two nodes of Gauss and Legendre in [-1, 1], +-1 / sqrt(3), of equal weight: exact for cubics."""

Values = Callable[[Tensor], Tensor]
"""Points (Q, 2) -> values (Q, C), each of its own point alone."""


def gradient(values: Values, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c x"]:
    """First derivatives of every channel, (d/dy, d/dx), by automatic differentiation.

    They can be differentiated again if the points require gradients, and the caller records some; else nothing is
    recorded of them.
    """
    if points.requires_grad and torch.is_grad_enabled():
        return _slopes(values(points), points)
    with gradients():
        return torch.cat([_slopes(values(part), part, keep=False) for part in _leaves(points)])


def laplacian(values: Values, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
    """d^2/dy^2 + d^2/dx^2 of every channel, by automatic differentiation, twice."""
    parts = []
    with gradients():
        for part in _leaves(points):
            slopes = _slopes(values(part), part)  # (Q, C, 2)
            second = [_slopes(slopes[..., axis], part, keep=True)[..., axis] for axis in range(points.shape[1])]
            parts.append(sum(second[1:], second[0]).detach())
        return torch.cat(parts)


def _leaves(points: Tensor) -> list[Tensor]:
    """Points in parts, which gradients are taken by."""
    return [part.detach().requires_grad_() for part in recordable(points).split(POINTS)]


def _slopes(values: Float[Tensor, "q c"], points: Float[Tensor, "q x"], keep: bool = True) -> Float[Tensor, "q c x"]:
    """d value / d coordinate: a point's values are its own, so the gradient of a channel's sum is every point's."""
    channels = values.unbind(-1)
    if not values.requires_grad:  # a field that is flat everywhere
        return values.new_zeros(*values.shape, points.shape[1])
    slopes = [
        torch.autograd.grad(
            channel.sum(), points, create_graph=keep, retain_graph=keep or i + 1 < len(channels), materialize_grads=True
        )[0]
        for i, channel in enumerate(channels)
    ]
    return torch.stack(slopes, 1)


def nodes(low: float, high: float, pixels: int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Where a mean over [low, high] is taken along an axis of so many pixels, and weights of sum 1.

    Two Gauss nodes in every panel, which is half a pixel or what the interval has of it: panels end at the centres and
    edges of pixels. Exact for values that are cubic in between, bilinear interpolation among them.
    """
    first, last = ((1 + end) * pixels for end in (low, high))  # in half pixels
    inside = torch.arange(int(first) + 1, int(-(-last // 1)), dtype=torch.double)
    edges = torch.cat([inside.new_tensor([first]), inside, inside.new_tensor([last])])
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    at = torch.stack([middle - GAUSS * half, middle + GAUSS * half], -1).flatten()
    return at / pixels - 1, (half / half.sum() / 2).repeat_interleave(2)


def mean(on_grid: Callable[[Grid], Tensor], boxes: Sequence[Sequence[float | int]] | Tensor,
         size: tuple[int, ...]) -> Float[Tensor, "n c"]:
    """Means of values (C, h, w) on grids over boxes (top, left, bottom, right); UserError for one not in [-1, 1].

    The picture's `size` in pixels says how finely is integrated: see `nodes`.
    """
    means = []
    for top, left, bottom, right in check_boxes(boxes):
        (y, weight_y), (x, weight_x) = nodes(top, bottom, size[0]), nodes(left, right, size[1])
        rows = max(1, (1 << 20) // len(x))  # a large box in bands
        parts = [
            torch.einsum("chw,h,w->c", values := on_grid(Grid((band, x))), weights.to(values), weight_x.to(values))
            for band, weights in zip(y.split(rows), weight_y.split(rows), strict=True)
        ]
        means.append(sum(parts[1:], parts[0]))
    return torch.stack(means)
