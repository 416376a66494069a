"""TIFF and PNG of more than 8 bits, and the kinds that a package of their own reads: right values, or their name."""

import itertools
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tokenfield.data import PictureError, SkippedFiles, find_pictures, read_picture, read_pictures
from tokenfield.data.decoding import read_rgb8

ROWS, COLUMNS = np.mgrid[0:5, 0:7]
TRUTH = np.stack([COLUMNS / 6, ROWS / 4, (ROWS + COLUMNS) / 10], -1)  # (5, 7, 3) in [0, 1]
DEEP = np.round(TRUTH * 65535).astype(np.uint16)
ALPHA = np.round((1 - COLUMNS / 9) * 65535).astype(np.uint16)
OVER_WHITE = TRUTH * (ALPHA / 65535)[..., None] + 1 - (ALPHA / 65535)[..., None]


def grey(values):
    return np.repeat(values[..., :1], 3, 2)


TIFFS = {
    "rgb16": (DEEP, {"photometric": "rgb"}, TRUTH),
    "rgb16 big endian": (DEEP, {"photometric": "rgb", "byteorder": ">"}, TRUTH),
    "rgb16 deflate predictor": (DEEP, {"photometric": "rgb", "compression": "zlib"}, TRUTH),
    "rgb16 tiled": (np.tile(DEEP, (4, 4, 1)), {"photometric": "rgb", "tile": (16, 16)}, np.tile(TRUTH, (4, 4, 1))),
    "rgb16 planar": (DEEP.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}, TRUTH),
    "rgb float": (TRUTH.astype(np.float32), {"photometric": "rgb"}, TRUTH),
    "rgb half": (TRUTH.astype(np.float16), {"photometric": "rgb"}, TRUTH),
    "rgb double": (TRUTH, {"photometric": "rgb"}, TRUTH),
    "grey double": (TRUTH[..., 0], {"photometric": "minisblack"}, grey(TRUTH)),
    "grey white is zero": (65535 - DEEP[..., 0], {"photometric": "miniswhite"}, grey(TRUTH)),
    "bytes white is zero": (255 - np.round(TRUTH[..., 0] * 255).astype(np.uint8), {"photometric": "miniswhite"},
                            grey(np.round(TRUTH * 255) / 255)),
    "satellite": (DEEP, {"photometric": "minisblack", "planarconfig": "contig"}, TRUTH),
    "bytes of a satellite": (np.round(TRUTH * 255).astype(np.uint8), {"photometric": "minisblack",
                             "planarconfig": "contig"}, np.round(TRUTH * 255) / 255),
    "rgba16": (np.dstack([DEEP, ALPHA]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, OVER_WHITE),
    "rgba16 premultiplied": (np.dstack([np.round(TRUTH * ALPHA[..., None]).astype(np.uint16), ALPHA]),
                             {"photometric": "rgb", "extrasamples": ["assocalpha"]}, OVER_WHITE),
    "grey and alpha": (np.dstack([DEEP[..., 0], ALPHA]), {"photometric": "minisblack",
                       "extrasamples": ["unassalpha"]}, grey(OVER_WHITE)),
    "rgb and infrared": (np.dstack([DEEP, ALPHA]), {"photometric": "rgb", "extrasamples": ["unspecified"]}, TRUTH),
    "white is zero and alpha": (np.dstack([65535 - DEEP[..., 0], np.full_like(ALPHA, 65535)]),
                                {"photometric": "miniswhite", "extrasamples": ["unassalpha"]}, grey(TRUTH)),
}


@pytest.mark.parametrize("name", TIFFS)
@pytest.mark.filterwarnings("ignore")
def test_deep_tiffs_have_their_values(name, tmp_path):
    pixels, options, truth = TIFFS[name]
    tifffile.imwrite(tmp_path / "x.tif", pixels, **options)
    picture = read_picture(tmp_path / "x.tif")
    np.testing.assert_allclose(picture.permute(1, 2, 0).numpy(), truth, atol=1e-3)
    assert np.abs(read_rgb8(tmp_path / "x.tif") / 255 - truth).max() < 0.5 / 255 + 1e-3


REFUSED_TIFFS = {
    "seven bands": (np.dstack([DEEP, DEEP, ALPHA]), {"photometric": "minisblack", "planarconfig": "contig"}, "7 bands"),
    "signed": (DEEP.astype(np.int16), {"photometric": "rgb"}, "int16"),
    "wide": (DEEP.astype(np.uint32) * 1000, {"photometric": "rgb"}, "uint32 .* white"),
    "kelvin": (TRUTH.astype(np.float32) * 300, {"photometric": "rgb"}, "0 to 300"),
    "no data": (np.where(TRUTH > 0.5, np.nan, TRUTH), {"photometric": "rgb"}, "nan"),
    "laboratory": (DEEP, {"photometric": "cielab"}, "CIELab"),
}


@pytest.mark.parametrize("name", REFUSED_TIFFS)
@pytest.mark.filterwarnings("ignore")
def test_a_whole_tiff_is_refused_for_what_it_is(name, tmp_path):
    pixels, options, word = REFUSED_TIFFS[name]
    tifffile.imwrite(tmp_path / "x.tif", pixels, **options)
    with pytest.raises(PictureError, match=word) as caught:
        read_picture(tmp_path / "x.tif")
    assert "damaged" not in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_stand_upright(orientation, tmp_path):
    tifffile.imwrite(tmp_path / "deep.tif", DEEP, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    picture = Image.fromarray((TRUTH * 255).round().astype(np.uint8))
    exif = picture.getexif()
    exif[274] = orientation
    picture.save(tmp_path / "plain.png", exif=exif)
    ours, pillows = read_picture(tmp_path / "deep.tif"), read_picture(tmp_path / "plain.png")
    assert ours.shape == pillows.shape and (ours - pillows).abs().max() < 0.003


def png16(values, kind, *chunks, interlace=0):
    """A 16-bit PNG (H, W, C) of a colour type."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    passes = [values] if not interlace else [
        values[top::down, left::right] for top, left, down, right in
        ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*each) for each in chunks)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("kind, values, truth", [
    (0, DEEP[..., :1], grey(TRUTH)), (2, DEEP, TRUTH), (6, np.dstack([DEEP, ALPHA]), OVER_WHITE),
    (4, np.dstack([DEEP[..., 0], ALPHA]), grey(OVER_WHITE))])
def test_16_bit_pngs_keep_all_their_bits(kind, values, truth, interlace, tmp_path):
    (tmp_path / "x.png").write_bytes(png16(values, kind, interlace=interlace))
    np.testing.assert_allclose(read_picture(tmp_path / "x.png").permute(1, 2, 0).numpy(), truth, atol=1e-5)


def test_the_clear_colour_of_a_16_bit_png_is_clear(tmp_path):
    for kind, values, key in ((2, DEEP, DEEP[2, 3]), (0, DEEP[..., :1], DEEP[2, 3, :1])):
        (tmp_path / "x.png").write_bytes(png16(values, kind, (b"tRNS", key.astype(">u2").tobytes())))
        alpha = read_picture(tmp_path / "x.png", keep_alpha=True)[3]
        assert torch.equal(alpha == 0, torch.from_numpy((values == key).all(-1)))


@given(st.sampled_from(sorted(TIFFS)), st.integers(0, 10**6), st.integers(0, 255))
@settings(deadline=None, max_examples=150)
@pytest.mark.filterwarnings("ignore")
def test_damaged_deep_files_end_in_one_line(tmp_path_factory, name, place, byte):
    folder = tmp_path_factory.getbasetemp()
    pixels, options, _ = TIFFS[name]
    tifffile.imwrite(folder / "x.tif", pixels, **options)
    data = bytearray((folder / "x.tif").read_bytes())
    data[place % len(data)] = byte
    (folder / "x.tif").write_bytes(data)
    try:
        read_picture(folder / "x.tif", max_pixels=10_000)
    except PictureError as error:
        assert str(error).isprintable()


STRANGERS = {
    "IMG_1.HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50, "pip install 'tokenfield[heif]'"),
    "called.jpg": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 50, "pip install 'tokenfield[heif]'"),
    "a.jxl": (b"\xff\x0a" + b"\0" * 50, "pip install 'tokenfield[jxl]'"),
    "b.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 50, "pip install 'tokenfield[jxl]'"),
    "c.CR2": (b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 100, "pip install rawpy"),
    "d.nef": (b"MM\0*" + b"\0" * 100, "pip install rawpy"),
    "e.cr3": (b"\0\0\0\x18ftypcrx " + b"\0" * 100, "pip install rawpy"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_kinds_of_other_packages_are_named_with_what_to_install(name, tmp_path, monkeypatch):
    for module in ("pillow_heif", "pillow_jxl", "rawpy"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    data, install = STRANGERS[name]
    (tmp_path / name).write_bytes(data)
    skipped = SkippedFiles()
    assert list(read_pictures(find_pictures(tmp_path), skipped)) == [] and len(skipped) == 1
    assert install in skipped.summary() and "damaged" not in skipped.summary()


def test_every_orientation_has_its_inverse():
    """The eight turns are the symmetries of a rectangle: no two alike."""
    from tokenfield.data.deep import upright

    turned = [upright(DEEP, number) for number in range(1, 9)]
    for one, other in itertools.combinations(turned, 2):
        assert one.shape != other.shape or (one != other).any()
