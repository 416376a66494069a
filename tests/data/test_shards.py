"""Pictures in tar files are the pictures: same bytes, same splits, same crops, in any order."""

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield.data import DataConfig, shards
from tokenfield.data.decoding import PictureError, read_picture
from tokenfield.data.layouts import LAYOUTS
from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    shards.index_of.cache_clear()


def picture(number, side=23):
    return np.random.default_rng(number).integers(0, 256, (side, side + 6, 3), np.uint8)


def folder_of(root, count=7):
    (root / "pictures").mkdir(parents=True)
    for number in range(count):
        Image.fromarray(picture(number)).save(root / "pictures" / f"{number:03}.png")
    return root / "pictures"


def pack(shard, folder, classes=None, prefix=""):
    shard.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(shard, "w") as tar:
        for path in sorted(folder.iterdir(), reverse=True):  # shards need not be sorted
            tar.add(path, prefix + path.name)
            if classes is not None:
                text = str(classes[int(path.stem)]).encode()
                info = tarfile.TarInfo(f"{prefix}{path.stem}.cls")
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text))


def listed(root, split="train", holdout=0.0):
    skipped = SkippedFiles()
    return LAYOUTS["shards"](root, split, holdout, skipped), skipped


@pytest.mark.parametrize("prefix", ["", "./", "deep/er/"])
def test_a_path_into_a_shard_reads_as_the_file_does(tmp_path, prefix):
    folder = folder_of(tmp_path)
    pack(tmp_path / "set" / "a.tar", folder, prefix=prefix)
    listing, _ = listed(tmp_path / "set")
    assert listing.names == tuple(f"a.tar/{prefix.removeprefix('./')}{number:03}.png" for number in range(7))
    for number in (5, 0, 6, 3):
        assert torch.equal(read_picture(listing.paths[number]), read_picture(folder / f"{number:03}.png"))


@pytest.mark.parametrize(("crop", "size"), [("center", 13), ("random_flip", 13), ("pyramid", 17)])
def test_training_from_shards_is_training_from_the_files(tmp_path, crop, size):
    folder = folder_of(tmp_path)
    pack(tmp_path / "set" / "train-000.tar", folder)
    pack(tmp_path / "set" / "val-000.tar", folder)
    (tmp_path / "files").mkdir()
    for name in ("train", "val"):
        (tmp_path / "files" / name).symlink_to(folder)
    ours = DataConfig(layout="shards", size=size, crop=crop).open(tmp_path / "set", "train")
    theirs = DataConfig(layout="folder", size=size, crop=crop).open(tmp_path / "files", "train")
    for step in range(5):
        assert torch.equal(ours.sample(1, step, 2), theirs.sample(1, step, 2))
    for (_, one), (_, other) in zip(ours.pictures(), theirs.pictures(), strict=True):
        assert torch.equal(one, other)


def test_splits_have_shards_of_their_own_or_names_decide(tmp_path):
    folder = folder_of(tmp_path)
    for name in ("train/0.tar", "train/1.tar", "validation/0.tar"):
        pack(tmp_path / "set" / name, folder)
    assert len(listed(tmp_path / "set")[0].names) == 14
    assert {name.split("/")[0] for name in listed(tmp_path / "set", "test")[0].names} == {"validation"}
    pack(tmp_path / "one" / "all.tar", folder)
    parts = [set(listed(tmp_path / "one", split, 0.3)[0].names) for split in ("train", "test")]
    assert parts[0] | parts[1] == {f"all.tar/{number:03}.png" for number in range(7)}
    assert parts[1] and not parts[0] & parts[1]


def test_classes(tmp_path):
    folder, classes = folder_of(tmp_path), [2, 0, 1, 1, 0, 2, 2]
    pack(tmp_path / "set" / "train.tar", folder, classes)
    listing, _ = listed(tmp_path / "set")
    assert (listing.labels, listing.classes) == (tuple(classes), ("0", "1", "2"))
    (tmp_path / "set" / "classes.txt").write_text("ant\nbee\ncat\n")
    assert listed(tmp_path / "set")[0].classes == ("ant", "bee", "cat")
    (tmp_path / "set" / "classes.txt").write_text("ant\nbee\n")
    with pytest.raises(UserError, match="names 2 classes, and a picture has number 2"):
        listed(tmp_path / "set")


def test_an_index_is_made_once_and_again_for_another_file(tmp_path):
    folder, shard = folder_of(tmp_path), tmp_path / "set" / "a.tar"
    pack(shard, folder)
    first, _ = shards.index_of(shard)
    shards.index_of.cache_clear()
    assert np.array_equal(shards.index_of(shard)[0], first)
    assert len(list((tmp_path / "cache" / "shards").iterdir())) == 1
    (folder / "000.png").unlink()
    pack(shard, folder)
    shards.index_of.cache_clear()
    assert len(shards.index_of(shard)[0]) == 6


def test_of_a_shard_that_is_cut_off_the_rest_is_read_and_it_is_named(tmp_path):
    folder, shard = folder_of(tmp_path), tmp_path / "set" / "a.tar"
    pack(shard, folder)
    whole = shards.scan(shard)[0]
    third = np.sort(whole["offset"])[3]
    with open(shard, "r+b") as file:
        file.truncate(int(third) + 5)
    listing, skipped = listed(tmp_path / "set")
    assert len(listing.names) == 3
    assert "a.tar" in skipped.summary() and "is cut off" in skipped.summary()


def test_what_is_not_there_or_damaged_is_one_line(tmp_path):
    folder, shard = folder_of(tmp_path), tmp_path / "set" / "a.tar"
    (folder / "001.png").write_bytes(b"")
    (folder / "002.png").write_bytes((folder / "003.png").read_bytes()[:40])
    pack(shard, folder)
    for name, reason in {"no.png": "no such picture", "001.png": "is empty", "002.png": "damaged"}.items():
        with pytest.raises(PictureError, match=reason):
            read_picture(shard / name)
    (tmp_path / "set" / "b.tar").write_bytes(b"no tar file at all")
    with pytest.raises(PictureError, match="no such picture"):
        read_picture(tmp_path / "set" / "b.tar" / "a.png")


def test_a_path_into_a_shard_is_a_picture_for_commands(tmp_path, monkeypatch, capsys):
    from tokenfield.cli.app import main

    pack(tmp_path / "a.tar", folder_of(tmp_path, 1))
    assert main(["info", f"{tmp_path}/a.tar/000.png"]) == 0
    assert main(["encode", f"{tmp_path}/a.tar/000.png", "-o", f"{tmp_path}/a.field", "--model", "photos-s"]) == 0
    assert (tmp_path / "a.field").exists()


def test_sizes_and_names_that_no_file_has_end_the_index(tmp_path):
    """Names longer than any path, and an extended header whose length is beyond all bounds."""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a.png", "b" * 5000, "c.png"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    data = (tmp_path / "a.tar").read_bytes()
    index, whole = shards.scan(tmp_path / "a.tar")
    assert whole and index["name"].tolist() == [b"a.png", b"c.png"]
    (tmp_path / "a.tar").write_bytes(data.replace(b"5011 path=", b"9" * 30 + b" path="))
    assert shards.scan(tmp_path / "a.tar")[1] is False
