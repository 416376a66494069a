"""Reading: each kind of picture gives the right values, each kind of damage one line."""

import io
import os
import struct
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tokenfield.data import PictureError, read_picture
from tokenfield.errors import UserError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
GREY = RGB[:, :, 0]
ALPHA = RGB[:, :, 1].copy()
RGBA = np.dstack([RGB, ALPHA])


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand, for the kinds that Pillow reads and does not write."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chw(array: np.ndarray) -> torch.Tensor:
    """uint8 (H, W) or (H, W, C) -> float (3 or C, H, W)."""
    array = np.repeat(array[:, :, None], 3, 2) if array.ndim == 2 else array
    return torch.from_numpy(array.astype(np.float32) / 255).permute(2, 0, 1)


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> torch.Tensor:
    """What a page of white paper shows: c a + (1 - a)."""
    return chw(rgb) * chw(alpha) + (1 - chw(alpha))


def cmyk() -> tuple[bytes, torch.Tensor]:
    ink = Image.fromarray(np.dstack([255 - RGB, np.zeros_like(GREY)]), "CMYK")      # no black: RGB = 255 - CMY
    return saved(ink, "TIFF"), chw(RGB)


def palette(transparent: bool) -> tuple[bytes, torch.Tensor]:
    image = Image.fromarray(GREY // 64, "P")
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 99, 199]], np.uint8)
    image.putpalette(colours.tobytes())
    rgb, alpha = colours[GREY // 64], np.array([255, 0, 128, 255], np.uint8)[GREY // 64]
    if transparent:
        return saved(image, "PNG", transparency=bytes([255, 0, 128, 255])), on_white(rgb, alpha)
    return saved(image, "PNG"), chw(rgb)


def sixteen_bit_grey() -> tuple[bytes, torch.Tensor]:
    values = np.arange(35, dtype=np.uint16).reshape(5, 7) * 1871
    return saved(Image.fromarray(values), "PNG"), torch.from_numpy(values / 65535).float().expand(3, -1, -1)


def sixteen_bit_rgb() -> tuple[bytes, torch.Tensor]:
    values = (RGB.astype(np.uint16) * 256 + 0x55).astype(">u2")
    truth = torch.from_numpy(values.astype(np.float32) / 65535).permute(2, 0, 1)
    return png(7, 5, 16, 2, b"".join(b"\0" + row.tobytes() for row in values)), truth


def pgm16() -> tuple[bytes, torch.Tensor]:
    values = (np.arange(35).reshape(5, 7) * 1871).astype(">u2")
    return b"P5 7 5 65535\n" + values.tobytes(), torch.from_numpy(values.astype(np.float32) / 65535).expand(3, -1, -1)


def colour_key() -> tuple[bytes, torch.Tensor]:
    key = tuple(int(v) for v in RGB[2, 3])
    alpha = np.where((RGB[2, 3] == RGB).all(-1), 0, 255).astype(np.uint8)
    return saved(Image.fromarray(RGB), "PNG", transparency=key), on_white(RGB, alpha)


def unit_float() -> tuple[bytes, torch.Tensor]:
    values = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
    return saved(Image.fromarray(values), "TIFF"), torch.from_numpy(values).expand(3, -1, -1)


def one_bit() -> tuple[bytes, torch.Tensor]:
    return saved(Image.fromarray(GREY > 99), "PNG"), chw((GREY > 99).astype(np.uint8) * 255)


def jpeg_values() -> torch.Tensor:
    return chw(np.asarray(Image.open(io.BytesIO(saved(Image.fromarray(RGB), "JPEG")))))


KINDS = {
    "rgb.png": lambda: (saved(Image.fromarray(RGB), "PNG"), chw(RGB)),
    "rgb.bmp": lambda: (saved(Image.fromarray(RGB), "BMP"), chw(RGB)),
    "rgb.ppm": lambda: (saved(Image.fromarray(RGB), "PPM"), chw(RGB)),
    "lossless.webp": lambda: (saved(Image.fromarray(RGB), "WEBP", lossless=True), chw(RGB)),
    "grey.png": lambda: (saved(Image.fromarray(GREY), "PNG"), chw(GREY)),
    "grey alpha.png": lambda: (saved(Image.fromarray(np.dstack([GREY, ALPHA]), "LA"), "PNG"), on_white(GREY, ALPHA)),
    "rgba.png": lambda: (saved(Image.fromarray(RGBA), "PNG"), on_white(RGB, ALPHA)),
    "colour key.png": colour_key,
    "one bit.png": one_bit,
    "palette.png": lambda: palette(False),
    "palette with transparency.png": lambda: palette(True),
    "cmyk.tif": cmyk,
    "16-bit grey.png": sixteen_bit_grey,
    "16-bit grey.pgm": pgm16,
    "16-bit rgb.png": sixteen_bit_rgb,
    "float.tif": unit_float,
    "a jpeg called.png": lambda: (saved(Image.fromarray(RGB), "JPEG"), jpeg_values()),
    "a png without an ending": lambda: (saved(Image.fromarray(RGB), "PNG"), chw(RGB)),
    "ünï\ncode.png": lambda: (saved(Image.fromarray(RGB), "PNG"), chw(RGB)),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_its_values(name, tmp_path):
    data, expected = KINDS[name]()
    (tmp_path / name).write_bytes(data)
    picture = read_picture(tmp_path / name)
    assert picture.dtype == torch.float32 and picture.is_contiguous() and picture.shape == (3, 5, 7)
    torch.testing.assert_close(picture, expected.to(picture), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name, alpha", [("rgba.png", ALPHA), ("rgb.png", None), ("16-bit grey.png", None),
                                         ("grey alpha.png", ALPHA)])
def test_alpha_is_a_channel_on_request(name, alpha, tmp_path):
    (tmp_path / name).write_bytes(KINDS[name]()[0])
    picture = read_picture(tmp_path / name, keep_alpha=True)
    assert picture.shape == (4, 5, 7)
    expected = torch.ones(5, 7) if alpha is None else chw(alpha)[0]
    torch.testing.assert_close(picture[3], expected, atol=1e-6, rtol=0)
    if alpha is not None and name.startswith("rgba"):
        torch.testing.assert_close(picture[:3], chw(RGB), atol=1e-6, rtol=0)      # straight, not premultiplied


# Orientation -> how the upright array is stored, from the definition of EXIF tag 274: row 0 and column 0 of the file
# are the upright picture's (top, left), (top, right), (bottom, right), (bottom, left), (left, top), (right, top), ...
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[:, ::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation, kind, tmp_path):
    stored = STORED[orientation](RGB)
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    (tmp_path / "x").write_bytes(saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    torch.testing.assert_close(read_picture(tmp_path / "x"), chw(RGB))


def test_a_damaged_exif_block_costs_nothing(tmp_path):
    (tmp_path / "x.png").write_bytes(saved(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                                            # Pillow says so
        torch.testing.assert_close(read_picture(tmp_path / "x.png"), chw(RGB))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read_with_a_warning(kind, tmp_path):
    frames = [Image.fromarray(np.full((5, 7, 3), value, np.uint8)) for value in (51, 102, 153)]
    options = {"lossless": True} if kind == "WEBP" else {}
    path = tmp_path / "film"
    path.write_bytes(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    with pytest.warns(UserWarning, match="several frames; only the first"):
        picture = read_picture(path)
    torch.testing.assert_close(picture, torch.full((3, 5, 7), 0.2))


def test_a_still_picture_says_nothing(tmp_path):
    (tmp_path / "x.gif").write_bytes(saved(Image.fromarray(RGB), "GIF"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_picture(tmp_path / "x.gif")


JPEG = saved(Image.fromarray(np.tile(RGB, (9, 9, 1))), "JPEG")
PNG = saved(Image.fromarray(np.tile(RGB, (9, 9, 1))), "PNG")
WIDE = png(60_000, 60_000, 8, 2, b"")                                              # 3600 megapixels in 60 bytes

BAD = {
    "empty.png": (b"", "is empty"),
    "truncated.jpg": (JPEG[: len(JPEG) // 2], "damaged or truncated"),
    "truncated.png": (PNG[: len(PNG) // 2], "damaged or truncated"),
    "short.png": (png(7, 5, 8, 2, (b"\0" + b"\x80" * 21) * 3), "last rows are missing"),
    "short and bilevel.png": (png(9, 5, 1, 0, b"\0\xff\x80" * 4), "last rows are missing"),
    "short and deep.png": (png(7, 5, 16, 6, (b"\0" + b"\x80" * 56) * 2), "last rows are missing"),
    "header only.png": (PNG[:20], "damaged or truncated"),
    "header only.jpg": (JPEG[:4], "damaged or truncated"),
    "text.jpg": (b"not a picture at all", "no picture of a kind"),
    "page.png": (b"<!DOCTYPE html><html>", "<!DOCTYPE ht"),
    "zeros.tif": (bytes(1000), "no picture of a kind"),
    "postscript.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture of a kind"),
    "bomb.png": (WIDE, "3600 megapixels; at most 256"),
    "wide integers.tif": (saved(Image.fromarray(np.full((3, 3), 10**6, np.int32)), "TIFF"), "1e+06"),
    "negative.tif": (saved(Image.fromarray(np.full((3, 3), -1, np.int32)), "TIFF"), "from -1"),
    "nan.tif": (saved(Image.fromarray(np.full((3, 3), np.nan, np.float32)), "TIFF"), "nan"),
    "metres.tif": (saved(Image.fromarray(np.full((3, 3), 8848, np.float32)), "TIFF"), "8848"),
    "text bomb.png": (png(7, 5, 8, 2, bytes(5 * 22), (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))), "damaged"),
    "line\nbreak.png": (b"", "is empty"),
}


def one_line(error: UserError) -> str:
    text = str(error)
    assert text.isprintable(), text                    # no line break and no control character
    return text


@pytest.mark.parametrize(("depth", "colour", "row"), [(8, 2, 21), (1, 0, 1), (16, 6, 56), (8, 4, 14), (16, 0, 14)])
def test_a_picture_whose_last_row_is_black_is_whole(depth, colour, row, tmp_path):
    (tmp_path / "x.png").write_bytes(png(7, 5, depth, colour, (b"\0" + b"\xff" * row) * 4 + b"\0" * (1 + row)))
    assert read_picture(tmp_path / "x.png", keep_alpha=True)[:, -1].eq(0).any()
    for size in (1, 3):
        Image.new("P", (7, 5)).save(tmp_path / "p.png", bits=size)
        assert read_picture(tmp_path / "p.png").shape == (3, 5, 7)


@pytest.mark.parametrize("name", BAD)
def test_bad_files_give_one_line(name, tmp_path):
    data, part = BAD[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    text = one_line(caught.value)
    assert part in text and part in caught.value.reason
    assert ascii(str(path)) in text or str(path) in text
    assert caught.value.path == path


def test_what_is_no_file_gives_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = {tmp_path: "is a folder", tmp_path / "missing.png": "no such file", tmp_path / "pipe": "no regular file",
             tmp_path / "link": "no such file", tmp_path / "loop": "cannot be opened", Path("nul\0.png"): "cannot be",
             tmp_path / ("n" * 300): "cannot be opened"}
    for path, part in cases.items():
        with pytest.raises(PictureError, match=part) as caught:
            read_picture(path)
        one_line(caught.value)


def test_a_file_that_may_not_be_read_gives_one_line(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(PNG)

    def refuse(*args, **kwargs):                       # tests may run as root, whom no permission stops
        raise PermissionError(13, "Permission denied", args[0])

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PictureError, match="may not be read"):
        read_picture(tmp_path / "x.png")


def test_the_limit_on_pixels_is_an_argument(tmp_path):
    (tmp_path / "x.png").write_bytes(PNG)              # 63 x 45
    assert read_picture(tmp_path / "x.png", max_pixels=63 * 45).shape == (3, 45, 63)
    with pytest.raises(PictureError, match="is 63 x 45"):
        read_picture(tmp_path / "x.png", max_pixels=63 * 45 - 1)


def test_pillows_own_limit_does_not_stop_a_panorama(tmp_path, monkeypatch):
    """Its warning starts at 89 megapixels and its error at 179; ours is the only limit, and its is left as it was."""
    (tmp_path / "x.png").write_bytes(PNG)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    assert read_picture(tmp_path / "x.png").shape == (3, 45, 63)
    assert Image.MAX_IMAGE_PIXELS == 99


def test_the_error_survives_a_process_boundary():
    import pickle
    error = pickle.loads(pickle.dumps(PictureError(Path("a.png"), "is empty")))
    assert (str(error), error.path, error.reason) == ("a.png: is empty", Path("a.png"), "is empty")


SEEDS = [saved(Image.fromarray(RGB), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM", "JPEG2000")]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(SEEDS), st.data())
def test_any_damage_gives_a_picture_or_one_line(seed, data):
    """Bytes overwritten anywhere, the end cut off: a picture in [0, 1], or a PictureError, and nothing else."""
    damaged = bytearray(seed[: data.draw(st.integers(1, len(seed)))])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=8)):
        damaged[at] = value
    with tempfile.NamedTemporaryFile() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.write(damaged)
        file.flush()
        try:
            picture = read_picture(file.name, max_pixels=10**6)
        except PictureError as error:
            one_line(error)
        else:
            assert picture.shape[0] == 3 and picture.min() >= 0 and picture.max() <= 1
