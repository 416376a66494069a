"""Pictures: files, folders, the papers' data sets, random crops, batches."""

from tokenfield.data.crops import PhotoCrops
from tokenfield.data.datasets import DataConfig, PictureFiles, open_source
from tokenfield.data.loader import Loader
from tokenfield.data.pictures import (
    PictureError,
    SkippedFiles,
    find_pictures,
    read_picture,
    read_pictures,
    write_picture,
)
from tokenfield.data.pyramid import PyramidCache
from tokenfield.data.sources import Pictures, PictureSource, Source

__all__ = [
    "DataConfig",
    "Loader",
    "PhotoCrops",
    "PictureError",
    "PictureFiles",
    "PictureSource",
    "Pictures",
    "PyramidCache",
    "SkippedFiles",
    "Source",
    "find_pictures",
    "open_source",
    "read_picture",
    "read_pictures",
    "write_picture",
]
