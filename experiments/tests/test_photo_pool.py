"""The script that rebuilds the training photographs: its table is sound, and what it writes is whole and checkable."""

import hashlib
import struct
import sys
import zlib

import pytest

from experiments.pools import photos
from tokenfield.data.demo_pictures import HELD_OUT


@pytest.fixture
def photo_pool():
    return photos


@pytest.fixture
def package(photo_pool, tmp_path, write):
    """Three pictures of a made-up package, unpacked: (pictures, roots)."""
    inside = photo_pool.PACKAGES[photo_pool.MATE]
    pictures = []
    for number, name in enumerate(("Dune", "LadyBird", "Wood")):
        file = write(tmp_path / "unpacked" / inside / "nature" / f"{name}.png", number)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        pictures.append(photo_pool.Picture(photo_pool.MATE, f"nature/{name}.png", "A. Nyone", "CC0-1.0", digest))
    return tuple(pictures), {photo_pool.MATE: tmp_path / "unpacked"}


def test_the_table_names_every_picture_once(photo_pool):
    pictures = photo_pool.PHOTOGRAPHS + photo_pool.TEXTURES
    names = [picture.name for picture in pictures]
    assert len(pictures) == 56 and len(set(names)) == 56 and len({picture.digest for picture in pictures}) == 56
    assert {picture.name for picture in photo_pool.PHOTOGRAPHS} > photo_pool.VALIDATION     # photographs are held out
    assert [picture.split for picture in pictures].count("test") == 6
    assert all(len(picture.digest) == 12 and picture.licence and picture.author for picture in pictures)
    assert {picture.package for picture in pictures} == set(photo_pool.PACKAGES)
    assert not {name.lower() for name in names} & set(HELD_OUT)


def test_the_pool_is_split_listed_and_summed(photo_pool, package, tmp_path):
    pictures, roots = package
    rows = photo_pool.collect(pictures, roots, tmp_path / "pool")
    identity = photo_pool.write_lists(rows, tmp_path / "pool")
    files = sorted(path.relative_to(tmp_path / "pool").as_posix() for path in (tmp_path / "pool").rglob("*.png"))
    assert files == ["test/LadyBird.png", "train/Dune.png", "train/Wood.png"]
    sums = (tmp_path / "pool" / "SHA256SUMS").read_text()
    for line in sums.splitlines():
        digest, file = line.split("  ")
        assert hashlib.sha256((tmp_path / "pool" / file).read_bytes()).hexdigest() == digest
    assert [line.split("\t")[:2] for line in (tmp_path / "pool" / "LICENSES.tsv").read_text().splitlines()[1:]] == [
        ["LadyBird.png", "test"], ["Dune.png", "train"], ["Wood.png", "train"]]
    assert identity == hashlib.sha256(sums.encode()).hexdigest()
    assert photo_pool.write_lists(rows[::-1], tmp_path / "pool") == identity


@pytest.mark.parametrize("damage, part", [("other bytes", "other bytes"), ("missing", "has no nature/Wood.png")])
def test_another_version_of_a_package_is_named(damage, part, photo_pool, package, tmp_path):
    pictures, roots = package
    file = next((tmp_path / "unpacked").rglob("Wood.png"))
    file.unlink() if damage == "missing" else file.write_bytes(b"other")
    with pytest.raises(SystemExit, match=part):
        photo_pool.collect(pictures, roots, tmp_path / "pool")
    assert not (tmp_path / "pool").exists()                                   # whole or absent


@pytest.mark.parametrize("arguments, part", [
    (["pool"], "apt-get is missing; give a folder"),
    (["pool", "--packages", "none"], "holds no lomiri-wallpapers-16.04_"),
    (["pool", "--packages", "debs"], "dpkg is missing"),
    (["full"], "is not an empty folder"),
])
def test_what_is_missing_gives_one_line(arguments, part, photo_pool, tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    (tmp_path / "debs").mkdir()
    for package in photo_pool.PACKAGES:
        (tmp_path / "debs" / f"{package}_1_all.deb").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(photo_pool.debian.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["photo_pool.py", *arguments])
    with pytest.raises(SystemExit, match=part) as caught:
        photo_pool.main()
    assert str(caught.value.code).isprintable()
    assert not (tmp_path / "pool").exists()


def qt_resources(files: dict[str, bytes], packed: str) -> bytes:
    """A resource file of version 3 with one folder, whose file `packed` is compressed."""
    texts, offsets = b"", {}
    for text in ("resource", *files):
        offsets[text] = len(texts)
        texts += struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")
    contents, nodes = b"", [struct.pack(">IHIIQ", 0, 2, 1, 1, 0), struct.pack(">IHIIQ", 0, 2, len(files), 2, 0)]
    for name, content in files.items():
        stored = struct.pack(">I", len(content)) + zlib.compress(content) if name == packed else content
        nodes.append(struct.pack(">IHIIQ", offsets[name], int(name == packed), 0, len(contents), 0))
        contents += struct.pack(">I", len(stored)) + stored
    tree = b"".join(nodes)
    head = struct.pack(">4s5I", b"qres", 3, 24, 24 + len(tree), 24 + len(tree) + len(contents), 0)
    return head + tree + contents + texts


def test_pictures_come_out_of_resource_files(photo_pool, tmp_path):
    files = {"kitten.webp": b"RIFF" * 9, "README": b"Copyright" * 9}
    data = qt_resources(files, "README")
    assert dict(photo_pool.resources(data)) == {f"resource/{name}": content for name, content in files.items()}
    (tmp_path / "erase.rcc").write_bytes(data)
    photo_pool.expand((photo_pool.Picture(photo_pool.GCOMPRIS, "erase/kitten.webp", "A", "CC0-1.0", ""),), tmp_path)
    assert [path.name for path in (tmp_path / "erase").iterdir()] == ["kitten.webp"]
    with pytest.raises(ValueError, match="no Qt resource file"):
        photo_pool.resources(b"RIFF" * 9)


def test_more_pictures_have_names_of_their_own(photo_pool):
    more = photo_pool.more_pictures()
    names = {picture.name for picture in photo_pool.PHOTOGRAPHS + photo_pool.TEXTURES + more}
    assert len(more) == 97 and len(names) == 56 + 97
    assert all(picture.split == "train" and picture.licence and len(picture.digest) == 12 for picture in more)
