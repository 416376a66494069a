"""`tokenfield latents`, `generate` and `score`, and the options that two of them have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tokenfield.errors import UserError

LEAST = {"size": 1, "count": 1, "first": 0, "batch": 1, "frames": 2, "repeats": 1, "shard": 1, "shown": 1}
"""The smallest number that an option may be."""


def check_numbers(options: Mapping[str, object]) -> None:
    """Raises UserError for a number among the options that is smaller than its `LEAST`."""
    for name, least in LEAST.items():
        value = options.get(name)
        if isinstance(value, int) and value < least:
            raise UserError(f"--{name} {value}: give at least {least}")


@dataclass(frozen=True)
class Dataset:
    """A data set's folder, as for training."""

    layout: Literal["folder", "celeba", "ffhq", "imagenette", "imagenet", "lsun", "celeba_anr"] = "folder"
    """How the data set lies on disk."""
    holdout: float = 0.1
    """Layout folder without train and test sub-folders: the share of pictures that is held out."""
