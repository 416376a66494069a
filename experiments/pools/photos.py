"""Rebuild the pool of photographs that the `photos` models are trained on.

    python -m experiments.pools.photos build/photos

fetches five wallpaper packages of Debian with `apt-get download`, unpacks them with `dpkg -x`, and keeps one file per
picture, the largest version, unchanged:

    build/photos/train/, build/photos/test/  the pictures, split by source picture
    build/photos/SHA256SUMS                  checked by `sha256sum -c SHA256SUMS`
    build/photos/LICENSES.tsv                file, split, kind, licence, author, package, path in the package

A machine without apt reads packages it already has: `--packages FOLDER`, any folder of `.deb` files (then only `dpkg`
is needed). `--photographs-only` leaves out the paintings and renderings. Nothing here is random: the same packages give
the same pool, and a picture whose bytes differ from those trained on is an error that names it.

Which pictures. Of the 104 files, those with natural texture: photographs first, then paintings and renderings whose
surfaces have grain or many edges. Flat drawings, logos and colour gradients stay out: they hold nothing that a
photograph model must learn. A picture shipped at several sizes, or in a dark variant, counts once. Held-out pictures
are photographs chosen by hand to span easy (defocused background) and hard (rock, hair); no crop of theirs is trained
on.

`--more` adds 97 photographs of animals and monuments to train on, out of Debian's `gcompris-qt-data`: lossy WebP,
listed in gcompris.tsv with authors and licences (as the READMEs beside the pictures say).
"""

import argparse
import hashlib
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from experiments.pools import debian

LOMIRI16, LOMIRI20, UKUI = "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "ukui-wallpapers"
MATE, PLASMA = "mate-backgrounds", "plasma-workspace-wallpapers"
GCOMPRIS = "gcompris-qt-data"

# Where each package keeps its pictures; the paths below are relative to it.
PACKAGES = {
    LOMIRI16: "usr/share/backgrounds",
    LOMIRI20: "usr/share/backgrounds",
    MATE: "usr/share/backgrounds/mate",
    PLASMA: "usr/share/wallpapers",
    UKUI: "usr/share/backgrounds",
}
MORE_PACKAGES = PACKAGES | {GCOMPRIS: "usr/share/gcompris-qt/rcc"}

VALIDATION = {"friends", "Picture_1A", "LadyBird", "FallenLeaf", "picosdeeuropa", "Wine"}


class Picture(NamedTuple):
    """One picture of the pool. `digest` holds the first 12 hexadecimal digits of the SHA-256 of the file's bytes."""

    package: str
    path: str
    author: str
    licence: str
    digest: str

    @property
    def name(self) -> str:
        """The picture's own name: the wallpaper's folder where it has one, else the file without its author."""
        parts = Path(self.path).parts
        if self.package == GCOMPRIS:  # ACTIVITY/..., and a giraffe is in two of them
            return f"{parts[0].split('_')[-1]}-{Path(self.path).stem}"
        return parts[0] if self.package == PLASMA else Path(self.path).stem.split("_by_")[0].split("_5640")[0]

    @property
    def file(self) -> str:
        return self.name + Path(self.path).suffix

    @property
    def split(self) -> str:
        return "test" if self.name in VALIDATION else "train"


PHOTOGRAPHS = (
    # package, path in it, author, licence (as the package's copyright file or the wallpaper's metadata says), digest
    Picture(LOMIRI16, "Bridge_by_Sander_Klootwijk.jpg", "Sander Klootwijk", "CC-BY-SA-4.0", "bd86b081f997"),
    Picture(LOMIRI16, "Dragonfly_by_Bolly.jpg", "Bolly", "CC-BY-SA-4.0", "af5af1784100"),
    Picture(LOMIRI16, "Picture_0B_by_freespace.jpg", "Trevor 'Freespace'", "CC-BY-4.0", "c8c0ab18e48d"),
    Picture(LOMIRI16, "Picture_1A_by_freespace.jpg", "Trevor 'Freespace'", "CC-BY-4.0", "89e86af38d04"),
    Picture(LOMIRI16, "Wine_by_Jakkub_Mede.jpg", "Jakub Mede", "CC-BY-4.0", "d2e96e6d4da4"),
    Picture(LOMIRI16, "aitzgorri_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0", "66268e7b48f8"),
    Picture(LOMIRI16, "analogpattern_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0", "15372488a192"),
    Picture(LOMIRI16, "free_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0", "85a5453c2fed"),
    Picture(LOMIRI16, "friends_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0", "cc40e313c74e"),
    Picture(LOMIRI16, "greentock_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0", "e7b20e2db9dc"),
    Picture(LOMIRI16, "life_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0", "4c119350ead8"),
    Picture(LOMIRI16, "picosdeeuropa_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0", "414d0072b2f6"),
    Picture(LOMIRI16, "seeding_by_Clements_Engelhardt.jpg", "Clemens Engelhardt", "CC0-1.0", "a5634d1ab5e4"),
    Picture(LOMIRI16, "sunset_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0", "474dab6a4b9f"),
    Picture(LOMIRI20, "Kleiber_by_Lukas_Baubkus.jpg", "Lukas Baubkus", "CC-BY-SA-3.0", "6572410c09f4"),
    Picture(MATE, "nature/Aqua.jpg", "Charles Barbin", "GPL-2+", "5c3011820598"),
    Picture(MATE, "nature/Blinds.jpg", "Lennart Poettering, Andrea Cimitan", "GPL-2+", "f7aac0dcc2e0"),
    Picture(MATE, "nature/Dune.jpg", "Marco Cogoni, Hylke Bons", "GPL-2+", "8a67c2cb0be8"),
    Picture(MATE, "nature/FreshFlower.jpg", "Jens Ansorg", "GPL-2+", "972b0a0c4e5e"),
    Picture(MATE, "nature/Garden.jpg", "Charles Barbin", "GPL-2+", "d3095ee09d42"),
    Picture(MATE, "nature/GreenMeadow.jpg", "Timothy Schellhase, Lapo Calamandrei", "GPL-2+", "8fa0de0aa408"),
    Picture(MATE, "nature/LadyBird.jpg", "Charles Barbin", "GPL-2+", "e35a9a4126ef"),
    Picture(MATE, "nature/RainDrops.jpg", "blackcombwhistler07", "GPL-2+", "3e4ea9671c28"),
    Picture(MATE, "nature/Storm.jpg", "Sergey Nazarov", "GPL-2+", "77ca53077831"),
    Picture(MATE, "nature/TwoWings.jpg", "Charles Barbin, Hylke Bons", "GPL-2+", "665e5abf8a53"),
    Picture(MATE, "nature/Wood.jpg", "Jean-François Fortin Tam", "GPL-2+", "19c78500ac00"),
    Picture(MATE, "nature/YellowFlower.jpg", "Charles Barbin", "GPL-2+", "254da96256ac"),
    Picture(PLASMA, "BytheWater/contents/images/2560x1600.jpg", "Maciej Wiklo", "LGPL-3", "c272434ef39f"),
    Picture(PLASMA, "ColdRipple/contents/images/2560x1600.jpg", "Risto Saukonpää", "LGPL-3", "05bef6722fc0"),
    Picture(PLASMA, "ColorfulCups/contents/images/2560x1600.jpg", "Dmitri Popov", "LGPL-3", "6e0f3a72feb5"),
    Picture(PLASMA, "DarkestHour/contents/images/2560x1600.jpg", "Risto Saukonpää", "LGPL-3", "8e3703fae3a3"),
    Picture(PLASMA, "EveningGlow/contents/images/2560x1600.jpg", "Ian Hex", "LGPL-3", "586682dcb362"),
    Picture(PLASMA, "FallenLeaf/contents/images/2560x1600.jpg", "Martin Klapetek", "LGPL-3", "95603a6560c7"),
    Picture(PLASMA, "Grey/contents/images/2560x1600.jpg", "Sigi Sagi", "LGPL-3", "88c31d8944b7"),
    Picture(PLASMA, "Kite/contents/images/2560x1600.jpg", "Risto Saukonpää", "LGPL-3", "bdca288ce296"),
    Picture(PLASMA, "OneStandsOut/contents/images/2560x1600.jpg", "Risto Saukonpää", "LGPL-3", "cb507baf1daf"),
    Picture(PLASMA, "Path/contents/images/2560x1600.jpg", "Risto Saukonpää", "LGPL-3", "7477457d7f17"),
    Picture(PLASMA, "summer_1am/contents/images/2560x1600.jpg", "Risto Saukonpää", "LGPL-3", "c868b5078959"),
)

# Paintings and renderings with texture of their own.
TEXTURES = (
    Picture(LOMIRI20, "Infinite-Sea_by_Aury88.jpg", "Aury88", "CC-BY-SA-3.0", "9319dfb36518"),
    Picture(MATE, "abstract/Elephants_5640x3172.jpg", "Wyng Stancikaite", "GPL-2+", "7ab602cd55ae"),
    Picture(PLASMA, "Altai/contents/images/5120x2880.png", "Alesya Khoteeva", "CC-BY-SA-4.0", "f693f5728755"),
    Picture(PLASMA, "Autumn/contents/images/2560x1600.jpg", "RJ Quiralta", "LGPL-3", "dfded25df13f"),
    Picture(PLASMA, "Canopee/contents/images/3840x2160.png", "Ken Vermette", "LGPL-3", "c538a5a7f7f7"),
    Picture(PLASMA, "Cascade/contents/images/3840x2160.png", "Ken Vermette", "LGPL-3", "1915b53a6c06"),
    Picture(PLASMA, "Cluster/contents/images/3840x2160.png", "Ken Vermette", "LGPL-3", "e3e77c68791e"),
    Picture(PLASMA, "Flow/contents/images/5120x2880.jpg", "Sandra Smukaste", "CC-BY-SA-4.0", "b2f1fbe9ebf7"),
    Picture(PLASMA, "Honeywave/contents/images/5120x2880.jpg", "Ken Vermette", "CC-BY-SA-4.0", "e75adbd953e9"),
    Picture(PLASMA, "Kay/contents/images/5120x2880.png", "ruvkr", "CC-BY-SA-4.0", "2b2fcfe33dbf"),
    Picture(PLASMA, "Kokkini/contents/images/3840x2160.png", "Ken Vermette", "LGPL-3", "ba6fbd6ca54e"),
    Picture(PLASMA, "Opal/contents/images/3840x2160.png", "Ken Vermette", "LGPL-3", "bdc37f083dd4"),
    Picture(PLASMA, "Patak/contents/images/5120x2880.png", "Áron Kovács", "CC-BY-SA-4.0", "e8f6167bafea"),
    Picture(PLASMA, "SafeLanding/contents/images/5120x2880.jpg", "KDE Visual Design Group", "GPL-2+", "7341ff2532d1"),
    Picture(PLASMA, "Shell/contents/images/5120x2880.jpg", "Lucas Andrade", "CC-BY-SA-4.0", "220d5fe72545"),
    Picture(PLASMA, "Volna/contents/images/5120x2880.jpg", "Nikita Babin", "CC-BY-SA-4.0", "abc30b4fc6f6"),
    Picture(UKUI, "rhythm.jpg", "Ubuntu Kylin community", "CC-BY-SA-3.0", "7ed93d313b3a"),
    Picture(UKUI, "string.jpg", "Ubuntu Kylin community", "CC-BY-SA-3.0", "73fd26471a45"),
)


def more_pictures() -> tuple[Picture, ...]:
    """The photographs of GCompris, in the order of the list beside this file."""
    lines = Path(__file__).with_name("gcompris.tsv").read_text().splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return tuple(Picture(GCOMPRIS, f"{activity}/{rest[0]}", *rest[1:]) for activity, *rest in rows)


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files in a compiled Qt resource file (`.rcc`), with their paths.

    Twenty bytes of head say where three tables begin: the tree, whose node 0 is the root, the contents and the names. A
    node is a name, flags (1: zlib, 2: folder), then for a folder how many nodes it holds and the first of them, for a
    file a language and where its content is.
    """
    magic, version, tree, contents, names = struct.unpack(">4s4I", data[:20])
    if magic != b"qres":
        raise ValueError("no Qt resource file")
    size = 22 if version >= 2 else 14  # later versions add a time of change

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        name, flags, first, second = struct.unpack_from(">IHII", data, tree + node * size)
        length = struct.unpack_from(">H", data, names + name)[0] if node else 0
        path = folder + data[names + name + 6 : names + name + 6 + 2 * length].decode("utf-16-be")
        if flags & 2:
            for child in range(second, second + first):
                yield from walk(child, f"{path}/" if node else "")
        else:
            length = struct.unpack_from(">I", data, contents + second)[0]
            content = data[contents + second + 4 : contents + second + 4 + length]
            yield path, zlib.decompress(content[4:]) if flags & 1 else content

    return walk(0, "")


def expand(pictures: tuple[Picture, ...], root: Path) -> None:
    """Writes the pictures that lie in resource files where `collect` looks for them."""
    for activity in sorted({picture.path.split("/")[0] for picture in pictures}):
        for path, content in resources((root / f"{activity}.rcc").read_bytes()):
            if path.endswith(".webp"):
                out = root / activity / f"/{path}".split("/resource/")[-1]
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_bytes(content)


def collect(pictures: tuple[Picture, ...], roots: dict[str, Path], out: Path) -> list[tuple[Picture, str]]:
    """Copies the pictures to `out/<split>/`; returns each with its full SHA-256.

    Every file is checked before anything is written, so a pool is whole or absent.
    """
    sources, digests = [], []
    for picture in pictures:
        source = roots[picture.package] / MORE_PACKAGES[picture.package] / picture.path
        if not source.is_file():
            sys.exit(f"photo_pool: {picture.package} has no {picture.path}: another version of the package")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        if not digest.startswith(picture.digest):
            sys.exit(f"photo_pool: {picture.path} of {picture.package} has other bytes ({digest[:12]}) than the file "
                     f"that was trained on ({picture.digest}): another version of the package")
        sources.append(source)
        digests.append(digest)
    for split in ("train", "test"):
        (out / split).mkdir(parents=True, exist_ok=True)
    for picture, source in zip(pictures, sources, strict=True):
        shutil.copyfile(source, out / picture.split / picture.file)
    return list(zip(pictures, digests, strict=True))


def write_lists(rows: list[tuple[Picture, str]], out: Path) -> str:
    """Writes SHA256SUMS and LICENSES.tsv; returns the pool's identity, the SHA-256 of SHA256SUMS."""
    rows = sorted(rows, key=lambda row: (row[0].split, row[0].file))
    sums = "".join(f"{digest}  {picture.split}/{picture.file}\n" for picture, digest in rows)
    lines = ["file\tsplit\tkind\tlicence\tauthor\tpackage\tpath"]
    for p, _ in rows:
        kind = "painting or rendering" if p in TEXTURES else "photograph"
        path = f"{MORE_PACKAGES[p.package]}/{p.path}"
        lines.append("\t".join((p.file, p.split, kind, p.licence, p.author, p.package, path)))
    (out / "SHA256SUMS").write_text(sums)
    (out / "LICENSES.tsv").write_text("\n".join(lines) + "\n")
    return hashlib.sha256(sums.encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="folder for the pool; new or empty")
    parser.add_argument("--packages", type=Path, help="folder that already holds the .deb files")
    parser.add_argument("--photographs-only", action="store_true", help="leave out paintings and renderings")
    parser.add_argument("--more", action="store_true", help="also the animals and monuments of gcompris-qt-data")
    args = parser.parse_args()
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        sys.exit(f"photo_pool: {args.out} is not an empty folder; name a new one")  # stale files would join the pool
    with tempfile.TemporaryDirectory(prefix="photo-pool-") as scratch:
        packages = MORE_PACKAGES if args.more else PACKAGES
        roots = debian.roots(packages, args.packages, Path(scratch))
        more = more_pictures() if args.more else ()
        if more:
            expand(more, roots[GCOMPRIS] / MORE_PACKAGES[GCOMPRIS])
        rows = collect(PHOTOGRAPHS + (() if args.photographs_only else TEXTURES) + more, roots, args.out)
    identity = write_lists(rows, args.out)
    held_out = sum(picture.split == "test" for picture, _ in rows)
    print(f"{args.out}: {len(rows) - held_out} pictures to train on, {held_out} held out; pool sha256 {identity[:12]}")


if __name__ == "__main__":
    main()
