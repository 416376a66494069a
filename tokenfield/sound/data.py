"""Recordings as training data: a folder of files, their split by name, and the segments of a step.

A folder with `train` and `test` in it is split as it says. In another one a recording is held out by its name, so that
it stays on its side whatever files come or go.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
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
from tokenfield.io.atomic import shown
from tokenfield.sound.files import RATES, find_recordings, read_recording

CACHE_BYTES = 1 << 28
"""Samples that stay in memory: 256 MB, two hours at 8 kHz."""


@dataclass(frozen=True)
class SoundConfig:
    """Which recordings to read, and how much of one a step sees."""

    rate: int = 16_000
    """Samples per second, the model's; recordings of another rate are resampled."""
    length: int = 16_000
    """Samples of a segment, the model's."""
    every: int = 10
    """In a folder without `train` and `test`: one recording of so many is held out, by its name."""

    def __post_init__(self) -> None:
        if not RATES[0] <= self.rate <= RATES[1] or self.length < 4 or self.every < 2:
            raise UserError(f"data.rate {self.rate}, length {self.length}, every {self.every}; give {RATES[0]} to "
                            f"{RATES[1]} Hz, at least 4, and at least 2")

    def open(self, root: str | Path, split: Split) -> "SoundSource":
        """The recordings of one split of a folder. Raises UserError for a folder without any."""
        folder = check_root(root, split, "recordings")
        if all((folder / name).is_dir() for name in ("train", "test")):
            return SoundSource(self, find_recordings(folder / split))
        held_out = split == "test"
        files = [path for path in find_recordings(folder) if (crc32(path.stem.encode()) % self.every == 0) == held_out]
        if not files and not held_out:
            raise UserError(f"{shown(folder)}: every recording is held out; give more, or folders train and test")
        return SoundSource(self, files)


class SoundSource:
    """Recordings of one split: a `Source`, whose evaluation takes whole `recordings`; a sample is a segment."""

    def __init__(self, config: SoundConfig, paths: list[Path]):
        self.config, self.paths, self.skipped = config, paths, SkippedFiles()
        self._cache: OrderedDict[Path, Tensor] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, path: Path) -> Float[Tensor, " n"]:
        """A recording at the model's rate, read once as long as the cache has room. Raises PictureError."""
        with self._lock:
            if path not in self._cache:
                self._cache[path] = read_recording(path, self.config.rate)
                while len(self._cache) > 1 and sum(samples.nbytes for samples in self._cache.values()) > CACHE_BYTES:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(path)
            return self._cache[path]

    def recordings(self) -> Iterator[tuple[Path, Float[Tensor, " n"]]]:
        """Whole recordings in their order; those that cannot be read are noted and left out."""
        for path in self.paths:
            try:
                yield path, self.load(path)
            except PictureError as error:
                self.skipped.catch(error)

    def sample(self, seed: int, step: int, slot: int) -> Float[Tensor, "1 n"]:
        """A segment of a recording, both drawn evenly, a pure function of its arguments.

        A shorter recording is continued by its last sample, as `Recording` does.
        """
        for attempt in range(ATTEMPTS):
            draws, length = Draws(seed, step, slot, attempt), self.config.length
            try:
                samples = self.load(self.paths[draws.below(len(self))])
            except PictureError as error:
                self.skipped.catch(error)
                continue
            start = draws.below(max(1, len(samples) - length + 1))
            return samples[(start + torch.arange(length)).clamp(max=len(samples) - 1)][None]
        raise UserError(f"{ATTEMPTS} recordings in a row cannot be read, check the folder; "
                        f"{self.skipped.summary(len(self))}")
