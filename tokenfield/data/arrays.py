"""What a caller gives as a picture: an array of any library, a Pillow image, a file; or one line that says why not.

Files and arrays mean the same here: bytes are 0..255 and 16-bit integers 0..65535, floating point is [0, 1], alpha is
composited on white, grey becomes as many equal channels as a model takes.
"""

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from tokenfield.data.decoding import on_white, pixels_of, read_picture
from tokenfield.errors import DAMAGE, UserError

WHITE = {torch.bool: 1, torch.uint8: 255, torch.uint16: 65535}
"""The whitest number of each type that has one."""


def check_picture(picture: object, channels: int, name: str = "picture") -> Float[Tensor, "c h w"]:
    """Anything that is a picture as a tensor (channels, H, W) of float32, or of float64 where it is, on its device.

    Taken are a path; a Pillow image; a tensor or array (C, H, W), (H, W, C) or of one grey (H, W), of any strides and
    byte order, in floating point in [0, 1] up to 1e-4, in uint8 or uint16. Raises UserError, with `name` in it, for
    anything else.
    """
    if isinstance(picture, str | os.PathLike):
        tensor = read_picture(Path(picture), keep_alpha=channels == 4)
    elif isinstance(picture, Image.Image):
        try:
            tensor = pixels_of(ImageOps.exif_transpose(picture), keep_alpha=channels == 4)
        except DAMAGE as error:  # closed, cut short, or of values that have no white
            raise UserError(f"{name} is a Pillow image that cannot be used: {' '.join(str(error).split())}") from error
    else:
        tensor = unit(channels_first(as_tensor(picture, name), channels, name), name)
    return fit_channels(tensor, channels, name)


def as_tensor(picture: object, name: str) -> Tensor:
    """A tensor or any array, with its own numbers."""
    if isinstance(picture, Tensor):
        if picture.is_meta or picture.is_nested or picture.layout != torch.strided:
            raise UserError(f"{name} is a tensor without values or of a sparse kind; give a dense one, such as "
                            "picture.to_dense()")
        return picture.detach() if picture.requires_grad and not picture.is_floating_point() else picture
    if isinstance(picture, list | tuple | dict | set) or not hasattr(picture, "__array__"):
        raise UserError(f"{name} is a {type(picture).__name__}; give a tensor or array of shape (C, H, W), a Pillow "
                        "image or a path")
    if isinstance(picture, np.ma.MaskedArray) and np.ma.is_masked(picture):
        raise UserError(f"{name} has masked values; fill them first: picture.filled(0)")
    array = np.asarray(picture)
    if array.dtype.kind not in "fuib" or array.dtype.itemsize > 8:
        raise UserError(f"{name} has elements of type {array.dtype}; give floating point numbers in [0, 1]")
    # A copy in this machine's byte order: torch takes neither another one nor strides that run backwards.
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


def channels_first(picture: Tensor, channels: int, name: str) -> Tensor:
    """(C, H, W) of what may be (H, W, C), or (H, W) and grey."""
    shape = tuple(picture.shape)
    if picture.ndim == 2 and 0 not in shape:
        return picture[None]
    if picture.ndim != 3 or 0 in shape:
        one_of = "; take one of the batch, or loop over it" if picture.ndim == 4 else ""
        raise UserError(f"{name} has shape {shape}; give (C, H, W), none of them zero{one_of}")
    counts = (channels, 1, 3, 4) if channels in (1, 3, 4) else (channels,)
    if shape[0] in counts:  # (3, H, 3) too: channels come first unless they cannot
        return picture
    return picture.movedim(-1, 0) if shape[-1] in counts else picture


def unit(picture: Tensor, name: str) -> Tensor:
    """Any numbers as floating point in [0, 1]."""
    if not picture.is_floating_point():
        if picture.dtype not in WHITE:
            raise UserError(f"{name} has elements of type {picture.dtype}; give floating point numbers in [0, 1], or "
                            "uint8 or uint16")
        return picture.float() / WHITE[picture.dtype]
    picture = picture if picture.dtype == torch.float64 else picture.float()
    bad = int((~picture.detach().isfinite()).sum())
    if bad:
        raise UserError(f"{name} has {bad} values that are NaN or infinite; give finite numbers in [0, 1]")
    low, high = map(float, picture.detach().aminmax())
    if low < -1e-4 or high > 1 + 1e-4:
        signed = "; if they are in [-1, 1], give (picture + 1) / 2" if low > -1.01 and high < 1.01 else ""
        bytes_ = "; if they are in [0, 255], give picture / 255" if low >= 0 and 1.01 < high <= 255 else ""
        raise UserError(f"{name} has values from {low:g} to {high:g}; give values in [0, 1]{signed}{bytes_}")
    return picture


def fit_channels(picture: Tensor, channels: int, name: str) -> Tensor:
    """A picture with the channels of a model: grey repeated, alpha composited on white or opaque."""
    actual = picture.shape[0]
    if actual == channels:
        return picture
    if actual == 4 and channels == 3:
        return on_white(picture)
    if channels in (3, 4) and actual in (1, 3):
        colours = picture.expand(3, -1, -1)
        return colours if channels == 3 else torch.cat([colours, torch.ones_like(colours[:1])])
    if channels == 1 and actual == 3 and torch.equal(picture[0], picture[1]) and torch.equal(picture[0], picture[2]):
        return picture[:1]  # grey, as every file is read
    if channels == 1 and actual == 3:
        raise UserError(f"{name} is in colour, and the model takes grey ones; convert it first")
    raise UserError(f"{name} has shape {tuple(picture.shape)}; give {channels} channels, ({channels}, H, W)")
