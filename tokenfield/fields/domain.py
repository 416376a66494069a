"""What a domain is: how a picture of any size and a model's own input are related.

A domain turns a picture (C, H, W) into tokens by as many calls of `model.encode` as it takes, and answers for the
values at coordinates in [-1, 1] over the picture by as many calls of `model.decode`. Each piece (a tile, a block of
cells) is handled once, after the other, so memory is bounded by one batch of pieces and the result itself. All
geometry happens here in float64 on the host; models only see coordinates of their own input.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from itertools import product
from math import prod
from operator import mul
from typing import TYPE_CHECKING, ClassVar, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Grid, by_kind, centers
from tokenfield.errors import UserError
from tokenfield.fields.axis import Axis, shares
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from xarray import DataArray

Progress = Callable[[int, int], None]
"""Called with (pieces done, pieces in all) after every piece or batch of pieces."""

POINTS = 1 << 20
"""Scattered points sorted into pieces at once: some 100 MB of float64 bookkeeping."""


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision is for arithmetic inside a model; what is stored or summed is float32 or wider."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def is_vmapped(x: Tensor) -> bool:
    """Whether `torch.func.vmap` hides an axis of a tensor, at any depth of transforms: its values cannot be read."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return True
        x = functorch.get_unwrapped(x)
    return False


@dataclass(frozen=True)
class Labels:
    """A rendering's axes for people and for xarray: names of all, channels first, and where along them values are."""

    names: tuple[str, ...]
    places: dict[str, Tensor | Sequence[str]]
    units: tuple[str, ...] = ()
    """Of every channel; () where values have none."""

    def to_xarray(self, values: Float[Tensor, "c *n"]) -> "DataArray":
        """A rendering with its axes. Raises UserError where xarray is missing."""
        try:
            from xarray import DataArray
        except ImportError as error:
            raise UserError("to_xarray needs xarray; type: pip install 'tokenfield[earth]'") from error
        places: dict[str, object] = {name: np.asarray(place) for name, place in self.places.items()}
        attributes = {"units": self.units[0]} if len(set(self.units)) == 1 else {}
        if len(set(self.units)) > 1:
            places["units"] = (self.names[0], list(self.units))
        return DataArray(values.detach().cpu().numpy(), places, self.names, name="field", attrs=attributes)


@runtime_checkable
class Domain(Protocol):
    """The bond between a signal and a model's own input; frozen dataclasses, whose fields are what files hold.

    Attributes:
        kind: the domain's name in files.
        size: (height, width) of the picture in pixels; how many samples a signal has along each of its axes.
    """

    kind: ClassVar[str]
    size: tuple[int, ...]

    def encode(self, model: FieldModel, picture: Tensor, progress: Progress | None = None) -> Tensor:
        """Picture (C, H, W) of `size` in [0, 1], on any device -> tokens, on the model's device."""
        raise NotImplementedError(f"{type(self).__name__}.encode")

    def on_grid(self, model: FieldModel, tokens: Tensor, grid: Grid,
                progress: Progress | None = None) -> Float[Tensor, "c *n"]:
        """Values on a grid of coordinates in [-1, 1] over the picture."""
        raise NotImplementedError(f"{type(self).__name__}.on_grid")

    def at_points(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
        """Values at any number of points in [-1, 1] over the picture, in their order."""
        raise NotImplementedError(f"{type(self).__name__}.at_points")

    def attention(self, model: FieldModel, tokens: Tensor,
                  points: Float[Tensor, "q x"]) -> Float[Tensor, "h q r"] | None:
        """How much each point takes from every token, all tokens in one row; None where that means nothing."""
        return None

    def labels(self, *size: int) -> Labels:
        """What the axes of a rendering (C, height, width) are called and where its pixels lie."""
        names = ("y", "x") if len(size) == 2 else tuple(f"axis{i}" for i in range(len(size)))
        return Labels(("channel", *names), {name: centers(n) for name, n in zip(names, size, strict=True)})

    def facts(self, stored: int) -> Record:
        """What a person wants to know of a signal of so many stored values beside its size; see `tokenfield info`."""
        return {}

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        """Raises UserError unless the model made such tokens for this domain."""
        raise NotImplementedError(f"{type(self).__name__}.check")

    def to_dict(self) -> Record:
        """What a file must hold to make this domain again, JSON-able: `kind`, and the fields."""
        return {"kind": self.kind, **asdict(cast("DataclassInstance", self))}


class Pieces(Domain):
    """A signal cut into pieces, a product of axes; base of `Tiles` and `Lattice`, which say how pieces are encoded.

    Attributes:
        axes: how each axis is cut into pieces, (y, x) of a picture.
    """

    @property
    def axes(self) -> tuple[Axis, ...]:
        raise NotImplementedError(f"{type(self).__name__}.axes")

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns) of tiles or of cells: the first sizes of the tokens, one per axis."""
        return tuple(axis.places for axis in self.axes)

    def check_shape(self, shape: Sequence[int], things: str) -> None:
        """Raises UserError for tokens of a shape that has another number of tiles or cells."""
        if len(shape) <= len(self.axes) or tuple(shape[: len(self.axes)]) != self.shape:
            counts = " x ".join(map(str, self.shape))
            raise UserError(f"tokens {tuple(shape)} for {counts} {things}; the first sizes must agree")

    def decode_piece(self, model: FieldModel, tokens: Tensor, piece: tuple[int, ...], at: Grid | Tensor) -> Tensor:
        """Values (Q, C) at positions in pixels of the picture, all inside one piece, from the tokens that they need."""
        near, places = self._window(model, piece, at.axes if isinstance(at, Grid) else at.unbind(-1))
        local = Grid(places, at.span) if isinstance(at, Grid) else torch.stack(places, -1)
        return model.decode(tokens[near][None], local.to(tokens))[0]

    def _window(self, model: FieldModel, piece: tuple[int, ...],
                at: Sequence[Tensor]) -> tuple[tuple[int | slice, ...], tuple[Tensor, ...]]:
        """Which tokens decode positions in a piece, and the positions as coordinates of what these stand for."""
        windows = [axis.window(one, i, model.reach) for axis, one, i in zip(self.axes, at, piece, strict=True)]
        return tuple(near for near, _ in windows), tuple(place for _, place in windows)

    def on_grid(self, model: FieldModel, tokens: Tensor, grid: Grid,
                progress: Progress | None = None) -> Float[Tensor, "c *n"]:
        """Values on a grid of coordinates in [-1, 1] over the picture: of piece after piece.

        The pieces that touch the grid are decoded one by one, each on the part of the grid it touches, which is a
        grid again; their weighted values are added up.
        """
        along = [self._grouped(i, axis) for i, axis in enumerate(grid.axes)]
        out = torch.zeros(model.channels, *grid.shape, dtype=tokens.dtype, device=tokens.device)
        for count, parts in enumerate(product(*along), 1):
            piece, indices, at, weights = zip(*parts, strict=True)
            values = self.decode_piece(model, tokens, piece, Grid(at, grid.span)).to(out.dtype)
            weight = outer(weights).to(out)
            part = values.unflatten(0, weight.shape).movedim(-1, 0)
            out[crossed([index.to(out.device) for index in indices])] += weight * part
            if progress:
                progress(count, prod(map(len, along)))
        return out

    def at_points(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
        if not len(points):
            return torch.zeros(0, model.channels, dtype=tokens.dtype, device=tokens.device)
        if is_vmapped(points):
            return self.at_vmapped(model, tokens, points)
        return torch.cat([self._at_points(model, tokens, part) for part in points.split(POINTS)])

    def at_vmapped(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
        """`at_points` inside `torch.func.vmap`: no decision may depend on where a point is."""
        raise NotImplementedError(f"{type(self).__name__}.at_vmapped")

    def _pixels(self, i: int, coords: Tensor) -> Tensor:
        """Coordinates in [-1, 1] along axis i -> positions in pixels, float64 on the host."""
        return (coords.cpu().double() + 1) * (self.size[i] / 2)

    def _grouped(self, i: int, coords: Tensor) -> list[tuple[int, Tensor, Tensor, Tensor]]:
        """Per piece along axis i: (piece, indices into `coords`, their positions in pixels, weights)."""
        at = self._pixels(i, coords)
        piece, index, weight = shares(self.axes[i], at)
        return [(p, index[k], at[index[k]], weight[k]) for p, k in by_kind(piece)]

    def _at_points(self, model: FieldModel, tokens: Tensor, points: Tensor) -> Tensor:
        out = torch.zeros(len(points), model.channels, dtype=tokens.dtype, device=tokens.device)
        for piece, k, at, weight in self.shared_out(points):
            values = self.decode_piece(model, tokens, piece, at)
            out.index_add_(0, k.to(out.device), weight[:, None].to(out) * values.to(out.dtype))
        return out

    def shared_out(self, points: Float[Tensor, "q x"]) -> Iterator[tuple[tuple[int, ...], Tensor, Tensor, Tensor]]:
        """Points by the pieces they lie in: (piece, their numbers, positions in pixels, weights of sum 1 per point)."""
        at = torch.stack([self._pixels(i, points[:, i]) for i in range(len(self.axes))], -1)  # (Q, X)
        covers = [axis.cover(at[:, i]) for i, axis in enumerate(self.axes)]
        counts = [axis.pieces for axis in self.axes]
        pieces, points_of, weights_of = [], [], []
        for later in product((False, True), repeat=len(covers)):  # a point in ramps of two axes belongs to four pieces
            weight, number = corner(covers, later), torch.zeros(len(points), dtype=torch.long)
            (k,) = (weight > 0).nonzero(as_tuple=True)
            for (first, _), step, count in zip(covers, later, counts, strict=True):
                number = number * count + first + step
            pieces.append(number[k])
            points_of.append(k)
            weights_of.append(weight[k])
        index, weights = torch.cat(points_of), torch.cat(weights_of)
        for piece, k in by_kind(torch.cat(pieces)):
            yield tuple(map(int, np.unravel_index(piece, counts))), index[k], at[index[k]], weights[k]

    def attention(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q x"]) -> Tensor | None:
        total: Tensor | None = None
        for piece, k, at, weight in self.shared_out(points):
            near, places = self._window(model, piece, at.unbind(-1))
            some = tokens[near]
            weights = model.attention(some[None], torch.stack(places, -1).to(tokens))  # (H, q, r)
            if weights is None:
                return None
            if total is None:
                total = weights.new_zeros(len(weights), len(points), *tokens.shape[:-1])
            k = k.to(total.device)
            total[(slice(None), k, *near)] += weight.to(total)[:, None].mul(weights).unflatten(-1, some.shape[:-1])
        return None if total is None else total.flatten(2)


def outer(weights: Sequence[Tensor]) -> Tensor:
    """The product of one vector per axis, (n1, n2, ...)."""
    return reduce(lambda product, along: product[..., None] * along, weights)


def crossed(indices: Sequence[Tensor]) -> tuple[slice | Tensor, ...]:
    """What picks, of a signal (C, ...), such samples along each axis: a block of all of them crossed."""
    last = len(indices) - 1
    return (slice(None), *(index.view(-1, *(1,) * (last - i)) for i, index in enumerate(indices)))


def corner(covers: Sequence[tuple[Tensor, Tensor]], later: Sequence[bool | int]) -> Float[Tensor, " q"]:
    """Weights of points in one of the pieces they may lie in: along each axis the first, or the next one."""
    return reduce(mul, (1 - weight if step else weight for (_, weight), step in zip(covers, later, strict=True)))
