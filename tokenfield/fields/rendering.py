"""How a field answers: coordinates and sizes, or one line that says what is wrong with them; pixel centres of a box,
values there, and means where a pixel covers several of the picture's.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil, prod
from typing import Protocol, SupportsIndex, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d, avg_pool3d

from tokenfield.coords import Grid, centers, whole
from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain, Progress, is_vmapped
from tokenfield.io.limits import memory
from tokenfield.models.base import FieldModel
from tokenfield.nn.defaults import usual_defaults

BAND_POINTS = 1 << 20
"""Points of a band in `Field.rows`: 12 MB of float32 RGB."""

Box = Sequence[float | int]
"""(top, left, bottom, right) in [-1, 1] over the picture; (-1, -1, 1, 1) is all of it."""


@runtime_checkable
class Rendered(Protocol):
    """What is asked of a `Field` here."""

    @property
    def model(self) -> FieldModel: ...

    @property
    def tokens(self) -> Tensor: ...

    @property
    def domain(self) -> Domain: ...


def whole_sizes(size: object, axes: int = 2) -> tuple[int, ...]:
    """(height, width), or as many sizes as a signal has axes. Raises UserError for anything else, or less than 1."""
    several = isinstance(size, Sequence | np.ndarray | Tensor) and getattr(size, "ndim", 1) == 1
    sides = tuple(map(whole, cast(Iterable[object], size))) if several else (whole(size),)
    if len(sides) != axes:
        form = "(height, width)" if axes == 2 else f"{axes} sizes"
        raise UserError(f"size {' x '.join(map(str, sides))}; give {form}, whole numbers of at least 1")
    return sides


def check_memory(field: Rendered, size: Sequence[int]) -> None:
    """Raises UserError for so many values that their device has no memory for twice as many.

    A tile that covers all of them is weighted, which makes a copy; positions along the axes take some numbers each.
    """
    device = field.tokens.device
    needed = 2 * field.tokens.element_size() * field.model.channels * prod(size) + 64 * sum(size)
    there = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else memory()
    if needed > there:
        raise UserError(f"{' x '.join(map(str, size))} samples take {needed / 1e9:,.0f} GB of memory, and there are "
                        f"{there / 1e9:,.0f}; draw parts with crop(box, size), or band after band with rows(height, "
                        "width)")


def check_range(name: str, coords: Tensor) -> None:
    """Raises UserError for coordinates outside [-1, 1], but for rounding, or not finite; not inside `vmap`."""
    if coords.is_meta:
        raise UserError(f"{name} on the device meta, which have no values; make them on another")
    if coords.numel() and not is_vmapped(coords):
        low, high = coords.detach().aminmax()
        if not (low >= -1 - 1e-5 and high <= 1 + 1e-5):
            raise UserError(f"{name} from {low.item():g} to {high.item():g}; (y, x) over the picture are in [-1, 1]")


def check_points(coords: object, axes: int = 2) -> Tensor:
    """Any number of points (Q, axes). Raises UserError for another shape or type, or coordinates outside [-1, 1]."""
    if not isinstance(coords, Tensor) or coords.ndim != 2 or coords.shape[1] != axes or not coords.is_floating_point():
        description = f"{coords.dtype} {tuple(coords.shape)}" if isinstance(coords, Tensor) else type(coords).__name__
        names = " of (y, x)" if axes == 2 else ""
        raise UserError(f"coordinates {description}; give a float tensor (Q, {axes}){names} in [-1, 1]")
    check_range("coordinates", coords)
    return coords


def check_boxes(boxes: object, axes: int = 2) -> list[list[float]]:
    """One box or several in [-1, 1], where each begins and then where each ends. Raises UserError for anything else."""
    try:
        listed = torch.as_tensor(boxes, dtype=torch.double, device="cpu").reshape(-1, 2 * axes).tolist()
    except (TypeError, ValueError, RuntimeError):
        listed = []
    if not listed or not all(-1 <= a < b <= 1 for box in listed for a, b in zip(box[:axes], box[axes:], strict=True)):
        what = tuple(listed[0]) if len(listed) == 1 else f"of type {type(boxes).__name__}"
        raise UserError(f"box {what}; give (top, left, bottom, right) in [-1, 1], or use pixel_box(...)")
    return cast(list[list[float]], listed)


def grid_over(field: Rendered, box: Box, size: Sequence[SupportsIndex] | np.ndarray, antialias: bool) -> Grid:
    """Pixel centres of a box, in float64: far down a long picture float32 is off by a thousandth of a pixel."""
    axes_count = len(field.domain.size)
    (edges,) = check_boxes(box, axes_count)[:1]
    bounds = list(zip(whole_sizes(size, axes_count), edges[:axes_count], edges[axes_count:], strict=True))
    with usual_defaults():
        axes = tuple(centers(n, lo, hi, dtype=torch.float64) for n, lo, hi in bounds)
    least, most = field.model.smallest_span, float("inf") if antialias else 1.0
    pixels = (round((hi - lo) / 2 * side / n, 9)  # rounding must not make means of pixels
              for (n, lo, hi), side in zip(bounds, field.domain.size, strict=True))
    span = tuple(max(least, min(most, pixel)) for pixel in pixels)
    return Grid(axes, None if all(s == 1 for s in span) else span)


def on_grid(field: Rendered, grid: Grid, dtype: torch.dtype | None = None, progress: Progress | None = None) -> Tensor:
    """Values (C, ...) on a grid in [-1, 1]. Raises UserError for coordinates beyond, or another number of axes."""
    if len(grid.axes) != len(field.domain.size):
        raise UserError(f"a grid of {len(grid.axes)} axes, this field has {len(field.domain.size)}; a picture "
                        "has 2, (y, x)")
    for axis in grid.axes:
        check_range("coordinates", axis)
    with recording(field.tokens, *grid.axes), precision(field.model, dtype):
        if grid.span is None or max(grid.span) <= field.model.largest_span:
            return field.domain.on_grid(field.model, field.tokens, grid, progress)
        bands = list(grid.split(BAND_POINTS // 4))
        means = []
        for count, band in enumerate(bands, 1):
            means.append(_means(field, band, grid.span))
            if progress:
                progress(count, len(bands))
        return torch.cat(means, 1)


def _means(field: Rendered, grid: Grid, spans: tuple[float, ...]) -> Tensor:
    """Means over boxes too large for one query of the model: of a lattice of smaller boxes, or points, in each.

    Columns a few at a time, so that memory is bounded however many values a mean is taken of.
    """
    largest = field.model.largest_span
    parts = [ceil(span / largest) for span in spans]
    fine = tuple(span / n for span, n in zip(spans, parts, strict=True))
    fine_span = fine if max(fine) > 1 and largest > 1 else None

    def spread(i: int, axis: Tensor) -> Tensor:
        step = 2 * fine[i] / field.domain.size[i]
        offsets = (torch.arange(parts[i], dtype=axis.dtype) - (parts[i] - 1) / 2) * step
        return (axis[:, None] + offsets).flatten()

    *others, last = grid.axes
    width = max(1, BAND_POINTS // (prod(map(len, others)) * prod(parts)))
    pool = (avg_pool1d, avg_pool2d, avg_pool3d)[len(others)]
    strips = []
    for columns in last.split(width):
        points = Grid(tuple(spread(i, axis) for i, axis in enumerate((*others, columns))), fine_span)
        strips.append(pool(field.domain.on_grid(field.model, field.tokens, points), parts))
    return torch.cat(strips, -1)


def recording(*inputs: Tensor) -> torch.set_grad_enabled:
    """Gradients are recorded only if the caller records and an input requires them, never for weights alone."""
    required = any(tensor.requires_grad for tensor in inputs)
    return torch.set_grad_enabled(torch.is_grad_enabled() and required)


@contextmanager
def precision(model: FieldModel, dtype: torch.dtype | None) -> Iterator[None]:
    """Autocast to bfloat16 or float16 on the model's device; float32 for None, whatever is set outside."""
    if dtype not in (None, torch.float32, torch.bfloat16, torch.float16):
        raise UserError(f"precision {dtype!s:.80}; torch.float32, torch.bfloat16 and torch.float16 are known")
    half = dtype in (torch.bfloat16, torch.float16)
    if (device := next(model.parameters()).device.type) == "meta":
        raise UserError("the model is on the device meta, where weights are no numbers; give another device")
    with usual_defaults(), torch.autocast(device, dtype=dtype if half else None, enabled=half):
        yield
