"""From a configuration and a folder to a source of pictures: whole files as squares, or random crops at many scales.

The published numbers were measured on squares made by torchvision's `Resize`, `CenterCrop`, `RandomCrop` and
`RandomHorizontalFlip` on Pillow images. Those here are the same, to the pixel: bilinear with a support that grows with
the reduction, the longer side truncated to an integer, the middle rounded half to even.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.data.decoding import to_tensor as to_tensor
from tokenfield.data.draws import Draws
from tokenfield.data.layouts import LAYOUTS
from tokenfield.data.listings import Listing
from tokenfield.data.pictures import SkippedFiles, usable
from tokenfield.data.pyramid import Levels, PyramidCache
from tokenfield.data.sources import PictureSource, Split, check_root
from tokenfield.errors import UserError

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


Layout = Literal["folder", "celeba", "ffhq", "imagenette", "imagenet", "lsun", "celeba_anr", "shards"]
Crop = Literal["pyramid", "random_flip", "center"]


class PictureFiles(PictureSource):
    """Squares from picture files that are decoded each time: the papers' data sets, whose pictures are small and many.

    `size` is their side in pixels; `crop` is `random_flip` or `center` and `channels` 1 or 3 (see `DataConfig`); for
    evaluation squares are always `center`.
    """

    def __init__(self, listing: Listing, *, size: int, crop: str, channels: int = 3,
                 skipped: SkippedFiles | None = None):
        super().__init__(listing, skipped)
        self.size, self.crop, self.channels = size, crop, channels

    def cut(self, index: int, draws: Draws) -> Float[Tensor, "c h w"]:
        return self.read(index, draws if self.crop == "random_flip" else None)

    def read(self, index: int, draws: Draws | None = None) -> Float[Tensor, "c h w"]:
        """A square of file `index`: drawn, or else its middle."""
        picture = read_rgb8(self.paths[index])
        square = center_square(picture, self.size) if draws is None else random_square(picture, self.size, draws)
        if self.channels == 1 and (square != square[..., :1]).any():
            raise PictureError(self.paths[index], "is in colour; data.channels 3 takes it, 1 takes grey pictures alone")
        return to_tensor(square[..., : self.channels])

    def pictures(self) -> Iterator[tuple[str, Float[Tensor, "c h w"]]]:
        """Every file's centre square, by the protocol of the published numbers."""
        for index, name in enumerate(self.names):
            try:
                picture = self.read(index)
            except PictureError as error:
                self.skipped.catch(error)
            else:
                yield name, picture


class PhotoCrops(PictureSource):
    """Squares of `size` pixels from the pyramids of photographs.

    A crop is a photograph, one of its levels that hold a square, a place and one of the square's eight orientations,
    all uniform. Photographs count alike whatever their size, so that one panorama does not speak for all; so do levels,
    although small ones hold fewer distinct crops: what is fine detail in one picture is coarse in another, and a model
    for any zoom meets both. Nothing is interpolated: a photograph with a side below `size` is skipped.

    Every file is decoded when the source is made, so damaged ones are known, and left out, before the first step.

    At most `levels` levels are drawn from, the full picture being the first. Raises UserError where none of the
    photographs can be used, or the cache cannot be written.
    """

    def __init__(self, listing: Listing, *, size: int, levels: int = 6, skipped: SkippedFiles | None = None):
        skipped = SkippedFiles() if skipped is None else skipped
        self.size, self.depth, self.cache = size, levels, PyramidCache()

        def check(index: int) -> None:
            path = listing.paths[index]
            height, width = self.cache.levels(path)[0].shape[:2]
            if min(height, width) < size:
                raise PictureError(path, f"is {width} x {height}, too small for crops of {size} pixels")

        label = f"decoding pictures into {self.cache.folder}"
        super().__init__(listing.keep(usable(range(len(listing.paths)), check, skipped, label)), skipped)

    def usable(self, index: int) -> Levels:
        """The levels of picture `index` that crops are taken from."""
        levels = self.cache.levels(self.paths[index])[: self.depth]
        return tuple(level for level in levels if min(level.shape[:2]) >= self.size)

    def cut(self, index: int, draws: Draws) -> Float[Tensor, "c h w"]:
        levels = self.usable(index)
        level = levels[draws.below(len(levels))]
        height, width = level.shape[:2]
        top, left = draws.below(height - self.size + 1), draws.below(width - self.size + 1)
        return to_tensor(orient(level[top : top + self.size, left : left + self.size], draws.below(8)))

    def pictures(self) -> Iterator[tuple[str, Float[Tensor, "c h w"]]]:
        """The centre of every usable level of every picture; the name ends in @2, @4, ... for 1/2, 1/4 of the size."""
        for index, name in enumerate(self.names):
            try:
                levels = self.usable(index)
            except PictureError as error:         # deleted meanwhile
                self.skipped.catch(error)
                continue
            for k, level in enumerate(levels):
                top, left = ((n - self.size) // 2 for n in level.shape[:2])
                square = level[top : top + self.size, left : left + self.size]
                yield (name if k == 0 else f"{name}@{2**k}"), to_tensor(square)


def orient(square: UInt8[np.ndarray, "h w c"], which: int) -> UInt8[np.ndarray, "_ _ c"]:
    """One of the eight symmetries of a square, numbered by three bits: swap the axes, turn over y, turn over x."""
    square = square.transpose(1, 0, 2) if which & 4 else square
    return square[:: -1 if which & 2 else 1, :: -1 if which & 1 else 1]


@dataclass(frozen=True)
class DataConfig:
    """What to read from a folder and how to cut it.

    Attributes:
        layout: how the folder is laid out and split into train and test: any folder of pictures, or a data set's own.
        size: side in pixels of the square pictures that come out.
        crop: how a training picture is cut. `pyramid`: anywhere, at a random scale, in one of eight orientations, never
            resampled but by halving. `random_flip`: anywhere at full scale, mirrored half the time (ImageNette and
            ImageNet in the compared code). `center`: shorter side resized to `size`, then the middle (CelebA, FFHQ; and
            the evaluation pictures of every crop but `pyramid`).
        levels: `pyramid`: the most scales per picture, each half the one before.
        holdout: `folder` without train and test sub-folders: the share of pictures for testing.
        channels: 3, RGB; 1 of grey pictures that are whole files (not `pyramid`).
    """

    layout: Layout = "folder"
    size: int = 64
    crop: Crop = "pyramid"
    levels: int = 6
    holdout: float = 0.1
    channels: int = 3

    def __post_init__(self) -> None:
        for name, choices in (("layout", get_args(Layout)), ("crop", get_args(Crop))):
            if getattr(self, name) not in choices:
                raise UserError(f"{name} {getattr(self, name)!r} is not known; give one of {', '.join(choices)}")
        if self.channels not in (1, 3) or (self.channels == 1 and self.crop == "pyramid"):
            raise UserError(f"channels is {self.channels}; give 3 (RGB), or 1 (grey) with crop center or random_flip")
        for name in ("size", "levels"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give at least 1")
        if not 0 <= self.holdout < 1:
            raise UserError(f"holdout is {self.holdout}; give a share of the pictures from 0 up to, not including, 1")

    def open(self, root: str | Path, split: Split) -> PictureSource:
        """The pictures of one split of the data set in a folder.

        With `crop="pyramid"` all photographs are decoded into the cache first, which can take minutes the first time
        and milliseconds afterwards. Raises UserError for a folder that is missing, is laid out differently, or holds no
        usable picture of the split.
        """
        skipped = SkippedFiles()
        listing = LAYOUTS[self.layout](check_root(root, split, "pictures"), split, self.holdout, skipped)
        if self.crop == "pyramid":
            return PhotoCrops(listing, size=self.size, levels=self.levels, skipped=skipped)
        return PictureFiles(listing, size=self.size, crop=self.crop, channels=self.channels, skipped=skipped)
