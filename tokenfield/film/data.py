"""Films as training data: a folder of them, and the clips of a step."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxtyping import UInt8
from torch import Tensor

from tokenfield.data.sources import Split
from tokenfield.errors import UserError
from tokenfield.film.files import find_films, read_film
from tokenfield.signals.windows import Windows, on_side


@dataclass(frozen=True)
class FilmConfig:
    """Which films to read, and how much of one a step sees."""

    frames: int = 8
    """Frames of a clip, the model's."""
    size: tuple[int, int] = (32, 32)
    """Height and width of a clip in pixels, the model's."""
    channels: Literal[1, 3] = 3
    """3: colours, 1: grey; the model's."""
    every: int = 10
    """In a folder without `train` and `test`: one film of so many is held out, by its name."""

    def __post_init__(self) -> None:
        if min(self.frames, *self.size) < 4 or self.every < 2:
            raise UserError(f"data.frames {self.frames}, size {self.size}, every {self.every}; give at least 4, 4, 2")

    def open(self, root: str | Path, split: Split) -> "FilmSource":
        """The films of one split of a folder. Raises UserError for a folder without any."""
        return FilmSource(self, on_side(root, split, self.every, find_films, "films"))


class FilmSource(Windows):
    """Films (C, T, H, W) of one split; a sample is a clip."""

    def __init__(self, config: FilmConfig, paths: list[Path]):
        self.config = config
        super().__init__(paths, (config.frames, *config.size), self._read, "films")

    def _read(self, path: Path) -> UInt8[Tensor, "c t h w"]:
        return read_film(path, self.config.channels)[0]
