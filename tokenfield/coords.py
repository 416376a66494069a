"""Coordinates: where a field is evaluated.

One convention for the whole package: the points of a picture are its pixel *centres*, scaled to [-1, 1] on every
axis, row-major (y, x). This is the convention of LIIF (Chen et al., 2021) and of `grid_sample(align_corners=False)`.

Most fields are evaluated on a tensor-product grid, and nearly everything that depends on coordinates alone is a sum of
one function per axis. `Grid` therefore keeps the axes apart: H + W numbers in place of 2 H W, and the models compute
their Fourier features once per row and once per column.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from numbers import Number
from operator import index
from typing import SupportsIndex

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.errors import UserError, explain_calls

Device = torch.device | str | None


def whole(number: object, name: str = "size") -> int:
    """A number of at least 1, such as a side in pixels, as Python's integer, from NumPy's and torch's too.

    Raises UserError for what is none.
    """
    if isinstance(number, SupportsIndex) and not isinstance(number, bool):
        with suppress(TypeError):  # an array of several
            if 1 <= (side := index(number)) < 1 << 31:
                return side
    what = f"{number}" if isinstance(number, Number) else f"a {type(number).__name__}"
    raise UserError(f"{name} {what:.80}; give whole numbers of at least 1" + ", height and width" * (name == "size"))


def present(device: torch.device | str) -> torch.device:
    """A device that is there and holds numbers. Raises UserError for one that is not."""
    try:
        if (there := torch.empty(0, device=device).device).type == "meta":
            raise ValueError("its tensors have no values")
        return there
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:  # unknown; not compiled in; no driver
        reason = str(error).splitlines()[0]
        raise UserError(f"device {device!r:.80} cannot be used here ({reason}); give auto or cpu") from error


def centers(n: int, lo: float = -1.0, hi: float = 1.0, *, device: Device = None,
            dtype: torch.dtype = torch.float32) -> Float[Tensor, " n"]:
    """Midpoints of `n` equal cells covering [lo, hi], the outer edges of the first and the last one: ascending."""
    i = torch.arange(n, dtype=torch.float64)  # rounded once, at the end
    return (lo + (hi - lo) * (i + 0.5) / n).to(device=device, dtype=dtype)  # x_i = -1 + 2 (i + 0.5) / n on [-1, 1]


@dataclass(frozen=True)
class Grid:
    """A tensor-product grid of points, stored as one 1-D tensor per axis.

    Attributes:
        axes: (y, x) for pictures; any number of axes. Values are coordinates, [-1, 1] over the signal, in any order
            (jittered and subsampled grids are grids too).
        span: side of the box that a point stands for, per axis, in pixels of the encoded picture; None: the point
            itself. Models with `largest_span` above 1 answer with the mean over the box.
    """

    axes: tuple[Tensor, ...]
    span: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        axes = self.axes if isinstance(self.axes, tuple) else ()
        if not axes or not all(isinstance(axis, Tensor) and axis.ndim == 1 and not axis.is_sparse for axis in axes):
            raise UserError(f"a grid of {type(self.axes).__name__}; give a tuple of tensors, points of every axis")
        if self.span is not None and not (isinstance(self.span, tuple | list) and len(self.span) == len(axes)):
            raise UserError(f"a span of {type(self.span).__name__}; give a tuple of numbers, one per axis, or None")

    @classmethod
    def cells(cls, *sizes: SupportsIndex, device: Device = None) -> "Grid":
        """The cell centres of [-1, 1]^X: `Grid.cells(height, width)` are the pixels of a picture."""
        return cls.box((-1.0,) * len(sizes), (1.0,) * len(sizes), *sizes, device=device)

    @classmethod
    def box(cls, lo: tuple[float, ...], hi: tuple[float, ...], *sizes: SupportsIndex,
            device: Device = None) -> "Grid":
        """The cell centres of the box lo..hi, `sizes[i]` of them along axis i."""
        device, bounds = device if device is None else present(device), zip(map(whole, sizes), lo, hi, strict=True)
        return cls(tuple(centers(n, a, b, device=device) for n, a, b in bounds))

    @property
    def shape(self) -> tuple[int, ...]:
        """Points per axis, (height, width) for pictures."""
        return tuple(len(axis) for axis in self.axes)

    def __len__(self) -> int:
        return prod(self.shape)

    @property
    def device(self) -> torch.device:
        """Where the axes lie."""
        return self.axes[0].device

    @property
    def is_meta(self) -> bool:
        """Whether it has no values."""
        return self.axes[0].is_meta

    def to(self, *like: torch.device | str | torch.dtype | Tensor) -> "Grid":
        """`Tensor.to` of every axis."""
        like = tuple(present(one) if isinstance(one, str) else one for one in like)
        return Grid(tuple(axis.to(*like) for axis in self.axes), self.span)  # type: ignore[call-overload]

    def coords(self) -> Float[Tensor, "q x"]:
        """All points, row-major: the last axis varies fastest."""
        return torch.stack(torch.meshgrid(*self.axes, indexing="ij"), -1).flatten(0, -2)

    def split(self, chunk: SupportsIndex) -> Iterator["Grid"]:
        """Consecutive blocks of whole rows, each of at most `chunk` points (and of at least one row)."""
        rows = max(1, whole(chunk, "chunk") // max(1, prod(self.shape[1:])))
        return (Grid((block, *self.axes[1:]), self.span) for block in self.axes[0].split(rows))

    def tiles(self, chunk: SupportsIndex) -> Iterator[tuple[tuple[slice, ...], "Grid"]]:
        """Blocks of at most `chunk` points, as near to cubes as the grid allows, each with its place in the grid.

        What is computed per axis costs a block the sum of its sides: 64 + 64 for 4096 points, where whole rows of a
        picture 1024 pixels wide would cost 4 + 1024.
        """
        budget, sides = whole(chunk, "chunk"), {}
        shortest_first = sorted(enumerate(self.shape), key=lambda axis: axis[1])
        for at, (i, n) in enumerate(shortest_first):
            most = max(1, int(budget ** (1 / (len(self.axes) - at)) + 1e-9))  # a shorter axis leaves more to the others
            sides[i] = ceil(n / ceil(n / most))  # as many blocks as needed, nearly equal
            budget //= min(n, most)
        cuts = ([slice(at, at + sides[i]) for at in range(0, n, sides[i])] for i, n in enumerate(self.shape))
        for place in product(*cuts):
            yield place, Grid(tuple(axis[part] for axis, part in zip(self.axes, place, strict=True)), self.span)


explain_calls(Grid)

Coordinates = Float[Tensor, "... q x"] | Grid
"""Points (Q, X) shared by a batch, points (B, Q, X) of its own for every instance, or a `Grid`."""


def count(coords: Coordinates) -> int:
    """Q, the number of points (per instance)."""
    return len(coords) if isinstance(coords, Grid) else coords.shape[-2]


def in_pieces(values: Callable[[Coordinates], Tensor], coords: Coordinates,
              chunk: SupportsIndex) -> Float[Tensor, "b q c"]:
    """`values(coords)`, a function of every coordinate by itself, for at most `chunk` coordinates at a time."""
    if count(coords) <= (chunk := whole(chunk, "chunk")):
        return values(coords)
    if not isinstance(coords, Grid):
        return torch.cat([values(part) for part in coords.split(chunk, dim=-2)], 1)
    out = None
    for place, tile in coords.tiles(chunk):
        part = values(tile)  # (B, Q of the tile, C)
        if out is None:
            out = part.new_empty(len(part), *coords.shape, part.shape[-1])
        out[:, *place] = part.unflatten(1, tile.shape)
    assert out is not None, "more points than a chunk have at least one tile"
    return out.flatten(1, -2)


def by_kind(kinds: Int[Tensor, " m"]) -> Iterator[tuple[int, Int[Tensor, " r"]]]:
    """Every kind that occurs, rising, with its places."""
    order = kinds.argsort(stable=True)
    which, counts = kinds[order].unique_consecutive(return_counts=True)
    yield from zip(which.tolist(), order.split(counts.tolist()), strict=True)
