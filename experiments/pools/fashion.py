"""Rebuild Fashion-MNIST as a folder of pictures: the labelled photographs that the models of garments are trained on.

    python -m experiments.pools.fashion build/fashion

fetches Debian's `dataset-fashion-mnist` with `apt-get download`, unpacks it with `dpkg -x`, and writes its 60 000
training and 10 000 test photographs, 28 x 28 and grey, as PNG, laid out as ImageNette (`--data.layout imagenette`):

    build/fashion/train/<class>/00000.png ..., build/fashion/val/<class>/00000.png ...
    build/fashion/LICENSES.tsv    split, pictures, licence, author, package, path, SHA-256 of the unpacked numbers

A machine without apt reads what it has: `--source FOLDER`, which holds the `.deb` or the four `*-ubyte.gz` anywhere
below it. The split is the data set's own. Files are numbered by their place in it.
"""

import argparse
import csv
import gzip
import hashlib
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from experiments.pools.debian import unpacked

PACKAGE = "dataset-fashion-mnist"
LICENCE, AUTHOR = "MIT", "Zalando SE"
"""As the package's copyright file says, which calls it Expat."""
CLASSES = ("t-shirt or top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
"""By their number in the data set; T-shirt/top without its stroke, which no folder can have."""
SPLITS = {"train": "train", "val": "t10k"}
"""What files of a split are called."""
MAGIC = {"images-idx3": 0x0803, "labels-idx1": 0x0801}
"""First four bytes of IDX files: unsigned bytes, in so many dimensions."""


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """The array of a gzipped IDX file. Exits with one line where it is damaged or something else."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        sys.exit(f"{path}: is no whole gzip file ({error}); unpack {PACKAGE} again")
    header = np.frombuffer(content[: len(content) // 4 * 4][:16], ">u4")
    expected = next((magic for name, magic in MAGIC.items() if name in path.name), None)
    if len(header) < 2 or header[0] != expected:
        sys.exit(f"{path}: begins with {content[:4].hex() or 'nothing'}, not with an IDX header of unsigned bytes")
    axes = int(header[0]) & 0xFF
    shape, values = tuple(map(int, header[1 : 1 + axes])), np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if values.size != np.prod(shape):
        sys.exit(f"{path}: holds {values.size} bytes for {' x '.join(map(str, shape))}; unpack {PACKAGE} again")
    return values.reshape(shape)


def find(folder: Path, split: str, kind: str) -> Path:
    """One of the four files, anywhere below a folder."""
    name = f"{SPLITS[split]}-{kind}-ubyte.gz"
    found = sorted(folder.rglob(name))
    if not found:
        sys.exit(f"{folder}: no {name} below it; give --source a folder with {PACKAGE}_*.deb or its four *-ubyte.gz")
    return found[0]


def write(source: Path, out: Path) -> dict[str, int]:
    """Writes every picture of both splits, and the list of what they are from; how many a split has."""
    lines, counts = [], {}
    for split in SPLITS:
        images, labels = (read_idx(find(source, split, kind)) for kind in MAGIC)
        if len(images) != len(labels) or labels.max(initial=0) >= len(CLASSES):
            sys.exit(f"{source}: {len(images)} pictures and {len(labels)} labels up to {labels.max(initial=0)} in "
                     f"{split}; expected is one of 0 to {len(CLASSES) - 1} for each picture")
        for label in CLASSES:
            (out / split / label).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(out / split / CLASSES[label] / f"{number:05d}.png", compress_level=1)
        counts[split] = len(images)
        digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        path = find(source, split, "images-idx3").name
        lines.append((split, len(images), LICENCE, AUTHOR, PACKAGE, path, digest))
    with (out / "LICENSES.tsv").open("w", newline="") as table:
        writer = csv.writer(table, delimiter="\t", lineterminator="\n")
        writer.writerow(("split", "pictures", "licence", "author", "package", "path", "sha256"))
        writer.writerows(lines)
    return counts


def main() -> None:
    """Rebuild the data set."""
    parser = argparse.ArgumentParser(description="Rebuild Fashion-MNIST as a folder of pictures.")
    parser.add_argument("out", type=Path, help="folder for the pictures, such as build/fashion")
    parser.add_argument("--source", type=Path, help="folder that holds the .deb file, or what is in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        counts = write(unpacked(PACKAGE, options.source, Path(scratch)), options.out)
    print(f"{options.out}: " + ", ".join(f"{count} {split}" for split, count in counts.items()))


if __name__ == "__main__":
    main()
