"""Pyramids and the crops cut from them: what they are made of, and that they are a function of their arguments."""

import collections
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from processes import start

from tokenfield.data import PhotoCrops, PictureError, PyramidCache, SkippedFiles
from tokenfield.data.datasets import orient, to_tensor
from tokenfield.data.draws import Draws
from tokenfield.data.listings import relative_listing
from tokenfield.data.pictures import usable
from tokenfield.data.pyramid import SMALLEST, level_shapes, levels_of
from tokenfield.errors import UserError
from tokenfield.io import cache
from tokenfield.io.cache import open_array


def ramp(height: int, width: int) -> np.ndarray:
    """A picture in which every pixel says where it is: red counts rows, green columns, blue is 7 everywhere."""
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([y, x, np.full_like(x, 7)])


@pytest.fixture
def crops(tmp_path):
    """Crops of 17 pixels from three pictures that say where they are, of 1, 2 and 3 levels that hold a crop."""
    for name, (height, width) in {"a": (23, 29), "b": (41, 53), "c": (71, 83)}.items():
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(ramp(height, width)).save(tmp_path / "pictures" / f"{name}.png")
    return open_crops(tmp_path / "pictures")


def open_crops(folder, size=17, **options) -> PhotoCrops:
    return PhotoCrops(relative_listing(folder, sorted(folder.iterdir())), size=size, **options)


# --- pyramids -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 999), st.integers(1, 999))
def test_levels_halve_until_small(height, width):
    shapes = level_shapes(height, width)
    assert shapes[0] == (height, width)
    for (h, w), (k, m) in pairwise(shapes):
        assert (k, m) == (h // 2, w // 2) and min(k, m) >= SMALLEST
    assert min(shapes[-1]) // 2 < SMALLEST


def test_a_level_is_the_mean_of_four_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (67, 53, 3)).astype(np.uint8)
    levels = levels_of(picture)
    assert [level.shape[:2] for level in levels] == level_shapes(67, 53)
    for above, level in pairwise(levels):
        h, w = level.shape[:2]
        mean = above[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).astype(float).mean((1, 3))
        assert np.abs(level - mean).max() <= 0.5


def test_a_pyramid_is_decoded_once_and_read_back(tmp_path, own_cache, write):
    path = write(tmp_path / "x.png")
    first = PyramidCache().levels(path)
    (file,) = own_cache.iterdir()
    stamp = file.stat().st_mtime_ns
    again = PyramidCache().levels(path)
    assert file.stat().st_mtime_ns == stamp
    for one, two, three in zip(first, again, levels_of(np.asarray(Image.open(path))), strict=True):
        assert (one == two).all() and (one == three).all() and not one.flags.writeable


def test_a_changed_picture_is_decoded_anew(tmp_path, write):
    path = write(tmp_path / "x.png", 0)
    before = np.array(PyramidCache().levels(path)[0])
    write(path, 1)
    assert not np.array_equal(PyramidCache().levels(path)[0], before)


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "no header": lambda data: bytes(200) + data[200:],
    "header alone": lambda data: data[: data.index(b"\n") + 1],
    "other magic": lambda data: data.replace(b"NUMPY", b"numpy"),
    "longer": lambda data: data + b"\0",
    "other size": lambda data: data.replace(b"(47, 61, 3)", b"(46, 61, 3)"),
    "huge size": lambda data: data.replace(b"(1,), }", b"(10**9,), }"),
    "more than any disk": lambda data: data.replace(b"(1,), }    ", b"(99999999999999,), }"),
    "another list": lambda data: data.replace(b"'shape'", b"'shope'"),
    "an archive": lambda data: b"PK\x03\x04" + data,
    "text": lambda data: b"hello",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_cache_is_built_again(name, tmp_path, own_cache, write):
    path = write(tmp_path / "x.png")
    PyramidCache().levels(path)
    (file,) = own_cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(DAMAGE[name](whole))
    assert file.read_bytes() != whole and open_array(file) is None
    assert (PyramidCache().levels(path)[0] == np.asarray(Image.open(path))).all()
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_gives_one_line(tmp_path, monkeypatch, write):
    path = write(tmp_path / "x.png")
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set TOKENFIELD_CACHE") as caught:
        PhotoCrops(relative_listing(tmp_path, [path]), size=17)
    assert str(caught.value).isprintable()


def test_a_full_disk_gives_one_line(tmp_path, monkeypatch, own_cache, write):
    path = write(tmp_path / "x.png")
    usage = cache.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(UserError, match="free some space or set TOKENFIELD_CACHE"):
        PhotoCrops(relative_listing(tmp_path, [path]), size=17)
    assert list(own_cache.iterdir()) == []


def test_processes_may_build_the_same_cache_at_once(tmp_path, own_cache, write):
    for number in range(5):
        write(tmp_path / "pictures" / f"{number}.png", number)
    code = ("import sys; from tokenfield.data import *\n"
            "crops = DataConfig(size=17, holdout=0).open(sys.argv[1], 'train')\n"
            "assert len(crops) == 5 and not crops.skipped")
    start(f"-c {code}", tmp_path / "pictures", processes=2)
    assert len(list(own_cache.iterdir())) == 5                                # and nothing left aside


def test_more_pictures_than_files_may_be_open(tmp_path, monkeypatch, write):
    paths = [write(tmp_path / f"{number}.png", number) for number in range(7)]
    monkeypatch.setattr(cache, "OPEN_FILES", 2)
    levels = PyramidCache().levels
    assert usable(paths, levels, SkippedFiles(), "decoding") == paths
    assert levels.cache_info().currsize == 2
    for path in paths:
        assert (levels(path)[0] == np.asarray(Image.open(path))).all()


# --- crops --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**64 - 1), max_size=4), st.integers(1, 10**6))
def test_draws_are_a_function_of_their_place(seed, key, n):
    one, two = Draws(seed, *key), Draws(seed, *key)
    draws = [one.below(n) for _ in range(8)]
    assert draws == [two.below(n) for _ in range(8)] and all(0 <= draw < n for draw in draws)


def test_draws_are_uniform_and_apart():
    """Chi-square over 16 bins, 4096 draws, for neighbouring places: 15 degrees of freedom exceed 44 once in 10^4."""
    for places in ([(0, step, 0, 0) for step in range(4096)], [(0, 0, slot, 0) for slot in range(4096)]):
        counts = np.bincount([Draws(*place).below(16) for place in places], minlength=16)
        assert ((counts - 256) ** 2 / 256).sum() < 44
    assert len({Draws(*place).below(2**64) for place in [(0, 1), (1, 0), (0, 1, 0), (1,), (0, 0, 1)]}) == 5


def test_the_eight_orientations_are_the_symmetries_of_the_square():
    square = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3)
    images = {orient(square, which).tobytes() for which in range(8)}
    assert len(images) == 8                                                   # all different,
    assert {orient(orient(square, 5), which).tobytes() for which in range(8)} == images       # a group,
    assert (orient(square, 0) == square).all()                                # with the identity


def test_a_crop_is_a_piece_of_a_level(crops):
    """The ramps say which level, orientation and place a crop is from; the level must be the crop there, bit by bit."""
    places = set()
    for step in range(600):
        index, sample = crops.draw(0, step, 3)
        square = np.rint(sample.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
        swapped = square[0, 0, 0] == square[1, 0, 0]                          # red counts rows of the level
        rows = square.transpose(1, 0, 2) if swapped else square
        along_y, along_x = int(rows[1, 0, 0]) - int(rows[0, 0, 0]), int(rows[0, 1, 1]) - int(rows[0, 0, 1])
        rows = rows[:: 1 if along_y > 0 else -1, :: 1 if along_x > 0 else -1]
        k = abs(along_y).bit_length() - 1                                     # level k counts in steps of 2^k
        level = crops.usable(index)[k]
        top, left = int((level[:, 0, 0] < rows[0, 0, 0]).sum()), int((level[0, :, 1] < rows[0, 0, 1]).sum())
        assert (level[top : top + 17, left : left + 17] == rows).all()
        places.add((index, k, swapped, along_y > 0, along_x > 0))
    assert len(places) == 8 * (1 + 2 + 3)                                       # every level in every orientation


def test_pictures_and_their_levels_are_drawn_alike(crops):
    counts = collections.Counter(crops.draw(1, step, 0)[0] for step in range(900))
    assert all(abs(count - 300) < 75 for count in counts.values())            # 5 sigma of a binomial


def test_samples_are_a_function_of_seed_step_and_slot(crops, tmp_path):
    again = open_crops(tmp_path / "pictures")
    places = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (2**40, 10**9, 5)]
    samples = [crops.sample(*place) for place in places]
    for place in reversed(places):                                            # in another order, from another object
        assert torch.equal(again.sample(*place), samples[places.index(place)])
    assert len({sample.numpy().tobytes() for sample in samples}) == len(places)
    assert all(sample.shape == (3, 17, 17) and sample.dtype == torch.float32 for sample in samples)


def test_at_most_so_many_levels_are_used(crops, tmp_path):
    assert [len(crops.usable(i)) for i in range(3)] == [1, 2, 3]
    shallow = open_crops(tmp_path / "pictures", levels=2)
    assert [len(shallow.usable(i)) for i in range(3)] == [1, 2, 2]


def test_evaluation_pictures_are_the_centres_of_the_levels(crops):
    pictures = list(crops.pictures())
    assert [name for name, _ in pictures] == ["a.png", "b.png", "b.png@2", "c.png", "c.png@2", "c.png@4"]
    level = levels_of(ramp(41, 53))[1]                                        # 20 x 26
    assert torch.equal(dict(pictures)["b.png@2"], to_tensor(level[1:18, 4:21]))


def test_unusable_pictures_are_named_and_left_out(tmp_path, write):
    folder = tmp_path / "pictures"
    for number in range(3):
        write(folder / f"{number}.png", number)
    write(folder / "small.png", 0, 16, 61)
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:500])
    crops = open_crops(folder)
    assert crops.names == ["0.png", "1.png", "2.png"] and len(crops) == 3
    line = crops.skipped.summary(5)
    assert "small.png (is 61 x 16, too small for crops of 17 pixels)" in line and "broken.png (is damaged" in line


def test_nothing_usable_gives_one_line(tmp_path, write):
    write(tmp_path / "pictures" / "small.png", 0, 16, 61)
    with pytest.raises(UserError, match="none of the 1 pictures can be used; skipped 1 of 1: small") as caught:
        open_crops(tmp_path / "pictures")
    assert str(caught.value).isprintable()


def test_a_picture_that_vanishes_is_replaced_the_same_way_every_time(crops, tmp_path):
    steps = [step for step in range(40) if crops.draw(0, step, 0)[0] == 1]
    (tmp_path / "pictures" / "b.png").unlink()
    again = [open_crops_without_check(crops) for _ in range(2)]
    for step in steps:
        (index, one), (_, two) = (source.draw(0, step, 0) for source in again)
        assert index != 1 and torch.equal(one, two)
    assert "b.png" in again[0].skipped.summary() and len(again[0].skipped) == 1
    assert not any(name.startswith("b") for name, _ in again[0].pictures())


def open_crops_without_check(crops: PhotoCrops) -> PhotoCrops:
    """The same source in a process that did not map the files yet."""
    again = object.__new__(PhotoCrops)
    again.__dict__.update(crops.__dict__, cache=PyramidCache(), skipped=SkippedFiles())
    return again


def test_levels_name_a_missing_picture(tmp_path):
    with pytest.raises(PictureError, match="No such file"):
        PyramidCache().levels(tmp_path / "missing.png")
