"""Rebuild the recordings that the models of sound are trained and measured on: spoken prompts, one voice, 8 kHz.

    python -m experiments.pools.sound build/sound

fetches Debian's `asterisk-core-sounds-en-wav` with `apt-get download`, unpacks it with `dpkg -x`, and shares its WAV
files out, unchanged:

    build/sound/train/<prompt>.wav ..., build/sound/test/<prompt>.wav ...
    build/sound/LICENCE           the package's copyright file
    build/sound/SHA256SUMS        checked by `sha256sum -c SHA256SUMS`

The seconds of silence among them are left out. A machine without apt reads what it has: `--source FOLDER`, which holds
the `.deb` file or what is in it. Nothing is random: a recording is held out if the CRC-32 of its name is a multiple of
ten, as `tokenfield train` does itself.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from zlib import crc32

from experiments.pools.debian import unpacked

PACKAGE = "asterisk-core-sounds-en-wav"
EVERY = 10


def write(source: Path, out: Path) -> dict[str, int]:
    """Copies every recording to its side, and the licence; how many a side has."""
    files = [path for path in sorted(source.rglob("*.wav")) if path.parent.name != "silence"]
    licences = [path for path in source.rglob("copyright") if path.parent.name.startswith("asterisk-core-sounds")]
    if not files or not licences:
        sys.exit(f"{source}: {len(files)} recordings and {len(licences)} copyright files below it; give --source a "
                 f"folder with {PACKAGE}_*.deb or what is in it")
    counts, sums = {"train": 0, "test": 0}, []
    for path in files:
        name = path.name if path.parent.name.startswith("en") else f"{path.parent.name}-{path.name}"
        split = "test" if crc32(Path(name).stem.encode()) % EVERY == 0 else "train"
        target = out / split / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        counts[split] += 1
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {split}/{name}\n")
    shutil.copyfile(licences[0], out / "LICENCE")
    (out / "SHA256SUMS").write_text("".join(sums))
    return counts


def main() -> None:
    """Rebuild the data set."""
    parser = argparse.ArgumentParser(description="Rebuild the recordings as folders train and test.")
    parser.add_argument("out", type=Path, help="folder for the recordings, such as build/sound")
    parser.add_argument("--source", type=Path, help="folder that holds the .deb file, or what is in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        counts = write(unpacked(PACKAGE, options.source, Path(scratch)), options.out)
    print(f"{options.out}: " + ", ".join(f"{count} {split}" for split, count in counts.items()))


if __name__ == "__main__":
    main()
