"""Pictures: files, folders, the papers' data sets, random crops, batches."""

from tokenfield.data.datasets import DataConfig as DataConfig
from tokenfield.data.datasets import PhotoCrops as PhotoCrops
from tokenfield.data.datasets import PictureFiles as PictureFiles
from tokenfield.data.decoding import PictureError as PictureError
from tokenfield.data.loader import Loader as Loader
from tokenfield.data.pictures import SkippedFiles as SkippedFiles
from tokenfield.data.pictures import find_pictures as find_pictures
from tokenfield.data.pictures import read_picture as read_picture
from tokenfield.data.pictures import read_pictures as read_pictures
from tokenfield.data.pictures import write_picture as write_picture
from tokenfield.data.pyramid import PyramidCache as PyramidCache
from tokenfield.data.sources import Pictures as Pictures
from tokenfield.data.sources import PictureSource as PictureSource
from tokenfield.data.sources import Source as Source
