"""HEIC and JPEG XL read where their packages are: colours, alpha, turns, 10 bits, frames, damage."""

import sys

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401, registers the format
import pytest
from fixtures import smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tokenfield.data.decoding import PictureError, read_picture
from tokenfield.data.pictures import write_picture

ROWS, COLUMNS = np.mgrid[0:48, 0:64]
TRUTH = np.stack([COLUMNS / 63, ROWS / 47, (ROWS + COLUMNS) / 110], -1)
BYTES = np.round(TRUTH * 255).astype(np.uint8)
TURNED = 6  # EXIF: to be turned by a quarter, clockwise
LOSSY = 0.025

pillow_heif.register_heif_opener()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = TURNED
    return exif.tobytes()


def ten_bits(path, values) -> None:
    deep = np.round(values * 65535).astype(np.uint16)
    size, mode = (deep.shape[1], deep.shape[0]), "RGB;16" if deep.ndim == 3 else "I;16"
    pillow_heif.from_bytes(mode=mode, size=size, data=deep.tobytes()).save(path, quality=-1)


WRITTEN = {
    "a.heic": (lambda path: Image.fromarray(BYTES).save(path, quality=95), TRUTH, LOSSY),
    "IMG.HEIC": (lambda path: Image.fromarray(BYTES).save(path, "HEIF", quality=95, exif=turned()),
                 np.rot90(TRUTH, -1), LOSSY),
    "called.jpg": (lambda path: Image.fromarray(BYTES).save(path, "HEIF", quality=95), TRUTH, LOSSY),
    "alpha.heic": (lambda path: Image.fromarray(np.dstack([BYTES, np.full_like(BYTES[..., 0], 128)])).save(path),
                   TRUTH * 128 / 255 + 127 / 255, LOSSY),
    "grey.heic": (lambda path: Image.fromarray(BYTES[..., 0]).save(path, quality=95),
                  TRUTH[..., :1].repeat(3, 2), LOSSY),
    "ten.heic": (lambda path: ten_bits(path, TRUTH), TRUTH, 0.015),
    "ten-grey.heic": (lambda path: ten_bits(path, TRUTH[..., 0]), TRUTH[..., :1].repeat(3, 2), 0.001),
    "a.jxl": (lambda path: Image.fromarray(BYTES).save(path, lossless=True), TRUTH, 0.002),
    "turned.jxl": (lambda path: Image.fromarray(BYTES).save(path, lossless=True, exif=turned()),
                   np.rot90(TRUTH, -1), 0.002),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_phones_write_is_read(name, tmp_path):
    write, truth, away = WRITTEN[name]
    write(tmp_path / name)
    picture = read_picture(tmp_path / name).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(picture, truth, atol=away)
    assert len(np.unique(picture)) > 256 or name != "ten.heic"


def test_several_frames_are_said_and_large_ones_refused(tmp_path):
    heif = pillow_heif.from_pillow(Image.fromarray(BYTES))
    heif.add_from_pillow(Image.fromarray(BYTES[::-1]))
    heif.save(tmp_path / "two.heic")
    with pytest.warns(UserWarning, match="several frames"):
        read_picture(tmp_path / "two.heic")
    with pytest.raises(PictureError, match="48, 0 megapixels"):
        read_picture(tmp_path / "two.heic", max_pixels=100)


def test_a_phone_s_folder_is_encoded(run, model, tmp_path):
    (tmp_path / "phone").mkdir()
    for name in ("a.heic", "ten.heic", "a.jxl"):
        WRITTEN[name][0](tmp_path / "phone" / name)
    outcome = run("encode", tmp_path / "phone", "-o", tmp_path / "out", "--model", model)
    assert outcome.code == 0 and len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("name, beginning", [
    ("IMG_1.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), ("a.jxl", b"\xff\x0a")])
def test_what_begins_like_one_and_is_none_is_called_damaged(name, beginning, tmp_path):
    (tmp_path / name).write_bytes(beginning + b"\0" * 50)
    with pytest.raises(PictureError, match="is damaged"):
        read_picture(tmp_path / name)


@given(st.sampled_from(["a.heic", "ten.heic", "a.jxl"]), st.integers(0, 10**6), st.integers(0, 255))
@settings(deadline=None, max_examples=60)
def test_damaged_ones_are_read_or_refused_in_one_line(tmp_path_factory, name, place, byte):
    path = tmp_path_factory.getbasetemp() / name
    WRITTEN[name][0](path)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data)
    try:
        read_picture(path, max_pixels=10_000)
    except PictureError as error:
        assert str(error).isprintable()


COMMANDS = {"encode": "{d} --model {m} -o {o} --no-check", "evaluate": "{m} --data {d} --size 16",
            "latents": "{m} {d} -o {o} --size 16",
            "train": "anchored --data {d} --out {o} --data.size 16 --steps 1 --quiet",
            "score": "{d} --reference {d} --size 16 --holdout 0.9"}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_without_its_package_one_is_named_and_counted_in_every_folder(name, run, model, tmp_path, monkeypatch):
    for index in range(9):
        write_picture(tmp_path / "d" / f"{index}.png", smooth(20 + index, 24, index))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    Image.fromarray(BYTES).save(tmp_path / "d" / "a.heic", "HEIF")
    outcome = run(name, *COMMANDS[name].format(d=tmp_path / "d", m=model, o=tmp_path / "o").split())
    assert outcome.code == 3 and "skipped 1" in outcome.err
    assert "a.heic (is HEIC, which needs a package: pip install 'tokenfield[heif]')" in outcome.err
