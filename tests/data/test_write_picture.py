"""Writing: bytes come back as they were, and a failure leaves what was there."""

import errno
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from tokenfield.data import read_picture, write_picture
from tokenfield.data.pictures import WRITERS
from tokenfield.errors import UserError
from tokenfield.io.atomic import written_aside

PICTURE = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 5, 7))).float() / 255
LOSSLESS = [suffix for suffix in WRITERS if suffix not in (".jpg", ".jpeg")]


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".PNG"])
def test_eight_bits_come_back(suffix, tmp_path):
    write_picture(tmp_path / f"x{suffix}", PICTURE)
    assert torch.equal(read_picture(tmp_path / f"x{suffix}"), PICTURE)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_comes_back_nearly(suffix, tmp_path):
    smooth = torch.linspace(0.2, 0.8, 16 * 16).reshape(1, 16, 16).expand(3, -1, -1)
    write_picture(tmp_path / f"x{suffix}", smooth)
    torch.testing.assert_close(read_picture(tmp_path / f"x{suffix}"), smooth, atol=0.02, rtol=0)


def test_values_are_clamped_and_rounded(tmp_path):
    write_picture(tmp_path / "x.png", torch.tensor([-3.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 7.0]).expand(3, 1, -1))
    assert torch.equal(read_picture(tmp_path / "x.png")[0, 0], torch.tensor([0, 0, 1, 255, 255]) / 255)


def test_grey_and_alpha_come_back(tmp_path):
    write_picture(tmp_path / "grey.png", PICTURE[:1])
    assert torch.equal(read_picture(tmp_path / "grey.png"), PICTURE[:1].expand(3, -1, -1))
    rgba = torch.cat([PICTURE, PICTURE[:1].flip(1)])
    write_picture(tmp_path / "rgba.png", rgba)
    assert torch.equal(read_picture(tmp_path / "rgba.png", keep_alpha=True), rgba)
    write_picture(tmp_path / "white.bmp", rgba)                        # has no alpha
    torch.testing.assert_close(read_picture(tmp_path / "white.bmp"), rgba[:3] * rgba[3:] + 1 - rgba[3:],
                               atol=0.5001 / 255, rtol=0)


def test_any_float_type_and_stride_is_written(tmp_path):
    write_picture(tmp_path / "x.png", PICTURE.double().permute(2, 1, 0).contiguous().permute(2, 1, 0).requires_grad_())
    assert torch.equal(read_picture(tmp_path / "x.png"), PICTURE)


BAD = {
    "x.xyz": (PICTURE, ".xyz"),
    "x": (PICTURE, "nothing"),
    "x.png": (PICTURE[0], "shape"),
    "two channels.png": (PICTURE[:2], "shape"),
    "no pixels.png": (PICTURE[:, :0], "shape"),
    "nan.png": (PICTURE / 0, "NaN"),
    "wide.jpg": (torch.zeros(1, 1, 70_000), "try .png"),
    "file/x.png": (PICTURE, "not a folder"),
    "folder.png": (PICTURE, "is a folder"),
    "n" * 300 + ".png": (PICTURE, "too long"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_written_gives_one_line(name, tmp_path):
    image, part = BAD[name]
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=part) as caught:
        write_picture(tmp_path / name, image)
    assert str(caught.value).isprintable()
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "file").read_bytes() == b"kept"


@pytest.mark.parametrize("number, part", [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permission denied"),
                                          (errno.EROFS, "read-only"), (errno.EDQUOT, "quota"), (errno.EIO, "error")])
def test_a_failing_disk_leaves_the_old_file(number, part, tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    write_picture(path, PICTURE)

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=part):
        write_picture(path, 1 - PICTURE)
    assert torch.equal(read_picture(path), PICTURE) and os.listdir(tmp_path) == ["x.png"]


def test_a_real_limit_on_file_size_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="larger than is allowed"):
            write_picture(tmp_path / "x.bmp", torch.zeros(3, 31, 37))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    code = ("import os, signal, sys; from pathlib import Path; from tokenfield.io.atomic import written_aside\n"
            "with written_aside(Path(sys.argv[1])) as file:\n"
            "    file.write(b'new' * 10**6); file.flush(); os.kill(os.getpid(), signal.SIGKILL)")
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")])
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "x").read_bytes() == b"old"


def test_links_and_permissions_are_as_for_any_file(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "x")
    with written_aside(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "x").read_bytes() == b"new"
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "real" / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode  # the umask, not 0600


def test_an_error_inside_the_block_is_the_callers(tmp_path):
    with pytest.raises(ZeroDivisionError), written_aside(tmp_path / "new" / "x") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path / "new") == []
