"""The script that rebuilds the cut-outs: on white, split by the word a name begins with, listed with their sources."""

import csv
import hashlib
import sys

import numpy as np
import pytest
from PIL import Image

from experiments.pools import cutouts


@pytest.fixture
def cutout_pool():
    return cutouts


def stamp(path, box=(4, 2, 10, 14), size=(20, 16)):
    """A red rectangle on nothing; what is transparent is black."""
    picture = np.zeros((size[1], size[0], 4), np.uint8)
    left, top, right, bottom = box
    picture[top:bottom, left:right] = (200, 0, 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture, "RGBA").save(path)
    return path


def test_a_cut_out_is_trimmed_and_lies_on_white(cutout_pool, tmp_path):
    with Image.open(stamp(tmp_path / "a.png")) as picture:
        cutout = np.asarray(cutout_pool.on_white(picture, 26))  # twice 12 pixels and a margin of 6 %
    assert cutout.shape == (26, 26, 3)
    assert (cutout[:, :4] > 240).all() and (cutout[:, -4:] > 240).all()
    assert abs(cutout[13, 13].astype(int) - (200, 0, 0)).max() <= 3
    red = np.argwhere(cutout[..., 1] < 128)
    height, width = red.max(0) - red.min(0) + 1
    assert abs(height - 24) <= 3 and abs(width - 12) <= 3  # its proportions stay


def test_pictures_whose_names_begin_alike_are_in_one_split(cutout_pool):
    for words in (("apple_green", "apple_fuji", "Apple2", "apple"), ("gnu-baby", "gnu-baby-stand")):
        assert len({cutout_pool.split_of("food", word) for word in words}) == 1
    splits = [cutout_pool.split_of("food", f"{a}{b}") for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrst"]
    assert 0.06 < splits.count("val") / len(splits) < 0.2


def test_the_pool_is_laid_out_listed_and_the_same_every_time(cutout_pool, tmp_path):
    stamps = tmp_path / "stamps"
    for name in ("animals/birds/hen.png", "animals/cow.png", "animals/cow_mirror.png", "food/pear.png", "money/1.png"):
        stamp(stamps / name)
    (tmp_path / "photos" / "train").mkdir(parents=True)
    (tmp_path / "photos" / "test").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3))
    Image.fromarray(np.uint8(noise)).save(tmp_path / "photos" / "train" / "sea.png")
    items = cutout_pool.cutouts(stamps) + cutout_pool.crops(tmp_path / "photos")
    assert [item.name for item in items] == ["birds-hen", "cow", "pear", "sea-0", "sea-1", "sea-2"]
    roots = {cutout_pool.PACKAGE: stamps, "photo_pool": tmp_path / "photos"}
    for out in ("one", "two"):
        cutout_pool.write(items, tmp_path / out, 16, roots)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
    rows = list(csv.DictReader((tmp_path / "one" / "LICENSES.tsv").open(), delimiter="\t"))
    assert len(rows) == 6 == len(files) - 1
    cow = next(row for row in rows if row["path"] == "animals/cow.png")
    assert cow["licence"] == "GPL-2" and (tmp_path / "one" / cow["file"]).is_file()
    assert cow["sha256"] == hashlib.sha256((stamps / "animals/cow.png").read_bytes()).hexdigest()
    crops = {(tmp_path / "one" / f).read_bytes() for f in files if "sea" in f.name}
    assert len(crops) == 3  # from three places


def test_without_the_package_one_line_says_what_to_fetch(cutout_pool, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cutout_pool.py", str(tmp_path / "pool"), "--packages", str(tmp_path)])
    with pytest.raises(SystemExit, match="holds no tuxpaint-stamps-default_"):
        cutout_pool.main()
