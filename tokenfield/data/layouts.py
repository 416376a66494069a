"""How data sets lie on disk, and which of their files are for training and which for testing.

One function per layout, `(root, split, holdout, skipped) -> Listing`; `LAYOUTS` names them. They list names and open
nothing but lists, so that a million files take seconds; damaged pictures are found when they are read. Every listing is
sorted by name: `os.listdir` has no order of its own, and a split cut from it would differ between machines.
"""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from tokenfield.data.listings import Listing, distinct, folders_in, pictures_in, relative_listing, shares, text_lines
from tokenfield.data.pictures import SUFFIXES, SkippedFiles, find_pictures
from tokenfield.data.shards import NO_LABEL, index_of, members
from tokenfield.data.sources import Split
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown

FFHQ = Path(__file__).parent / "splits" / "ffhq_validation.bits"
"""One bit per picture of FFHQ's 70 000, in order, the first in a byte's highest bit; set: for testing."""


def list_folder(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """Any folder of pictures, split by source picture.

    With sub-folders `train` and `test` (or `val`, `valid`, `validation`) each split is read from its own. Otherwise a
    picture is held out when the hash of its path below `root` says so, so that pictures added later leave the split of
    the others as it was; the share is `holdout`, and of two pictures and more at least one is held out. Copies,
    byte by byte, of a picture count once: a copy in the other split would be a leak.
    """
    tests = [root / name for name in ("test", "val", "valid", "validation") if (root / name).is_dir()]
    if (root / "train").is_dir() and tests:
        return relative_listing(root, find_pictures(root / "train" if split == "train" else tests[0], skipped))
    listing = relative_listing(root, find_pictures(root, skipped))
    listing = listing.keep(distinct(listing.paths))
    held_out = held_out_places(listing.names, holdout)
    indices = [i for i in range(len(listing.names)) if (i in held_out) == (split == "test")]
    if not indices:
        raise UserError(f"{shown(root)}: none of the {len(listing.names)} pictures is left for testing at holdout "
                        f"{holdout:g}; give at least two pictures and a holdout above 0, or a test sub-folder")
    return listing.keep(indices)


def list_shards(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """Tar files of pictures (`tokenfield.data.shards`), one split's own: `train/*.tar` or `train-*.tar`, likewise test.

    Testing also goes by `val`, `valid` and `validation`. Where no shard is called after a split, pictures are held out
    by their names, as of a folder. Classes, where every picture has one, are named in `classes.txt`, one per line, if
    that is there, and by their numbers otherwise.
    """
    every = sorted(path for pattern in ("*.tar", "*/*.tar") for path in root.glob(pattern) if path.is_file())
    names = {"train": ("train",), "test": ("test", "val")}
    shards = [path for path in every if path.relative_to(root).as_posix().startswith(names[split])]
    rows = [(shard / name, label) for shard in shards or every for name, label in _pictures_of(shard, skipped)]
    listing = relative_listing(root, [path for path, _ in rows])
    labels = tuple(label for _, label in rows)
    if rows and min(labels) > NO_LABEL:
        file = root / "classes.txt"
        classes = text_lines(file) if file.is_file() else [str(number) for number in range(max(labels) + 1)]
        if len(classes) <= max(labels):
            raise UserError(f"{shown(file)}: names {len(classes)} classes, and a picture has number {max(labels)}; "
                            "give a line for each, or remove it")
        listing = replace(listing, classes=tuple(classes), labels=labels)
    if not shards:
        held_out = held_out_places(listing.names, holdout)
        listing = listing.keep(i for i in range(len(rows)) if (i in held_out) == (split == "test"))
    return _some(root, split, listing)


def _pictures_of(shard: Path, skipped: SkippedFiles) -> list[tuple[str, int]]:
    """Names and classes of the pictures in a shard, hidden ones apart; what is cut off is noted."""
    if not index_of(shard)[1]:
        skipped.add(shard, "is cut off or no tar file; the pictures before that are read")
    return [(name, label) for name, label in members(shard)
            if name.lower().endswith(SUFFIXES) and not Path(name).name.startswith(".")]


def held_out_places(names: tuple[str, ...], share: float) -> set[int]:
    """Indices of the names whose hash, as a number in [0, 1), is below `share`; at least one is in and one is out."""
    places = [int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8]) / 2**64
              for name in names]
    if len(names) < 2 or share == 0:
        return set()                                                         # a single picture is trained on
    by_place = sorted(range(len(names)), key=places.__getitem__)
    count = sum(place < share for place in places)
    return set(by_place[: min(max(1, count), len(names) - 1)])


def list_celeba(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """CelebA, aligned and cropped (178 x 218), with the official split.

    `img_align_celeba/000001.jpg ...` with `list_eval_partition.txt` beside it or in `Eval/` (lines `000001.jpg 0`; 0
    train, 1 validation, 2 test; a `.csv` of the same is read too). Without that file the numbers decide, as they do in
    it: up to 162770 train, from 182638 test. The validation pictures are in neither split here.
    """
    folder = _celeba_folder(root)
    part = 0 if split == "train" else 2
    lists = ("list_eval_partition.txt", "Eval/list_eval_partition.txt", "list_eval_partition.csv")
    partition = next((root / name for name in lists if (root / name).is_file()), None)
    there = {name: folder / name for name in pictures_in(folder)}
    if partition is None:
        files = [path for path in there.values() if _celeba_part(path.stem) == part]
    else:
        names = [name for name, number in _read_partition(partition) if number == part]
        files = _listed(names, partition, there, folder, skipped)
    return _some(root, split, relative_listing(folder, files))


def _celeba_folder(root: Path) -> Path:
    """Where the pictures of a CelebA are."""
    candidates = (root / "img_align_celeba" / "img_align_celeba", root / "img_align_celeba",
                  root / "Img" / "img_align_celeba", root / "CelebA_aligned", root)
    for folder in candidates:
        if pictures_in(folder):
            return folder
    raise UserError(f"{shown(root)} is not laid out as CelebA; needed are img_align_celeba/000001.jpg ... and "
                    "list_eval_partition.txt")


def list_celeba_anr(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """CelebA as ANR splits it: the sorted names, 0.75 / 0.20 / 0.05; see `shares`. The official list is not asked."""
    folder = _celeba_folder(root)
    names = shares(pictures_in(folder), SHARES["celeba_anr"], split)
    return _some(root, split, relative_listing(folder, [folder / name for name in names]))


def list_lsun(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """LSUN, one category exported to files, in one folder or in the export's folders of folders: 0.75 / 0.20 / 0.05.

    A category's own folders `<category>_train` and `<category>_val`, where they are found, are taken together, as ANR
    takes what it finds. Files are sorted by name, which in LSUN is a hash of the picture, and then cut (`shares`).
    """
    paths = sorted(find_pictures(root, skipped), key=lambda path: (path.name, path.as_posix()))
    return _some(root, split, relative_listing(root, shares(paths, SHARES["lsun"], split)))


def list_ffhq(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """FFHQ as in ginr-ipc: the 10 000 pictures of its random list test, all others train.

    `00000.png ... 69999.png`, all in one folder or in `00000/ ... 69000/` of a thousand each, in `root` or in a folder
    that the data set or a copy of it is usually called. `ffhqtrain.txt` and `ffhqvalidation.txt` in `root` (one file
    name per line), if there, decide in place of the numbers.
    """
    usual = ("images1024x1024", "images", "FFHQ", "ffhq", "images512x512", "images256x256", "thumbnails128x128")
    for folder in (root, *(root / name for name in usual)):
        thousands = [d for d in folders_in(folder) if len(d) == 5 and d.isdecimal()]
        paths = [folder / name for name in pictures_in(folder)]
        paths += [folder / d / name for d in thousands for name in pictures_in(folder / d)]
        paths = sorted((path for path in paths if path.stem.isdecimal()), key=lambda path: (int(path.stem), path))
        if paths:
            break
    else:
        raise UserError(f"{shown(root)} is not laid out as FFHQ; needed are 00000.png ... 69999.png, in one folder or "
                        "in folders 00000 ... 69000")
    listed = root / ("ffhqtrain.txt" if split == "train" else "ffhqvalidation.txt")
    if listed.is_file():
        names = [Path(line.strip()).name for line in text_lines(listed) if line.strip()]
        files = _listed(names, listed, {path.name: path for path in paths}, folder, skipped)
    else:
        test = ffhq_validation()
        files = [path for path in paths if (int(path.stem) in test) == (split == "test")]
    return _some(root, split, relative_listing(root, files))


@cache
def ffhq_validation() -> frozenset[int]:
    """Numbers of the 10 000 pictures that ginr-ipc drew for validation, and the papers measure on (docs/papers.md)."""
    return frozenset(np.unpackbits(np.frombuffer(FFHQ.read_bytes(), np.uint8)).nonzero()[0].tolist())


def list_imagenette(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """ImageNette: `train/<class>/*.JPEG`, `val/<class>/*.JPEG` in `root`, `imagenette2` or its 320 or 160 px copy."""
    copies = [root / f"imagenette{name}" for name in ("2", "2-320", "2-160", "")]
    layout = "train/<class>/ and val/<class>/, as in imagenette2 or imagenette2-320"
    return _classes(_train_and_val([root, *copies], "ImageNette", layout), split, skipped)


def list_imagenet(root: Path, split: Split, holdout: float, skipped: SkippedFiles) -> Listing:
    """ImageNet (ILSVRC 2012): `train/<class>/*.JPEG` and `val/<class>/*.JPEG` in `root` or in `ILSVRC/Data/CLS-LOC`.

    A flat `val/ILSVRC2012_val_*.JPEG`, as it is distributed, is read too; its labels come from `LOC_val_solution.csv`
    in `root` where it is there, and are None otherwise.
    """
    usual, layout = "Data/CLS-LOC", "train/<class>/ and val/, in the folder itself or in ILSVRC/Data/CLS-LOC"
    folder = _train_and_val([root, root / "ILSVRC" / usual, root / usual], "ImageNet", layout)
    flat = pictures_in(folder / "val") if split == "test" else []
    if not flat:
        return _classes(folder, split, skipped)
    listing = relative_listing(folder, [folder / "val" / name for name in flat])
    solution = root / "LOC_val_solution.csv"
    if not solution.is_file():
        return listing
    classes = tuple(folders_in(folder / "train"))
    numbers = {name: number for number, name in enumerate(classes)}
    rows = [row for row in csv.reader(text_lines(solution)) if len(row) >= 2 and row[0] != "ImageId"]
    try:
        answer = {row[0]: numbers[row[1].split()[0]] for row in rows}
        labels = tuple(answer[Path(name).stem] for name in flat)
    except (KeyError, IndexError) as error:
        raise UserError(f"{shown(solution)} does not fit the pictures: {error} has no class among the folders of "
                        "train/; repair or remove it") from error
    return replace(listing, classes=classes, labels=labels)


SHARES = {"lsun": (0.75, 0.20), "celeba_anr": (0.75, 0.20)}
"""Of the sorted list: training, validation; the rest is for testing. ANR's, whose own lists have the order of the file
system, another one on every machine. Its published evaluation takes validation and test together: protocols `celeba128`
and `lsun256`."""

LAYOUTS: dict[str, Callable[[Path, Split, float, SkippedFiles], Listing]] = {
    "folder": list_folder,
    "celeba": list_celeba,
    "celeba_anr": list_celeba_anr,
    "ffhq": list_ffhq,
    "imagenette": list_imagenette,
    "imagenet": list_imagenet,
    "lsun": list_lsun,
    "shards": list_shards,
}
"""What `DataConfig.layout` names; the number is `DataConfig.holdout`, which only plain folders need."""


def _some(root: Path, split: Split, listing: Listing) -> Listing:
    if not listing.paths:
        raise UserError(f"{shown(root)}: no pictures of the {split} split are there; give the complete data set")
    return listing


def _listed(names: list[str], file: Path, there: dict[str, Path], folder: Path, skipped: SkippedFiles) -> list[Path]:
    """The pictures that a list names, sorted by name; those that are missing are noted."""
    for name in names:
        if name not in there:
            skipped.add(folder / name, f"is listed in {file.name} and missing")
    return [there[name] for name in sorted(set(names)) if name in there]


def _train_and_val(folders: list[Path], what: str, layout: str) -> Path:
    """The first of the folders that has both sub-folders; the first of all is the one that the user gave."""
    for folder in folders:
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return folder
    raise UserError(f"{shown(folders[0])} is not laid out as {what}; needed are {layout}")


def _classes(folder: Path, split: Split, skipped: SkippedFiles) -> Listing:
    """`<train|val>/<class>/<picture>`: classes numbered by sorted name, the same numbers in both splits."""
    part = "train" if split == "train" else "val"
    classes = tuple(sorted(set(folders_in(folder / "train")) | set(folders_in(folder / "val"))))
    paths, labels = [], []
    for number, name in enumerate(classes):
        here = pictures_in(folder / part / name) if (folder / part / name).is_dir() else []
        if not here:
            skipped.add(folder / part / name, "holds no pictures")
        paths += [folder / part / name / file for file in here]
        labels += [number] * len(here)
    return _some(folder, split, replace(relative_listing(folder, paths), classes=classes, labels=tuple(labels)))


def _celeba_part(stem: str) -> int | None:
    number = int(stem) if stem.isdecimal() else 0
    return None if number < 1 else 0 if number <= 162770 else 1 if number <= 182637 else 2


def _read_partition(file: Path) -> list[tuple[str, int]]:
    """(file name, part) of every line of CelebA's `list_eval_partition`."""
    rows = []
    for number, line in enumerate(text_lines(file), 1):
        fields = line.replace(",", " ").split()
        if not fields or fields[0] == "image_id":                            # the header of the .csv form
            continue
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise UserError(f"{shown(file)}, line {number}: {line[:60]!r} is not a file name and 0, 1 or 2; "
                            "fetch the list again")
        rows.append((fields[0], int(fields[1])))
    return rows
