"""Signals in files as training data: their split by name, and the windows of a step.

A folder with `train` and `test` in it is split as it says. In another one a signal is held out by its name, so that it
stays on its side whatever files come or go.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from zlib import crc32

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.data.draws import Draws
from tokenfield.data.pictures import SkippedFiles
from tokenfield.data.sources import ATTEMPTS, Split, check_root
from tokenfield.errors import UserError
from tokenfield.fields.domain import crossed
from tokenfield.io.atomic import shown

CACHE_BYTES = 1 << 28
"""Samples that stay in memory: 256 MB, of sound two hours at 8 kHz."""


def on_side(root: str | Path, split: Split, every: int, find: Callable[[Path], list[Path]], things: str) -> list[Path]:
    """The signals of one split of a folder: one of `every` is held out, by its name. Raises UserError for none."""
    folder = check_root(root, split, things)
    if all((folder / name).is_dir() for name in ("train", "test")):
        return find(folder / split)
    held_out = split == "test"
    files = [path for path in find(folder) if (crc32(path.stem.encode()) % every == 0) == held_out]
    if not files and not held_out:
        raise UserError(f"{shown(folder)}: all its {things} are held out; give more, or folders train and test")
    return files


class Windows:
    """Signals of one split: a `Source`, whose evaluation takes whole `signals`; a sample is a window of one.

    Attributes:
        paths: the signals.
        extent: samples of a window along each axis.
        read: a signal (C, ...) of a path, float32, or uint8 for n / 255. Raises PictureError.
        things: what signals are called.
    """

    def __init__(self, paths: list[Path], extent: Sequence[int], read: Callable[[Path], Tensor], things: str):
        self.paths, self.extent, self.read, self.things = paths, tuple(extent), read, things
        self.skipped = SkippedFiles()
        self._cache: OrderedDict[Path, Tensor] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, path: Path) -> Tensor:
        """A signal (C, ...), read once as long as the cache has room. Raises PictureError."""
        with self._lock:
            if path not in self._cache:
                self._cache[path] = self.read(path)
                while len(self._cache) > 1 and sum(samples.nbytes for samples in self._cache.values()) > CACHE_BYTES:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(path)
            return self._cache[path]

    def signals(self) -> Iterator[tuple[Path, Float[Tensor, "c *n"]]]:
        """Whole signals in their order; those that cannot be read are noted and left out."""
        for path in self.paths:
            try:
                yield path, as_float(self.load(path))
            except PictureError as error:
                self.skipped.catch(error)

    def sample(self, seed: int, step: int, slot: int) -> Float[Tensor, "c *n"]:
        """A window of a signal, both drawn evenly, a pure function of its arguments.

        A shorter signal is continued by its last samples, as a field of it is.
        """
        for attempt in range(ATTEMPTS):
            draws = Draws(seed, step, slot, attempt)
            try:
                samples = self.load(self.paths[draws.below(len(self))])
            except PictureError as error:
                self.skipped.catch(error)
                continue
            starts = [draws.below(max(1, n - side + 1)) for n, side in zip(samples.shape[1:], self.extent, strict=True)]
            indices = [(start + torch.arange(side)).clamp(max=n - 1)
                       for start, side, n in zip(starts, self.extent, samples.shape[1:], strict=True)]
            return as_float(samples[crossed(indices)])
        raise UserError(f"{ATTEMPTS} {self.things} in a row cannot be read, check the folder; "
                        f"{self.skipped.summary(len(self))}")

    def thin(self, count: int | None) -> None:
        """Keeps at most so many signals, spread evenly; None: all."""
        total = len(self)
        kept = min(count or total, total)
        self.paths = [self.paths[i * total // kept] for i in range(kept)]


def as_float(samples: Tensor) -> Tensor:
    """Samples as float32: bytes n / 255, others as they are."""
    return samples.float() / 255 if samples.dtype == torch.uint8 else samples
