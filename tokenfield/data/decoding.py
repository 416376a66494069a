"""Picture files to arrays: every mode, orientation and kind of damage that files in the wild have.

Pillow decodes, and what it has no mode for `deep.py`; this file decides what the result means. Pixel values are taken
as stored: no colour profile is applied (as in all compared code), so a wide-gamut photograph keeps its numbers.
Pictures of 16 bits and floating point keep all their bits.
"""

import contextlib
import functools
import importlib
import stat
import threading
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tokenfield.data.deep import (
    PLUGINS,
    WHITE_IS_ZERO,
    CodecMissing,
    Deep,
    Unsupported,
    check_rows,
    plugin_kind,
    png_colour,
    read_png,
    read_tiff,
    scaled,
)
from tokenfield.data.shards import OpenFile, open_member, shard_of
from tokenfield.errors import DAMAGE, UserError, explained, printable
from tokenfield.io.atomic import shown

MAX_PIXELS = 256_000_000
"""Pixels of the largest picture that is read unless the caller says otherwise: 16000 x 16000, 3 GB as float32."""

FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "QOI")
"""Formats that are tried, by content, whatever the file is called: those with a signature at the beginning, without
which any bytes would be a picture (TGA), and without those that start other programs (EPS)."""

SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"RIFF": "WebP", b"II*\0": "TIFF",
              b"MM\0*": "TIFF", b"BM": "BMP", b"\0\0\0\x0cjP": "JPEG 2000", b"qoif": "QOI"}
"""How files begin, to tell a damaged picture from a file that never was one."""

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFFs begin, those beyond 4 GB too."""

class PictureError(UserError):
    """A file that is no usable picture: its `path`, and the `reason`, which folder commands list beside its name."""

    def __init__(self, path: object, reason: str):
        super().__init__(f"{shown(path)}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type["PictureError"], tuple[object, str]]:
        return type(self), (self.path, self.reason)  # exceptions travel between processes by their arguments


@functools.cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that the installed Pillow has a reader for."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


_header = threading.Lock()


def open_header(file: OpenFile, known: tuple[str, ...] | None) -> Image.Image:
    """`Image.open` without Pillow's own size limit, which counts for the whole process and stops at 179 megapixels.

    Only the header is read here, so other threads go without the limit for microseconds.
    """
    with _header:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=known)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_file(path: Path) -> OpenFile:
    """The file, opened, if it can hold a picture: no folder, and no pipe, which would be waited for for ever."""
    if shard_of(path):
        return member(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PictureError(path, "is a folder; give a picture file")
        if not stat.S_ISREG(status.st_mode):
            raise PictureError(path, "is no regular file; give a picture file")
        if status.st_size == 0:
            raise PictureError(path, "is empty (0 bytes)")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise PictureError(path, "no such file") from error
    except PermissionError as error:
        raise PictureError(path, "may not be read (permission denied)") from error
    except PictureError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise PictureError(path, f"cannot be opened ({_line(error)})") from error


def member(path: Path) -> BytesIO:
    """The picture that a path leads to inside a shard (`tokenfield.data.shards`)."""
    try:
        file = open_member(path)
    except KeyError as error:
        raise PictureError(path, "no such picture in this shard") from error
    except DAMAGE as error:
        raise PictureError(path, f"cannot be read from its shard ({_line(error)})") from error
    if not len(file.getbuffer()):
        raise PictureError(path, "is empty (0 bytes)")
    return file


Decoded = Image.Image | Deep
"""A picture of 8 bits or grey as Pillow has it, and any other as values in [0, 1]."""


def decode(path: Path, max_pixels: int = MAX_PIXELS) -> Decoded:
    """The first frame of a picture file, decoded completely, upright.

    Warns (`UserWarning`) where the file holds more frames or pages than the one that is read. Raises PictureError for
    no picture, a damaged or truncated one, one of a kind that is not read, or one larger than `max_pixels`.
    """
    with open_file(path) as file:
        try:
            header = file.read(32)
            file.seek(0)
            kind = plugin_kind(path, header)
            return _decode(path, file, header, max_pixels) if kind is None else _by_plugin(path, file, kind, max_pixels)
        except PictureError:
            raise
        except Unsupported as error:
            raise PictureError(path, str(error)) from error
        except UnidentifiedImageError as error:
            raise PictureError(path, _unidentified(path)) from error
        except Image.DecompressionBombError as error:
            raise PictureError(path, f"is too large ({_line(error)})") from error
        except MemoryError as error:
            raise PictureError(path, "does not fit in memory") from error
        except DAMAGE as error:
            raise PictureError(path, f"is damaged or truncated ({_line(error)})") from error


def _decode(path: Path, file: OpenFile, header: bytes, max_pixels: int) -> Decoded:
    missing = None
    if header.startswith(TIFF):
        try:
            if (deep := read_tiff(file, max_pixels)) is not None:
                return deep
        except CodecMissing as error:  # Pillow may have it
            missing = error
        except Unsupported:
            raise
        except DAMAGE:  # Pillow may forgive more
            pass
        file.seek(0)
    try:
        image = open_header(file, formats())
    except UnidentifiedImageError as error:
        raise missing or error from error
    _check_frame(path, image, max_pixels)
    if (colour := png_colour(header)) is not None:
        with open_file(path) as again:
            deep = read_png(image, open_header(again, formats()), colour)
            check_rows(again, header, bool(deep[-1].any()))
            return deep
    image.load()
    if image.format == "PNG":
        check_rows(file, header, image.crop((0, image.height - 1, *image.size)).getbbox() is not None)
    with contextlib.suppress(*DAMAGE):  # a damaged EXIF block does not cost the picture: it stays as stored
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _check_frame(path: Path, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise PictureError(path, f"is {width} x {height}, {width * height / 1e6:.0f} megapixels; at most "
                                 f"{max_pixels / 1e6:.6g} are read; if the file is honest, raise max_pixels")
    if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a JPEG with previews
        warnings.warn(f"{shown(path)} holds several frames; only the first one is read", stacklevel=2)


def _by_plugin(path: Path, file: OpenFile, kind: str, max_pixels: int) -> Decoded:
    """A picture of a kind that another package reads. Raises PictureError with what to install."""
    module, package = PLUGINS[kind]
    try:
        plugin = importlib.import_module(module)
    except ImportError as error:
        raise PictureError(path, f"is {kind}, which needs a package: pip install {package}") from error
    if kind == "camera raw":
        with plugin.imread(file) as raw:
            pixels: np.ndarray = raw.postprocess(output_bps=16)
        return scaled(pixels, 16)
    if kind == "HEIC":
        plugin.register_heif_opener()
    try:
        image = open_header(file, None)  # of any format: the plug-in's is among them now
    except UnidentifiedImageError as error:
        raise PictureError(path, f"is damaged or no {kind} file") from error
    _check_frame(path, image, max_pixels)
    if (bits := image.info.get("bit_depth", 8)) > 8 and kind == "HEIC":  # Pillow has no mode for colours of more
        file.seek(0)
        deep = np.atleast_3d(plugin.open_heif(file, convert_hdr_to_8bit=False))
        return scaled(deep >> (16 - bits), bits)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _line(error: BaseException) -> str:
    """An exception's text on one short line."""
    text = " ".join(str(error).split())
    return printable(text)[:120] or type(error).__name__


def _unidentified(path: Path) -> str:
    """Why no decoder knows the file: its header is damaged, or it is no picture."""
    with open_file(path) as file:
        beginning = file.read(12)
        if beginning.startswith(TIFF) and (reason := _unread_tiff(file)):
            return reason
    for signature, kind in SIGNATURES.items():
        if beginning.startswith(signature):
            return f"is damaged or truncated (a {kind} file without a complete header)"
    return f"is no picture of a kind that is read, such as PNG or JPEG (it begins with {beginning!r})"


def _unread_tiff(file: OpenFile) -> str:
    """What a whole TIFF is that nothing here reads; "" for a damaged one."""
    with contextlib.suppress(*DAMAGE):
        import tifffile

        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            page.tags.valueof(273)  # where its pixels are
            return f"is a TIFF of a kind that is not read ({page.samplesperpixel} x {page.bitspersample} bits)"
    return ""


def read_rgb8(path: Path, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as bytes, alpha composited on white; exact for 8-bit pictures, rounded for deeper ones.

    Raises PictureError as `decode`, and for values that have no place in [0, 1].
    """
    image = decode(path, max_pixels)
    with _conversion(path):
        if isinstance(image, np.ndarray) or _is_deep(image) or image.has_transparency_data:
            rounded: UInt8[np.ndarray, "h w 3"] = (pixels_of(image) * 255).round().byte().permute(1, 2, 0).numpy()
            return rounded
        return _eight_bit(image, "RGB")


@explained
def read_picture(path: str | Path, *, keep_alpha: bool = False, max_pixels: int = MAX_PIXELS) -> Float[Tensor, "c h w"]:
    """Reads any picture file.

    Grey, palette, CMYK and 16-bit pictures become RGB; the EXIF orientation is applied; of an animation the first frame
    is read, with a warning. Files are recognised by content, whatever they are called.

    Args:
        keep_alpha: return RGBA with straight (not premultiplied) alpha in place of compositing on white; opaque
            pictures get an alpha of one.
        max_pixels: refuse larger pictures before anything of them is decoded.
    Returns:
        Shape (3, H, W), or (4, H, W) with `keep_alpha`; float32 in [0, 1].
    Raises:
        PictureError: a `UserError` with `.path` and `.reason`: missing, empty, damaged, truncated, too large, ...
    """
    path = Path(path)
    image = decode(path, max_pixels)
    with _conversion(path):
        return pixels_of(image, keep_alpha=keep_alpha)


@contextlib.contextmanager
def _conversion(path: Path) -> Iterator[None]:
    """Names the file when its pixels cannot become RGB (wide integers, colour spaces without a conversion)."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise PictureError(path, f"cannot be converted to RGB ({_line(error)})") from error
    except (MemoryError, RuntimeError) as error:  # as NumPy and as torch say it
        raise PictureError(path, "does not fit in memory") from error


def _eight_bit(image: Image.Image, mode: str) -> UInt8[np.ndarray, "h w c"]:
    return np.array(image if image.mode == mode else image.convert(mode))


def to_tensor(picture: UInt8[np.ndarray, "h w c"]) -> Float[Tensor, "c h w"]:
    """Bytes to float32 in [0, 1], channels first."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)) / np.float32(255))


def on_white(rgba: Float[Tensor, "4 h w"]) -> Float[Tensor, "3 h w"]:
    """Straight alpha composited on white."""
    return rgba[:3] * rgba[3:] + (1 - rgba[3:])


def pixels_of(image: Decoded, *, keep_alpha: bool = False) -> Float[Tensor, "c h w"]:
    """A decoded picture as `read_picture` gives it."""
    if not isinstance(image, np.ndarray) and _is_deep(image):
        image = _deep_grey(image)
    if isinstance(image, np.ndarray):
        values = torch.from_numpy(image).permute(2, 0, 1)
        colours, alpha = (values[:-1], values[-1:]) if len(values) % 2 == 0 else (values, None)
        colours = colours.expand(3, -1, -1)
        if keep_alpha or alpha is not None:
            rgba = torch.cat([colours, torch.ones_like(colours[:1]) if alpha is None else alpha])
            return rgba if keep_alpha else on_white(rgba)
        return colours.contiguous()
    if not keep_alpha and not image.has_transparency_data:
        return to_tensor(_eight_bit(image, "RGB"))
    if image.mode == "La":
        image = image.convert("LA")  # premultiplied grey goes to RGBA only by way of straight grey
    rgba = to_tensor(_eight_bit(image, "RGBA"))
    return rgba if keep_alpha else on_white(rgba)


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _deep_grey(image: Image.Image) -> Deep:
    """Grey pictures of more than 8 bits, scaled to [0, 1]: 65535 is white, or 1.0 in floating point.

    Pillow gives 16-bit files as 32-bit integers too ("I"); wider integers have no defined white, so they are refused.
    """
    values = np.asarray(image)
    white = 1.0 if image.mode == "F" else 65535.0
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= white):  # also false for NaN
        raise ValueError(f"values run from {low:g} to {high:g}; of a {image.mode} picture [0, {white:g}] is read")
    grey = values.astype(np.float32) / np.float32(white)
    if image.format == "TIFF" and image.tag_v2.get(262) == WHITE_IS_ZERO:  # type: ignore[attr-defined]
        grey = 1 - grey
    key = image.info.get("transparency")  # of a PNG: the one grey that is clear
    return np.stack([grey, (values != key).astype(np.float32)] if isinstance(key, int) else [grey], -1)
