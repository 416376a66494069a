"""Rebuild the films that the models of films are trained and measured on: grey sequences of a real camera, GPL-2.

    python -m experiments.pools.films build/films

fetches Debian's `visp-images-data` with `apt-get download`, unpacks it with `dpkg -x`, and shares its sequences of
frames out, unchanged, by scene:

    build/films/train/<sequence>/<frame>.pgm ..., build/films/test/<sequence>/<frame>.pgm ...
    build/films/LICENCE           the package's copyright file
    build/films/SHA256SUMS        checked by `sha256sum -c SHA256SUMS`

A machine without apt reads what it has: `--source FOLDER`, which holds the `.deb` file or what is in it.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from experiments.pools.debian import unpacked

PACKAGE = "visp-images-data"
SEQUENCES = {
    "train": {"box": "mire-2", "desk": "mbt/cube", "line": "line", "ellipse": "ellipse-1"},
    "test": {"collage": "cube", "castle": "mbt-depth/Castle-simu/Images"},
}
"""Names of films -> their folders in the package. No scene is on both sides; the castle is rendered, the others are
filmed."""


def write(source: Path, out: Path) -> dict[str, int]:
    """Copies every sequence to its side, and the licence; how many frames a side has."""
    (root,) = [path.parent for path in source.rglob("mire-2") if path.is_dir()] or [source]
    licences = [path for path in source.rglob("copyright") if path.parent.name == PACKAGE]
    counts, sums = {}, []
    for split, films in SEQUENCES.items():
        counts[split] = 0
        for name, folder in films.items():
            frames = sorted((root / folder).glob("*.pgm"))
            if not frames or not licences:
                sys.exit(f"{source}: no frames in {folder}, or no copyright file; give --source a folder with "
                         f"{PACKAGE}_*.deb or what is in it")
            (out / split / name).mkdir(parents=True, exist_ok=True)
            for frame in frames:
                shutil.copyfile(frame, out / split / name / frame.name)
                sums.append(f"{hashlib.sha256(frame.read_bytes()).hexdigest()}  {split}/{name}/{frame.name}\n")
            counts[split] += len(frames)
    shutil.copyfile(licences[0], out / "LICENCE")
    (out / "SHA256SUMS").write_text("".join(sums))
    return counts


def main() -> None:
    """Rebuild the data set."""
    parser = argparse.ArgumentParser(description="Rebuild the films as folders train and test of folders of frames.")
    parser.add_argument("out", type=Path, help="folder for the films, such as build/films")
    parser.add_argument("--source", type=Path, help="folder that holds the .deb file, or what is in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        counts = write(unpacked(PACKAGE, options.source, Path(scratch)), options.out)
    print(f"{options.out}: " + ", ".join(f"{count} {split} frames" for split, count in counts.items()))


if __name__ == "__main__":
    main()
