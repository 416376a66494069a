"""What a caller gives a field: pictures and coordinates, or one line that says what is wrong with them."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError


def check_picture(picture: object, channels: int, name: str = "picture") -> Float[Tensor, "c h w"]:
    """A caller's array as a picture: a tensor of float32, or of float64 where it is, on its device.

    Raises UserError, with `name` in it, unless it is a torch tensor or NumPy array of floating point, (channels, H, W),
    finite, in [0, 1] up to 1e-4.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype.kind not in "fuib":
            raise UserError(f"{name} has elements of type {picture.dtype}; give floating point numbers in [0, 1]")
        native = picture.dtype.newbyteorder("=")
        picture = torch.from_numpy(picture.astype(native, order="C"))  # a copy: any byte order and stride comes in
    if not isinstance(picture, Tensor):
        raise UserError(f"{name} is a {type(picture).__name__}; give a tensor or array of shape (C, H, W)")
    shape = tuple(picture.shape)
    if picture.ndim != 3 or 0 in shape:
        one_of = "; take one of the batch, or loop over it" if picture.ndim == 4 else ""
        grey = "; for a grey picture add an axis: picture[None]" if picture.ndim == 2 else ""
        raise UserError(f"{name} has shape {shape}; give (C, H, W), none of them zero{one_of}{grey}")
    if shape[0] != channels:
        turn = "; if it is (H, W, C), give picture.permute(2, 0, 1)" if shape[2] == channels else ""
        raise UserError(f"{name} has shape {shape}; give {channels} channels, ({channels}, H, W){turn}")
    if not picture.is_floating_point():
        scale = "; divide by 255" if picture.dtype == torch.uint8 else ""
        raise UserError(f"{name} has elements of type {picture.dtype}; give floating point numbers in [0, 1]{scale}")
    picture = picture if picture.dtype == torch.float64 else picture.float()
    bad = int((~picture.isfinite()).sum())
    if bad:
        raise UserError(f"{name} has {bad} values that are NaN or infinite; give finite numbers in [0, 1]")
    low, high = float(picture.min()), float(picture.max())
    if low < -1e-4 or high > 1 + 1e-4:
        signed = "; if they are in [-1, 1], give (picture + 1) / 2" if low > -1.01 and high < 1.01 else ""
        bytes_ = "; if they are in [0, 255], give picture / 255" if low >= 0 and high <= 255 else ""
        raise UserError(f"{name} has values from {low:g} to {high:g}; give values in [0, 1]{signed}{bytes_}")
    return picture


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


def check_points(coords: object) -> Tensor:
    """Any number of points (Q, 2). Raises UserError for another shape or type, or for coordinates outside [-1, 1]."""
    if not isinstance(coords, Tensor) or coords.ndim != 2 or coords.shape[1] != 2 or not coords.is_floating_point():
        description = f"{coords.dtype} {tuple(coords.shape)}" if isinstance(coords, Tensor) else type(coords).__name__
        raise UserError(f"coordinates {description}; give a float tensor (Q, 2) of (y, x) in [-1, 1]")
    check_range("coordinates", coords)
    return coords
