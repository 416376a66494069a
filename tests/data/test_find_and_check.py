"""Finding pictures in folders, naming what was skipped, and checking arrays."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield.data import PictureError, SkippedFiles, find_pictures, read_picture, read_pictures
from tokenfield.data.arrays import check_picture
from tokenfield.errors import UserError


def test_found_are_all_pictures_sorted(tmp_path):
    for name in ("b.png", "a/z.JPG", "a/b.jpeg", "A.tiff", "notes.txt", ".hidden.png", "a/._b.jpeg", ".git/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "other").symlink_to(tmp_path / "a")          # seen under one of its two names
    (tmp_path / "a" / "up").symlink_to(tmp_path)             # and this one would never end
    names = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)]
    assert names == ["A.tiff", "a/b.jpeg", "a/z.JPG", "b.png"]
    assert find_pictures(str(tmp_path)) == find_pictures(tmp_path)
    assert find_pictures(tmp_path / "b.png") == [tmp_path / "b.png"]


def test_linked_folders_are_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.png").touch()
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "link").symlink_to(tmp_path / "elsewhere")
    assert [path.name for path in find_pictures(tmp_path / "pool")] == ["x.png"]


@pytest.mark.parametrize("make, part", [
    (lambda root: root / "missing", "no such folder"),
    (lambda root: root, "holds no pictures"),
    (lambda root: (root / "notes.txt").touch() or root, "holds 1 files, none of them a picture"),
])
def test_a_folder_without_pictures_gives_one_line(make, part, tmp_path):
    with pytest.raises(UserError, match=part) as caught:
        find_pictures(make(tmp_path))
    assert str(caught.value).isprintable()


def test_a_sub_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "x.png").touch()
    scandir = os.scandir
    closed = os.fspath(tmp_path / "closed")

    def refuse(path):
        if os.fspath(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="closed: the folder may not be read"):
        find_pictures(tmp_path)
    skipped = SkippedFiles()
    assert [path.name for path in find_pictures(tmp_path, skipped)] == ["x.png"]
    assert "closed" in skipped.summary()


def test_a_folder_run_names_and_counts_what_it_skipped(tmp_path, write):
    for number in range(4):
        write(tmp_path / f"{number}.png", number)
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:99])
    skipped = SkippedFiles()
    read = [path.name for path, picture in read_pictures(find_pictures(tmp_path), skipped)]
    assert read == ["0.png", "3.png"] and len(skipped) == 2
    line = skipped.summary(4)
    assert line.startswith("skipped 2 of 4: 1.png (is empty (0 bytes)), 2.png (is damaged or truncated")
    assert [row["file"] for row in skipped.as_json()] == [str(tmp_path / "1.png"), str(tmp_path / "2.png")]


def test_the_summary_names_five_and_counts_the_rest():
    skipped = SkippedFiles()
    assert skipped.summary(9) == "" and not skipped
    for number in range(7):
        skipped.catch(PictureError(f"folder/{number}", "is empty"))
        skipped.catch(PictureError(f"folder/{number}", "is something else"))      # the first reason stands
    assert len(skipped) == 7
    assert skipped.summary() == "skipped 7: " + ", ".join(f"{n} (is empty)" for n in range(5)) + " and 2 more"


GOOD = torch.rand(3, 5, 7)


@pytest.mark.parametrize("image", [GOOD, GOOD.double(), GOOD.half(), GOOD.bfloat16(), GOOD.numpy(),
                                   GOOD.numpy().astype(">f8"), GOOD.numpy()[:, ::-1], GOOD[:, :1, :1], GOOD + 5e-5])
def test_pictures_pass_the_check(image):
    picture = check_picture(image, 3)
    wide = str(image.dtype) in ("torch.float64", ">f8", "float64")
    assert picture.dtype == (torch.float64 if wide else torch.float32) and tuple(picture.shape) == tuple(image.shape)
    expected = image.float() if isinstance(image, torch.Tensor) else torch.from_numpy(image.astype(np.float32).copy())
    torch.testing.assert_close(picture.float(), expected)


BYTES = (GOOD * 255).round().byte()
DEEP = (GOOD * 65535).round().numpy().astype(np.uint16)
RGBA = np.concatenate([BYTES.numpy(), np.full((1, 5, 7), 51, np.uint8)])


@pytest.mark.parametrize("given, expected", [
    (BYTES, BYTES / 255), (BYTES.numpy(), BYTES / 255), (BYTES.permute(1, 2, 0), BYTES / 255),
    (BYTES.numpy().transpose(1, 2, 0)[::-1, :, ::-1], BYTES.flip(0, 1) / 255),
    (DEEP, DEEP / 65535), (DEEP.astype(">u2").transpose(1, 2, 0), DEEP / 65535), (torch.from_numpy(DEEP), DEEP / 65535),
    (GOOD.permute(1, 2, 0), GOOD), (GOOD[0], GOOD[:1].expand(3, -1, -1)), (GOOD[:1], GOOD[:1].expand(3, -1, -1)),
    (BYTES[0].numpy() > 99, (BYTES[:1] > 99).expand(3, -1, -1)),
    (Image.fromarray(BYTES.permute(1, 2, 0).numpy()), BYTES / 255), (Image.fromarray(BYTES[0].numpy()), None),
    (RGBA, BYTES / 255 * 0.2 + 0.8), (Image.fromarray(RGBA.transpose(1, 2, 0)), BYTES / 255 * 0.2 + 0.8),
    (np.asfortranarray(GOOD.numpy()), GOOD), (GOOD.clone().requires_grad_(), GOOD), (np.float64(GOOD.numpy()), GOOD),
])
def test_whatever_holds_a_picture_is_one(given, expected):
    picture = check_picture(given, 3)
    assert picture.shape == (3, 5, 7)
    if expected is not None:
        torch.testing.assert_close(picture.detach().float(), torch.as_tensor(expected).float(), atol=1e-6, rtol=0)


def test_a_path_is_read_as_a_picture(tmp_path):
    Image.fromarray(RGBA.transpose(1, 2, 0)).save(tmp_path / "a.png")
    assert torch.equal(check_picture(tmp_path / "a.png", 3), read_picture(tmp_path / "a.png"))
    assert check_picture(str(tmp_path / "a.png"), 4).shape == (4, 5, 7)
    Image.fromarray(BYTES[0].numpy()).save(tmp_path / "b.png")
    assert check_picture(tmp_path / "b.png", 1).shape == (1, 5, 7)


NAN = GOOD.clone()
NAN[1, 2, 3:5] = torch.tensor([float("nan"), float("inf")])
CLOSED = Image.new("RGB", (3, 2))
CLOSED.close()

REFUSED = {
    "a list": ([[0.5]], "is a list"),
    "nothing": (None, "is a NoneType"),
    "text": (np.array([["a"]]), "<U1"),
    "a batch": (GOOD[None], "one of the batch"),
    "no pixels": (GOOD[:, :0], "none of them zero"),
    "two channels": (GOOD[:2], "give 3 channels"),
    "signed bytes": ((GOOD * 127).char().numpy(), "torch.int8"),
    "masked": (np.ma.masked_less(GOOD.numpy(), 0.5), "masked"),
    "integers": ((GOOD * 9).long(), "torch.int64"),
    "complex": (GOOD.numpy() * 1j, "complex"),
    "NaN": (NAN, "has 2 values that are NaN or infinite"),
    "0 to 255": (GOOD * 255, "picture / 255"),
    "-1 to 1": (GOOD * 2 - 1, r"\(picture \+ 1\) / 2"),
    "a Pillow image of 0 to 255 in floating point": (Image.fromarray(255 * GOOD[0].numpy()), "of a F picture"),
    "a Pillow image that is closed": (CLOSED, "closed"),
    "standardised": (GOOD * 9 - 4, "give values in \\[0, 1\\]$"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_arrays_are_refused_in_one_line(name):
    image, part = REFUSED[name]
    with pytest.raises(UserError, match=part) as caught:
        check_picture(image, channels=3, name="photo")
    assert str(caught.value).startswith("photo ") and str(caught.value).isprintable()
