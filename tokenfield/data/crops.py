"""Random crops at many scales from large photographs."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.data.draws import Draws
from tokenfield.data.listings import Listing
from tokenfield.data.pyramid import Levels, PyramidCache
from tokenfield.data.skipped import SkippedFiles
from tokenfield.data.sources import PictureSource
from tokenfield.data.transforms import to_tensor
from tokenfield.errors import UserError


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

    def __init__(
        self,
        listing: Listing,
        *,
        size: int,
        levels: int = 6,
        skipped: SkippedFiles | None = None,
        cache: PyramidCache | None = None,
    ):
        skipped = SkippedFiles() if skipped is None else skipped
        self.size, self.depth = size, levels
        self.cache = PyramidCache() if cache is None else cache
        readable = set(self.cache.build(listing.paths, skipped))
        usable = []
        for index, path in enumerate(listing.paths):
            if path not in readable:
                continue
            height, width = self.cache.levels(path)[0].shape[:2]
            if min(height, width) < size:
                skipped.add(path, f"is {width} x {height}, too small for crops of {size} pixels")
            else:
                usable.append(index)
        if not usable:
            raise UserError(f"none of the {len(listing.paths)} pictures can be used; "
                            f"{skipped.summary(len(listing.paths))}")
        super().__init__(listing.keep(usable), skipped)

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
