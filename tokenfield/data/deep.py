"""Pictures of more than 8 bits per channel, for which Pillow has no mode: 16-bit colour PNG, and TIFF of every depth.

`tifffile` reads TIFFs that are neither 8-bit nor bilevel: integers and floating point, planar or interleaved, white or
black at zero, with or without alpha. 16-bit PNGs are decoded by Pillow twice, once for the upper and once for the lower
byte of every channel: its own unpackers give one byte each.
"""

import logging
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from tokenfield.data.shards import OpenFile

Deep = Float32[np.ndarray, "_h _w _n"]
"""Values in [0, 1] as stored: grey, grey and alpha, RGB, or RGB and alpha; alpha is straight."""

ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of extra samples of a TIFF that are alpha: multiplied into the colours, and not. Others are further bands."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
OTHER_MEANINGS = {3: "palette colours", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab",
                  32803: "a sensor's mosaic (camera raw)", 34892: "a sensor's linear values (camera raw)"}
"""`PhotometricInterpretation` of deep TIFFs that are refused, each for what it is."""


class Unsupported(ValueError):
    """A whole file of a kind that is not read; the message says which."""


class CodecMissing(Unsupported):
    """A compression that needs another package."""


def read_tiff(file: OpenFile, max_pixels: int) -> Deep | None:
    """The first page of a TIFF; None for one that Pillow reads as it is. Raises Unsupported, or what damage raises."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it also logs what it raises
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        count, meaning = int(page.samplesperpixel), int(page.photometric or 0)
        if 50706 in page.tags:  # DNGVersion: its first page is often a thumbnail
            raise Unsupported("is a camera raw file (DNG)")
        kind = str(page.dtype)
        if kind == "bool" or (kind == "uint8" and (count <= 2 or meaning > BLACK_IS_ZERO)):
            return None
        if page.imagewidth * page.imagelength > max_pixels:
            return None  # Pillow's header says so first
        if meaning in OTHER_MEANINGS:
            raise Unsupported(f"holds {OTHER_MEANINGS[meaning]} of {page.bitspersample} bits, which is not read; "
                              "save it as RGB")
        try:
            pixels = page.asarray()
        except ValueError as error:
            if "imagecodecs" in str(error):
                way = getattr(page.compression, "name", "a way of its own")
                raise CodecMissing(f"is compressed by {way}, which needs a package: pip install imagecodecs") from error
            raise
        if page.axes.startswith("S"):  # planar: one picture per band
            pixels = np.moveaxis(pixels, 0, -1)
        pixels = pixels.reshape(page.imagelength, page.imagewidth, count)
        values = scaled(pixels, page.bitspersample)
        if meaning == WHITE_IS_ZERO:
            values[..., 0] = 1 - values[..., 0]
        orientation = page.tags.valueof(274, 1)
        extras = tuple(int(kind) for kind in page.extrasamples)
    return upright(bands(values, meaning, extras), orientation)


def scaled(pixels: np.ndarray, bits: int) -> Deep:
    """Stored numbers as [0, 1]: integers by their largest, floating point as it is. Raises Unsupported for others."""
    if pixels.dtype.kind == "u" and bits <= 16:
        return pixels.astype(np.float32) / np.float32(2**bits - 1)
    if pixels.dtype.kind not in "fiu":
        raise Unsupported(f"holds {pixels.dtype} numbers; save it with 8 or 16 bits, or as floating point in [0, 1]")
    low, high = float(pixels.min()), float(pixels.max())
    white = 1 if pixels.dtype.kind == "f" else 65535
    if not (low >= 0 and high <= white):  # also false for NaN
        raise Unsupported(f"holds {pixels.dtype} values from {low:g} to {high:g}; read is [0, {white}], from black to "
                          "white")
    return pixels.astype(np.float32) / np.float32(white)


def bands(values: Deep, meaning: int, extras: tuple[int, ...]) -> Deep:
    """Grey or RGB, with alpha if one of the extra bands is that. Raises Unsupported for bands without a meaning."""
    count = values.shape[-1]
    colours = 3 if meaning == RGB or count - len(extras) == 3 or (meaning == BLACK_IS_ZERO and count == 3) else 1
    alpha = next((count - len(extras) + i for i, kind in enumerate(extras) if kind in (ASSOCIATED, UNASSOCIATED)), None)
    if colours == 1 and count > 2:
        raise Unsupported(f"holds {count} bands, and nothing says which are red, green and blue; save those three")
    if alpha is None or alpha < colours:
        return values[..., :colours]
    straight = values[..., :colours]
    if extras[alpha - count + len(extras)] == ASSOCIATED:
        straight = (straight / values[..., alpha, None].clip(1e-6)).clip(0, 1)
    return np.concatenate([straight, values[..., alpha, None]], -1)


LOW_BYTES = {2: "RGB;16L", 6: "RGBA;16L"}
"""Pillow's unpackers of the second byte of every 16-bit channel, by the colour type of a PNG."""


def png_colour(header: bytes) -> int | None:
    """The colour type of a 16-bit PNG in colour or with alpha, from its first 26 bytes; None of any other file."""
    deep = header[:8] == b"\x89PNG\r\n\x1a\n" and header[12:16] == b"IHDR" and header[24] == 16
    return header[25] if deep and header[25] in (2, 4, 6) else None


def read_png(image: Image.Image, again: Image.Image, colour: int) -> Deep:
    """A 16-bit PNG of a colour type, from two images that have read nothing but its header."""
    if colour == 4:  # grey and alpha: four bytes per pixel, which as RGBA are high, low, high, low
        set_unpacker(image, "RGBA")
        image.load()
        parts = np.asarray(image).astype(np.uint16)
        values = parts[..., 0::2] << 8 | parts[..., 1::2]
    else:
        set_unpacker(again, LOW_BYTES[colour])
        image.load()
        again.load()
        values = np.asarray(image).astype(np.uint16) << 8 | np.asarray(again)
    key = image.info.get("transparency")
    pixels = values.astype(np.float32) / np.float32(65535)
    if colour == 2 and isinstance(key, tuple):  # the one colour that is clear
        alpha = (values != np.array(key, np.uint16)).any(-1).astype(np.float32)
        pixels = np.concatenate([pixels, alpha[..., None]], -1)
    return upright(pixels, image.getexif().get(274, 1))


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers per pixel, by the colour type of a PNG."""


def check_rows(file: OpenFile, header: bytes, last: bool) -> None:
    """Raises ValueError for a PNG whose data, whole as they are, end before its last row, which Pillow leaves black.

    `last`: whether there is anything in the last row; if not, the data are unpacked and counted, some at a time. Not of
    interlaced ones.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[16:29])
    wanted = 0 if last or interlaced else height * (1 + (width * depth * CHANNELS.get(colour, 0) + 7) // 8)
    file.seek(8)
    unpacker, count = zlib.decompressobj(), 0
    while count < wanted and len(start := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", start)
        data = file.read(size) if kind == b"IDAT" else b""
        while data and not unpacker.eof:
            count += len(unpacker.decompress(data, 1 << 20))
            data = unpacker.unconsumed_tail
        file.seek(4 if kind == b"IDAT" else size + 4, 1)
    if count < wanted:
        raise ValueError("its last rows are missing")


def set_unpacker(image: Image.Image, unpacker: str) -> None:
    """Let Pillow read the bytes of every pixel in another way."""
    image.tile = [tile._replace(args=unpacker) for tile in image.tile]  # type: ignore[attr-defined]


TURNS = {2: (1, -1, False), 3: (-1, -1, False), 4: (-1, 1, False), 5: (1, 1, True), 6: (1, -1, True),
         7: (-1, -1, True), 8: (-1, 1, True)}
"""EXIF orientation: steps along rows and columns after rows and columns may have changed places."""


def upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Pixels (H, W, C) as they are to be seen."""
    down, right, swap = TURNS.get(orientation if isinstance(orientation, int) else 1, (1, 1, False))
    turned = pixels.swapaxes(0, 1) if swap else pixels
    return np.ascontiguousarray(turned[::down, ::right])


PLUGINS = {"HEIC": ("pillow_heif", "'tokenfield[heif]'"), "JPEG XL": ("pillow_jxl", "'tokenfield[jxl]'"),
           "camera raw": ("rawpy", "rawpy")}
"""Kinds of pictures that another package reads: its module, and what to type after `pip install`."""
ENDINGS = {"HEIC": (".heic", ".heif", ".hif"), "JPEG XL": (".jxl",),
           "camera raw": (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw")}
"""How files of these kinds end."""
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def plugin_kind(path: Path, header: bytes) -> str | None:
    """Which of `PLUGINS` reads a file, by how it begins, and for camera raw by its ending; None: none of them."""
    if header[4:8] == b"ftyp" and header[8:12] in HEIF_BRANDS and b"avif" not in header:
        return "HEIC"
    if header.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "JPEG XL"
    raw = header[8:10] == b"CR" or path.suffix.lower() in ENDINGS["camera raw"]
    return "camera raw" if raw and not header.startswith((b"\xff\xd8", b"\x89PNG")) else None
