"""What a domain is: how a picture of any size and a model's own input are related.

A domain turns a picture (C, H, W) into tokens by as many calls of `model.encode` as it takes, and answers for the
values at coordinates in [-1, 1] over the picture by as many calls of `model.decode`. Each piece (a tile, a block of
cells) is handled once, after the other, so memory is bounded by one batch of pieces and the result itself. All
geometry happens here in float64 on the host; models only see coordinates of their own input.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
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
    """Base of `Tiles` and `Lattice`, which say how pieces are encoded.

    Attributes:
        axes: how each axis is cut into pieces, (y, x).
    """

    @property
    def axes(self) -> tuple[Axis, Axis]:
        raise NotImplementedError(f"{type(self).__name__}.axes")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of tiles or of cells: the first two sizes of the tokens."""
        return self.axes[0].places, self.axes[1].places

    def check_shape(self, shape: Sequence[int], things: str) -> None:
        """Raises UserError for tokens of a shape that has another number of tiles or cells."""
        if len(shape) < 3 or tuple(shape[:2]) != self.shape:
            raise UserError(f"tokens {tuple(shape)} for {self.shape} {things}; the first two sizes must agree")

    def decode_piece(self, model: FieldModel, tokens: Tensor, piece: tuple[int, int], at: Grid | Tensor) -> Tensor:
        """Values (Q, C) at positions in pixels of the picture, all inside one piece, from the tokens that they need."""
        ys, xs = at.axes if isinstance(at, Grid) else at.unbind(-1)
        rows, y = self.axes[0].window(ys, piece[0], model.reach)
        columns, x = self.axes[1].window(xs, piece[1], model.reach)
        local = Grid((y, x), at.span) if isinstance(at, Grid) else torch.stack((y, x), -1)
        return model.decode(tokens[rows, columns][None], local.to(tokens))[0]

    def on_grid(self, model: FieldModel, tokens: Tensor, grid: Grid,
                progress: Progress | None = None) -> Float[Tensor, "c h w"]:
        """Values on a grid of coordinates in [-1, 1] over the picture: of piece after piece.

        The pieces that touch the grid are decoded one by one, each on the part of the grid it touches, which is a
        grid again; their weighted values are added up.
        """
        rows, columns = (self._grouped(i, axis) for i, axis in enumerate(grid.axes))
        out = torch.zeros(model.channels, *grid.shape, dtype=tokens.dtype, device=tokens.device)
        for count, ((i, ys, y, wy), (j, xs, x, wx)) in enumerate(product(rows, columns), 1):
            values = self.decode_piece(model, tokens, (i, j), Grid((y, x), grid.span)).to(out.dtype)
            weight = (wy[:, None] * wx).to(out)
            ys, xs = ys.to(out.device), xs.to(out.device)
            out[:, ys[:, None], xs] += weight * values.unflatten(0, weight.shape).movedim(-1, 0)
            if progress:
                progress(count, len(rows) * len(columns))
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

    def shared_out(self, points: Float[Tensor, "q 2"]) -> Iterator[tuple[tuple[int, int], Tensor, Tensor, Tensor]]:
        """Points by the pieces they lie in: (piece, their numbers, positions in pixels, weights of sum 1 per point)."""
        at = torch.stack([self._pixels(i, points[:, i]) for i in range(2)], -1)  # (Q, 2)
        (first_y, weight_y), (first_x, weight_x) = (axis.cover(at[:, i]) for i, axis in enumerate(self.axes))
        pieces, points_of, weights_of = [], [], []
        for down, right in product((False, True), repeat=2):  # a point in two ramps belongs to four pieces
            weight = (1 - weight_y if down else weight_y) * (1 - weight_x if right else weight_x)
            (k,) = (weight > 0).nonzero(as_tuple=True)
            pieces.append((first_y[k] + down) * self.axes[1].pieces + first_x[k] + right)
            points_of.append(k)
            weights_of.append(weight[k])
        index, weights = torch.cat(points_of), torch.cat(weights_of)
        for piece, k in by_kind(torch.cat(pieces)):
            yield divmod(piece, self.axes[1].pieces), index[k], at[index[k]], weights[k]

    def attention(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q 2"]) -> Tensor | None:
        total: Tensor | None = None
        for piece, k, at, weight in self.shared_out(points):
            (rows, y), (columns, x) = (axis.window(at[:, i], piece[i], model.reach) for i, axis in enumerate(self.axes))
            near = tokens[rows, columns]
            weights = model.attention(near[None], torch.stack((y, x), -1).to(tokens))  # (H, q, r)
            if weights is None:
                return None
            if total is None:
                total = weights.new_zeros(len(weights), len(points), *tokens.shape[:-1])
            k = k.to(total.device)
            total[:, k, rows, columns] += weight.to(total)[:, None].mul(weights).unflatten(-1, near.shape[:-1])
        return None if total is None else total.flatten(2)
