"""Rebuild the small labelled data set of cut-outs that the generation miniatures are trained on.

    python -m experiments.pools.cutouts build/cutouts --size 32 --photographs build/photos

fetches Debian's `tuxpaint-stamps-default` with `apt-get download`, unpacks it with `dpkg -x`, and writes every cut-out
of six of its categories on white, in a square of `--size` pixels, laid out as ImageNette (`--data.layout imagenette`):

    build/cutouts/train/<class>/*.png, build/cutouts/val/<class>/*.png
    build/cutouts/LICENSES.tsv    file, split, class, licence, author, package, path, SHA-256 of the source file

A machine without apt reads a package it already has: `--packages FOLDER`. `--photographs` adds a seventh class, crops
of the pool that `experiments/pools/photos.py` builds, which have no white around them.

The split is by source picture. Pictures whose names begin with the same word (`apple_green`, `apple_fuji`; `gnu-baby`,
`gnu-baby-stand`) may show one object, so they fall into the same split, by a hash of that word; a mirrored copy of a
picture (`..._mirror`) is left out. A photograph's crops stay in the split of the photograph. Nothing is random: the
same packages give the same pictures.
"""

import argparse
import csv
import hashlib
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from experiments.pools import debian

PACKAGE, STAMPS = "tuxpaint-stamps-default", "usr/share/tuxpaint/stamps"
LICENCE, AUTHOR = "GPL-2", "Bill Kendrick and the Tux Paint artists"
"""As the package's copyright file says."""
CLASSES = ("animals", "food", "household", "plants", "town", "vehicles")
"""Categories of things; letters, flags, coins and people's body parts are others."""
PHOTOGRAPHS = "photographs"
HELD_OUT = 0.12
"""Share of the words whose pictures are held out."""
MARGIN = 0.06
"""White on each side of the longer side of a cut-out, over that side."""
CROPS = 3
"""Squares from every photograph."""


class Item(NamedTuple):
    """One picture to write."""

    split: str
    label: str
    name: str
    source: Path
    crop: int = -1
    """Number of a photograph's crop; -1 for a cut-out."""


def share(*words: object) -> float:
    """A number in [0, 1) that depends on the words alone."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def split_of(label: str, stem: str) -> str:
    """The split of a cut-out: by the first word of its name."""
    match = re.match(r"[a-z]+", stem.lower())
    return "val" if share(label, match[0] if match else stem.lower()) < HELD_OUT else "train"


def cutouts(stamps: Path) -> list[Item]:
    """Every cut-out of `CLASSES`, in the order of their paths; names are unique within a class."""
    items = []
    for label in CLASSES:
        for path in sorted((stamps / label).rglob("*.png")):
            if not path.stem.endswith("_mirror"):
                name = path.relative_to(stamps / label).with_suffix("").as_posix().replace("/", "-")
                items.append(Item(split_of(label, path.stem), label, name, path))
    return items


def crops(pool: Path) -> list[Item]:
    """Every crop of the photographs, by the split that they have."""
    items = []
    for folder, split in (("train", "train"), ("test", "val")):
        for path in sorted(path for path in (pool / folder).iterdir() if path.suffix.lower() in (".jpg", ".png")):
            items += [Item(split, PHOTOGRAPHS, f"{path.stem}-{i}", path, i) for i in range(CROPS)]
    return items


def on_white(picture: Image.Image, size: int) -> Image.Image:
    """A cut-out, trimmed to what is not transparent, in the middle of a white square of `size` pixels."""
    picture = picture.convert("RGBA")
    box = picture.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    picture = picture.crop(box)
    side = round(max(picture.size) * (1 + 2 * MARGIN))
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)


def square_crop(picture: Image.Image, size: int, name: str) -> Image.Image:
    """A square of two fifths of the shorter side up to all of it, from a place that the name decides."""
    side = int(min(picture.size) * (0.4 + 0.6 * share(name, "side")))
    left, top = (int((n - side) * share(name, axis)) for n, axis in zip(picture.size, "xy", strict=True))
    picture = picture.convert("RGB").crop((left, top, left + side, top + side))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def write(items: list[Item], out: Path, size: int, roots: dict[str, Path]) -> None:
    """Writes the pictures and the list of their sources.

    Args:
        items: what to write.
        out: folder of the pool.
        size: side in pixels.
        roots: package -> folder below which its sources lie, for the list.
    """
    lines = []
    for item in items:
        with Image.open(item.source) as picture:
            cutout = on_white(picture, size) if item.crop < 0 else square_crop(picture, size, item.name)
        file = Path(item.split) / item.label / f"{item.name}.png"
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        cutout.save(out / file)
        package = PACKAGE if item.crop < 0 else "photo_pool"
        path = item.source.relative_to(roots[package]).as_posix()
        credit = (LICENCE, AUTHOR) if item.crop < 0 else ("as in its LICENSES.tsv", "as in its LICENSES.tsv")
        digest = hashlib.sha256(item.source.read_bytes()).hexdigest()
        lines.append((file.as_posix(), item.split, item.label, *credit, package, path, digest))
    with (out / "LICENSES.tsv").open("w", newline="") as table:
        writer = csv.writer(table, delimiter="\t", lineterminator="\n")
        writer.writerow(("file", "split", "class", "licence", "author", "package", "path", "sha256"))
        writer.writerows(sorted(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="folder for the pool; new or empty")
    parser.add_argument("--size", type=int, default=64, help="side of the squares in pixels")
    parser.add_argument("--packages", type=Path, help="folder that already holds the .deb file")
    parser.add_argument("--photographs", type=Path, help="pool of photographs (experiments/pools/photos.py) to crop")
    args = parser.parse_args()
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        sys.exit(f"cutout_pool: {args.out} is not an empty folder; name a new one")
    if args.photographs and not (args.photographs / "train").is_dir():
        sys.exit(f"cutout_pool: {args.photographs} has no train folder; build it with experiments/pools/photos.py")
    with tempfile.TemporaryDirectory(prefix="cutout-pool-") as scratch:
        stamps = debian.roots([PACKAGE], args.packages, Path(scratch))[PACKAGE] / STAMPS
        roots = {PACKAGE: stamps}
        items = cutouts(stamps)
        if args.photographs:
            items += crops(args.photographs)
            roots["photo_pool"] = args.photographs
        args.out.mkdir(parents=True, exist_ok=True)
        write(items, args.out, args.size, roots)
    held_out = sum(item.split == "val" for item in items)
    identity = hashlib.sha256((args.out / "LICENSES.tsv").read_bytes()).hexdigest()
    print(f"{args.out}: {len(items) - held_out} pictures to train on, {held_out} held out, in "
          f"{len({item.label for item in items})} classes; pool sha256 {identity[:12]}")


if __name__ == "__main__":
    main()
