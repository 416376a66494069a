"""Where training and evaluation pictures come from: the protocols of sources, and the base of those made of files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.data.draws import Draws
from tokenfield.data.listings import Listing
from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown

Split = Literal["train", "test"]

Sample = Tensor | dict[str, Tensor]
"""A training picture (C, H, W), or the named tensors of another kind of instance. Batches stack them, name by name."""


@runtime_checkable
class Source(Protocol):
    """Instances of one split, pictures or others, for the training loop.

    Attributes:
        skipped: files that could not be used; grows while pictures are read.
    """

    skipped: SkippedFiles

    def __len__(self) -> int:
        """How many source pictures there are."""
        ...

    def sample(self, seed: int, step: int, slot: int) -> Sample:
        """What is trained on at `step` in place `slot` of the global batch: a pure function of its arguments."""
        ...


@runtime_checkable
class Pictures(Source, Protocol):
    """A source of pictures. Sources of other signals have an iterator of their own, which their objective knows."""

    def pictures(self) -> Iterator[tuple[str, Tensor]]:
        """Evaluation pictures and their names, always the same in the same order; damaged files are left out."""
        ...


def check_root(root: str | Path, split: Split, things: str) -> Path:
    """The folder of a data set. Raises UserError for another split, or where there is no such folder."""
    root = Path(root)
    if split not in get_args(Split):
        raise UserError(f"split {split!r} is not known; give one of {', '.join(get_args(Split))}")
    if not root.is_dir():
        what = "is a file" if root.is_file() else "no such folder"
        raise UserError(f"{shown(root)}: {what}; give the folder that holds the {things}")
    return root


ATTEMPTS = 32
"""Damaged files in a row after which `draw` gives up: at 32, more than half of the folder must be damaged."""


class PictureSource:
    """A source made of the picture files of a `Listing`; subclasses say how to `cut` one."""

    def __init__(self, listing: Listing, skipped: SkippedFiles | None = None):
        self.paths, self.names = list(listing.paths), list(listing.names)
        self.classes, self.labels = listing.classes, listing.labels
        self.skipped = SkippedFiles() if skipped is None else skipped

    def __len__(self) -> int:
        return len(self.paths)

    def cut(self, index: int, draws: Draws) -> Float[Tensor, "c h w"]:
        """A training picture from file `index`. Raises PictureError where the file is damaged."""
        raise NotImplementedError(f"{type(self).__name__}.cut")

    def draw(self, seed: int, step: int, slot: int) -> tuple[int, Float[Tensor, "c h w"]]:
        """The training picture at `step` in place `slot` of the global batch, and the index of the file it is from.

        A pure function of its arguments and of the files. Files are drawn uniformly, with replacement: an epoch sees
        some twice, and the picture at a step depends on no other step. One that turns out to be damaged is noted in
        `skipped`, and the next draw of this place, the same every time, takes its place; after `ATTEMPTS` of them in a
        row there is a UserError.
        """
        for attempt in range(ATTEMPTS):
            draws = Draws(seed, step, slot, attempt)
            index = draws.below(len(self))
            try:
                return index, self.cut(index, draws)
            except PictureError as error:
                self.skipped.catch(error)
        raise UserError(f"{ATTEMPTS} pictures in a row cannot be read, check the folder; "
                        f"{self.skipped.summary(len(self))}")

    def sample(self, seed: int, step: int, slot: int) -> Float[Tensor, "c h w"]:
        """The picture of `draw`."""
        return self.draw(seed, step, slot)[1]

    def pictures(self) -> Iterator[tuple[str, Float[Tensor, "c h w"]]]:
        """Evaluation pictures and their names."""
        raise NotImplementedError(f"{type(self).__name__}.pictures")
