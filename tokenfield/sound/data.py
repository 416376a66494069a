"""Recordings as training data: a folder of files, and the segments of a step."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from tokenfield.data.sources import Split
from tokenfield.errors import UserError
from tokenfield.signals.windows import Windows, on_side
from tokenfield.sound.files import RATES, find_recordings, read_recording


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
        return SoundSource(self, on_side(root, split, self.every, find_recordings, "recordings"))


class SoundSource(Windows):
    """Recordings (1, N) of one split; a sample is a segment."""

    def __init__(self, config: SoundConfig, paths: list[Path]):
        self.config = config
        super().__init__(paths, (config.length,), self._read, "recordings")

    def _read(self, path: Path) -> Float[Tensor, "1 n"]:
        return read_recording(path, self.config.rate)[None]
