"""From a configuration and a folder to a source of pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from tokenfield.data.crops import PhotoCrops
from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.data.draws import Draws
from tokenfield.data.layouts import LAYOUTS
from tokenfield.data.listings import Listing
from tokenfield.data.skipped import SkippedFiles
from tokenfield.data.sources import PictureSource, Split
from tokenfield.data.transforms import center_square, random_square, to_tensor
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown

Layout = Literal["folder", "celeba", "ffhq", "imagenette", "imagenet", "lsun", "celeba_anr"]
Crop = Literal["pyramid", "random_flip", "center"]


class PictureFiles(PictureSource):
    """Squares from picture files that are decoded each time: the papers' data sets, whose pictures are small and many.

    `size` is their side in pixels; `crop` is `random_flip` or `center` (see `DataConfig`), for evaluation always the
    latter.
    """

    def __init__(self, listing: Listing, *, size: int, crop: str, skipped: SkippedFiles | None = None):
        super().__init__(listing, skipped)
        self.size, self.crop = size, crop

    def cut(self, index: int, draws: Draws) -> Float[Tensor, "c h w"]:
        picture = read_rgb8(self.paths[index])
        if self.crop == "random_flip":
            return to_tensor(random_square(picture, self.size, draws))
        return to_tensor(center_square(picture, self.size))

    def pictures(self) -> Iterator[tuple[str, Float[Tensor, "c h w"]]]:
        """Every file's centre square, by the protocol of the published numbers."""
        for path, name in zip(self.paths, self.names, strict=True):
            try:
                picture = read_rgb8(path)
            except PictureError as error:
                self.skipped.catch(error)
            else:
                yield name, to_tensor(center_square(picture, self.size))


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
    """

    layout: Layout = "folder"
    size: int = 64
    crop: Crop = "pyramid"
    levels: int = 6
    holdout: float = 0.1

    def __post_init__(self) -> None:
        for name, choices in (("layout", get_args(Layout)), ("crop", get_args(Crop))):
            if getattr(self, name) not in choices:
                raise UserError(f"{name} {getattr(self, name)!r} is not known; give one of {', '.join(choices)}")
        for name in ("size", "levels"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give at least 1")
        if not 0 <= self.holdout < 1:
            raise UserError(f"holdout is {self.holdout}; give a share of the pictures from 0 up to, not including, 1")

    def open(self, root: str | Path, split: Split) -> PictureSource:
        """The pictures of one split; see `open_source`."""
        return open_source(self, root, split)


def open_source(config: DataConfig, root: str | Path, split: Split) -> PictureSource:
    """The pictures of one split of the data set in a folder.

    With `crop="pyramid"` all photographs are decoded into the cache first, which can take minutes the first time and
    milliseconds afterwards. Raises UserError for a folder that is missing, is laid out differently, or holds no usable
    picture of the split.
    """
    root = Path(root)
    if split not in get_args(Split):
        raise UserError(f"split {split!r} is not known; give one of {', '.join(get_args(Split))}")
    if not root.is_dir():
        what = "is a file" if root.is_file() else "no such folder"
        raise UserError(f"{shown(root)}: {what}; give the folder that holds the pictures")
    skipped = SkippedFiles()
    listing = LAYOUTS[config.layout](root, split, config.holdout, skipped)
    if config.crop == "pyramid":
        return PhotoCrops(listing, size=config.size, levels=config.levels, skipped=skipped)
    return PictureFiles(listing, size=config.size, crop=config.crop, skipped=skipped)
