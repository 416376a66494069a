"""Whole pictures to squares, as the compared code cuts them.

The published numbers were measured on squares made by torchvision's `Resize`, `CenterCrop`, `RandomCrop` and
`RandomHorizontalFlip` on Pillow images. These are the same operations, to the pixel: bilinear with a support that grows
with the reduction, the longer side truncated to an integer, the middle rounded half to even.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokenfield.data.decoding import to_tensor as to_tensor
from tokenfield.data.draws import Draws

STRIP = 16
"""Longer side over shorter side beyond which a picture is treated as a strip; photographs stay below 4."""


def resize_shorter(picture: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "k l 3"]:
    """The picture with its shorter side `size` pixels long."""
    height, width = picture.shape[:2]
    if min(height, width) == size:
        return picture
    short, long = sorted((height, width))
    scaled = int(size * long / short)
    shape = (size, scaled) if width <= height else (scaled, size)           # Pillow's order: (width, height)
    return np.asarray(Image.fromarray(picture).resize(shape, Image.Resampling.BILINEAR))


def center_square(picture: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Shorter side resized to `size`, then the middle of the longer one.

    Of a strip, longer than `STRIP` times its width, only the middle is resized: a row of 5000 pixels would become a
    gigabyte at 256 pixels a side.
    """
    strip = STRIP * min(picture.shape[:2])
    top, left = (max(0, n - strip) // 2 for n in picture.shape[:2])
    picture = resize_shorter(picture[top : top + strip, left : left + strip], size)
    top, left = (round((n - size) / 2) for n in picture.shape[:2])          # Python rounds half to even
    return picture[top : top + size, left : left + size]


def random_square(picture: UInt8[np.ndarray, "h w 3"], size: int, draws: Draws) -> UInt8[np.ndarray, "size size 3"]:
    """A square from anywhere in the picture at full scale, mirrored half the time.

    Of a picture with a side shorter than `size`, the largest square that it holds is taken and enlarged.
    """
    height, width = picture.shape[:2]
    side = min(size, height, width)
    top, left = draws.below(height - side + 1), draws.below(width - side + 1)
    square = resize_shorter(picture[top : top + side, left : left + side], size)
    return square[:, ::-1] if draws.below(2) else square
