"""What a caller gives a field: coordinates and sizes, or one line that says what is wrong with them."""

from collections.abc import Iterable
from contextlib import suppress
from operator import index
from typing import SupportsIndex

import torch
from torch import Tensor

from tokenfield.errors import UserError


def whole(number: object) -> int:
    """A side in pixels as Python's integer, from NumPy's and torch's too. Raises UserError for what is none."""
    if isinstance(number, SupportsIndex) and not isinstance(number, bool):
        with suppress(TypeError):  # an array of several
            if (side := index(number)) >= 1:
                return side
    raise UserError(f"size {number}; give whole numbers of at least 1, height and width")


def whole_sizes(size: Iterable[object], axes: int = 2) -> tuple[int, ...]:
    """(height, width), or as many sizes as a signal has axes. Raises UserError for anything else, or less than 1."""
    sides = tuple(whole(number) for number in size)
    if len(sides) != axes:
        form = "(height, width)" if axes == 2 else f"{axes} sizes"
        raise UserError(f"size {' x '.join(map(str, sides))}; give {form}, whole numbers of at least 1")
    return sides


def is_vmapped(x: Tensor) -> bool:
    """Whether `torch.func.vmap` hides an axis of a tensor, at any depth of transforms: its values cannot be read."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return True
        x = functorch.get_unwrapped(x)
    return False


def check_range(name: str, coords: Tensor) -> None:
    """Raises UserError for coordinates outside [-1, 1], but for rounding, or not finite; not inside `vmap`."""
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
