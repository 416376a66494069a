"""Options of the commands that say which pictures are taken and how they are encoded; nothing here loads torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from tokenfield.data import DataConfig


@dataclass(frozen=True)
class Dataset:
    """How a data set lies on disk, as for training."""

    layout: Literal["folder", "celeba", "ffhq", "imagenette", "imagenet", "lsun", "celeba_anr"] = "folder"
    """How the data set lies on disk."""
    holdout: float = 0.1
    """Layout folder without train and test sub-folders: the share of pictures that is held out."""

    def squares(self, side: int, channels: int = 3) -> "DataConfig":
        """Its pictures as middle squares of so many pixels, for a model of 3 or, of grey pictures, 1 channel."""
        from tokenfield.data import DataConfig

        return DataConfig(layout=self.layout, size=side, crop="center", holdout=self.holdout, channels=channels)


@dataclass(frozen=True)
class Encoding(Dataset):
    """How a data set is encoded."""

    held_out: bool = True
    """Also encode the pictures that are held out; --no-held-out leaves the denoiser's training without."""
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side of the pictures, for models that take any; a multiple of their cells."""
    flips: bool = True
    """Encode every training picture a second time, mirrored."""
    shard: int = 1024
    """Entries per shard."""
    batch: int = 32
    """Pictures that are encoded at once."""
    bytes: bool = False
    """Write one file of coded pictures, whole and of any size, in place of a folder of shards: far fewer bytes,
    read by `tokenfield.fields.archive.FieldArchive`."""
    quality: Annotated[float, tyro.conf.arg(metavar="0..100")] = 50.0
    """With --bytes: how finely tokens are quantised."""
    half: bool = False
    """Store 16-bit numbers: half the folder. Statistics are always those of what is stored."""
    workers: int = 2
    """Threads that read pictures."""
