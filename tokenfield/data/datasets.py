"""From a configuration and a folder to a source of pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from jaxtyping import Float
from torch import Tensor

from tokenfield.data.crops import PhotoCrops
from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.data.draws import Draws
from tokenfield.data.layouts import LAYOUTS
from tokenfield.data.listings import Listing
from tokenfield.data.skipped import SkippedFiles
from tokenfield.data.sources import DataConfig, PictureSource, Split
from tokenfield.data.transforms import center_square, random_square, to_tensor
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown


class PictureFiles(PictureSource):
    """Squares from picture files that are decoded each time: the papers' data sets, whose pictures are small and many.

    Args:
        listing: the files.
        size: side of the squares in pixels.
        crop: `random_flip` or `center` (see `DataConfig`); evaluation pictures are always `center`.
        skipped: where files that cannot be used are noted.
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


def open_source(config: DataConfig, root: str | Path, split: Split) -> PictureSource:
    """The pictures of one split of a data set.

    Args:
        config: layout, size and crop.
        root: the data set's folder.
        split: "train" or "test".
    Returns:
        A `Source`; with `crop="pyramid"` all photographs are decoded into the cache first, which can take minutes the
        first time and milliseconds afterwards.
    Raises:
        UserError: the folder is missing, is laid out differently, or holds no usable picture of the split.
    """
    root = Path(root)
    if split not in get_args(Split):
        raise UserError(f"split {split!r} is not known; give one of {', '.join(get_args(Split))}")
    if not root.is_dir():
        what = "is a file" if root.is_file() else "no such folder"
        raise UserError(f"{shown(root)}: {what}; give the folder that holds the pictures")
    skipped = SkippedFiles()
    listing = LAYOUTS[config.layout](root, split, config, skipped)
    if config.crop == "pyramid":
        return PhotoCrops(listing, size=config.size, levels=config.levels, skipped=skipped)
    return PictureFiles(listing, size=config.size, crop=config.crop, skipped=skipped)
