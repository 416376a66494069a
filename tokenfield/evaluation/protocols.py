"""Named evaluation protocols: everything that decides a number, stated once, printed with every result.

What all of them share is how closeness is measured (`MEASUREMENT`): both papers' code takes float32 values in [0, 1] as
the decoder gives them (ANR's, which works in [-1, 1], maps them back first). What differs is which pictures are taken
and how they are cut. A data set's protocol reads the data set's own layout and its test split as the compared code
does; the published number that belongs to it is named.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from tokenfield.data import DataConfig
from tokenfield.data.datasets import PictureFiles
from tokenfield.data.listings import relative_listing
from tokenfield.data.pictures import SkippedFiles, find_pictures
from tokenfield.data.sources import check_root

MEASUREMENT: dict[str, str] = {
    "range": "float32 in [0, 1]; the peak of PSNR is 1",
    "clamp": "none",
    "rounding": "none",
    "averaging": "-10 log10 of the mean squared error over all values of a picture; then the mean over pictures",
    "SSIM, 8-bit, LPIPS, rFID": "of values clamped to [0, 1]; of 8-bit and rFID also rounded to 255 steps",
    "coordinates": "cell centres, -1 + 2 (i + 1/2) / n along each axis, (y, x), row-major",
}
"""How closeness is measured, in every protocol."""

SQUARE = "shorter side resized to {0} (Pillow, bilinear, antialiased), then the middle {0} x {0}"
LAST_QUARTER = "the last quarter of the sorted list of files, as ANR's evaluation (validation and test, 0.75 to 1)"

NamedPictures = Iterator[tuple[str, Float[Tensor, "c h w"]]]
"""Pictures in [0, 1] with their names."""


@dataclass(frozen=True)
class Protocol:
    """Which pictures, and how they are cut."""

    pictures: str
    """What is taken, in one phrase."""
    split: str = "none"
    """Which part of a data set."""
    crop: str = "none"
    """How a picture is cut and resampled."""
    published: str = ""
    """The number that a paper states by this protocol."""
    data: DataConfig | None = None
    """The data set, for those that have a layout of their own."""
    last: float = 0.0
    """Above 0: the test split is this share of the sorted list of files, at its end."""
    expected: int = 0
    """Pictures of the test set; 0: any number."""
    sides: tuple[int, int] | None = None
    """The longer and the shorter side of them all, in pixels; None: they differ."""
    part: str = ""
    """Folder that holds them where the data set is unpacked as it is distributed; else they lie in the folder given."""

    def describe(self, name: str) -> dict[str, str]:
        """All that decides a number."""
        counting = f"{self.expected} pictures" if self.expected else "every picture that can be read"
        facts = {"name": name, "pictures": self.pictures, "split": self.split, "crop": self.crop,
                 "counting": counting, **MEASUREMENT}
        return facts | ({"published": self.published} if self.published else {})

    def differences(self, sizes: Sequence[tuple[int, int]]) -> list[str]:
        """Where pictures of such heights and widths are not the test set; [] where they may be it."""
        lines = []
        if self.expected and len(sizes) != self.expected:
            lines.append(f"{len(sizes)} pictures were measured, and the test set has {self.expected}")
        others = [size for size in sizes if self.sides and (max(size), min(size)) != self.sides]
        if self.sides and others:
            (long, short), (height, width) = self.sides, others[0]
            lines.append(f"{len(others)} pictures are not of {long} x {short} pixels, the first of {width} x {height}")
        return lines

    def folder(self, root: Path) -> Path:
        """Where the pictures lie below what the user gave."""
        return root / self.part if self.part and (root / self.part).is_dir() else root

    def open(self, root: Path, count: int | None) -> tuple[NamedPictures, int, SkippedFiles]:
        """(name, picture) of the test split, or the first `count`; how many there are, and what is skipped meanwhile.

        Raises UserError for a folder that is laid out differently, or holds no picture of the split.
        """
        assert self.data is not None, "a protocol without a data set is opened by its name"
        size = self.data.size
        source = last_part(root, self.last, size) if self.last else self.data.open(root, "test")
        total = len(source) if count is None else min(count, len(source))
        return islice(source.pictures(), count), total, source.skipped


def last_part(root: Path, share: float, size: int) -> PictureFiles:
    """The end of the sorted list of all pictures of a folder, as ANR's evaluation takes it.

    Its code lists a folder in the order of the file system, which differs between machines; here the list is sorted.
    The cut lies at int((1 - share) n), so that a folder of one picture is a test set.
    """
    skipped = SkippedFiles()
    files = sorted(find_pictures(check_root(root, "test", "pictures"), skipped))
    return PictureFiles(relative_listing(root, files[int((1 - share) * len(files)) :]), size=size, crop="center",
                        skipped=skipped)


def _data_set(layout: str, size: int, pictures: str, split: str, published: str, *, last: float = 0.0,
              expected: int = 0) -> Protocol:
    data = DataConfig(layout=layout, size=size, crop="center")  # type: ignore[arg-type]  # checked by itself
    return Protocol(pictures, split, SQUARE.format(size), published, data, last, expected)


def _ffhq(size: int, published: str) -> Protocol:
    split = "the 10 000 pictures of ginr-ipc's random list (or ffhqvalidation.txt)"
    return _data_set("ffhq", size, f"FFHQ at {size} pixels", split, published, expected=10_000)


PROTOCOLS: dict[str, Protocol] = {
    "skimage256": Protocol(
        "centre crops of 256 x 256 pixels, not resampled, of the eight held-out photographs of scikit-image",
        crop="the middle 256 x 256 pixels, not resampled",
    ),
    "folder": Protocol(
        "the centre crop of at most SIZE x SIZE pixels, not resampled, of every picture of a folder",
        crop="the middle SIZE x SIZE pixels, not resampled",
    ),
    "native": Protocol("every picture of a folder, whole, at its own size"),
    "recipe": Protocol(
        "the test split of the data the model was trained on, cut as its recipe says",
        split="test",
        crop="the recipe's; of a pyramid, the middle of every level (NAME@2 is NAME at half its size) that is large "
             "enough, not resampled",
    ),
    "imagenette178": _data_set(
        "imagenette", 178, "ImageNette at 178 pixels", "val/, 3925 pictures",
        "Table 1 (NeurIPS 2023): LAINR 46.10, IPC 38.46, TransINR 29.77, Learned Init 27.07 dB", expected=3925,
    ),
    "celeba178": _data_set(
        "celeba", 178, "CelebA, aligned and cropped, at 178 pixels", "test of list_eval_partition.txt, 19962 pictures",
        "Table 1 (NeurIPS 2023): LAINR 50.74, IPC 35.93, TransINR 33.33, Learned Init 30.37 dB", expected=19_962,
    ),
    "ffhq178": _ffhq(178, "Table 1 (NeurIPS 2023): LAINR 43.32, IPC 37.18, TransINR 33.66 dB"),
    "ffhq256": _ffhq(256, "Tables 2, 6 (NeurIPS 2023): LAINR 39.88 (L = 2), IPC 34.68, TransINR 30.96 dB"),
    "ffhq512": _ffhq(512, "Tables 2, 6 (NeurIPS 2023): LAINR 35.43 (L = 2), IPC 31.58, TransINR 29.35 dB"),
    "ffhq1024": _ffhq(1024, "Tables 2, 6 (NeurIPS 2023): LAINR 31.94 (L = 2), IPC 28.68 dB"),
    "imagenet256": _data_set(
        "imagenet", 256, "ImageNet (ILSVRC 2012) at 256 pixels", "val/, 50000 pictures",
        "Table 5 (NeurIPS 2023): LAINR 37.7, Spatial Functa 37.2 and 37.7, LDM's autoencoder 27.4 dB",
        expected=50_000,
    ),
    "celeba128": _data_set(
        "folder", 128, "CelebA, aligned and cropped, at 128 pixels", LAST_QUARTER,
        "ANR (ECCV 2024): 47.25 against 37.95 dB for the best MLP-based system", last=0.25,
    ),
    "lsun256": _data_set(
        "folder", 256, "a category of LSUN at 256 pixels", LAST_QUARTER, "ANR (ECCV 2024) shows figures only",
        last=0.25,
    ),
    "kodak": Protocol("the 24 photographs of the Kodak set, whole", expected=24, sides=(768, 512)),
    "div2k": Protocol("the 100 validation pictures of DIV2K, whole", "validation", expected=100, part="DIV2K_valid_HR"),
    "urban100": Protocol("the 100 pictures of Urban100, whole", expected=100),
}  # fmt: skip
"""Every protocol by the name that `tokenfield evaluate --protocol` takes."""

KINDS = {"photographs": "photographs", "photos": "photographs", "faces": "faces", "text": "text",
         "line art": "line art", "lineart": "line art", "stars": "stars"}
"""What a sub-folder may be called for its pictures to be reported by themselves, and as what; - and _ are spaces."""


def kind_of(name: str) -> str | None:
    """The kind of a picture by the outermost folder in its name; None for another folder, or none."""
    folder, _, rest = name.partition("/")
    return KINDS.get(folder.lower().replace("-", " ").replace("_", " ")) if rest else None


DATA_SETS = tuple(name for name, protocol in PROTOCOLS.items() if protocol.data is not None)
"""Those that read a data set in its own layout."""
