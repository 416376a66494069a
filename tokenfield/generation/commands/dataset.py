"""How a data set lies on disk: options that `latents` and `score` share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tokenfield.data import DataConfig

Layout = Literal["folder", "celeba", "ffhq", "imagenette", "imagenet", "lsun", "celeba_anr"]


@dataclass(frozen=True)
class Dataset:
    """A data set's folder, as for training."""

    layout: Layout = "folder"
    """How the data set lies on disk."""
    holdout: float = 0.1
    """Layout folder without train and test sub-folders: the share of pictures that is held out."""

    def config(self, size: int = 256) -> "DataConfig":
        """Its pictures as middle squares of `size` pixels."""
        from tokenfield.data import DataConfig

        return DataConfig(layout=self.layout, holdout=self.holdout, size=size, crop="center")
