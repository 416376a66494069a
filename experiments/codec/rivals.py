"""Formats to compare with, as Pillow writes them: bytes on disk and the picture that comes back.

Settings were fixed beforehand, each format's own best by its documentation: optimised tables for JPEG (the Huffman
tables of the picture), the slowest method for WebP, default speed for AVIF and JPEG XL. A format whose encoder is not
installed is left out, and the table says so.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image, features
from torch import Tensor

from tokenfield.fields.coded_field import Part, unpack
from tokenfield.fields.field import Field
from tokenfield.models.base import FieldModel

QUALITIES = (5, 10, 20, 35, 50, 65, 80, 90, 95)
OWN = (4, 12, 22, 32, 42, 52, 62, 72, 84)


@dataclass(frozen=True)
class Coded:
    """One picture at one quality."""

    bytes: int
    picture: Tensor
    """(3, H, W), as 8-bit files hold it."""
    encode_seconds: float
    decode_seconds: float
    """Of processor time, all threads together."""


Codec = Callable[[Tensor, float], Coded]
"""A picture (3, H, W) in [0, 1] and a quality, 0 to 100."""


def pillow(kind: str, options: dict[str, object], picture: Tensor, quality: float) -> Coded:
    """Through Pillow, in memory."""
    image = Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
    buffer, begun = io.BytesIO(), time.process_time()
    image.save(buffer, kind, quality=int(quality), **options)
    encoded = time.process_time()
    array = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")).copy()
    decoded = time.process_time()
    back = torch.from_numpy(array).permute(2, 0, 1).float() / 255
    return Coded(buffer.tell(), back, encoded - begun, decoded - encoded)


def field(model: FieldModel, picture: Tensor, quality: float) -> Coded:
    """Through a `.field` file of a model that has tables."""
    begun = time.process_time()
    made = Field.of(model, picture)
    data = made.coded(quality)
    encoded = time.process_time()
    tokens = unpack(data, model, made.domain, Part())
    back = Field(model, tokens, made.domain).render(*picture.shape[1:]).clamp(0, 1)
    decoded = time.process_time()
    return Coded(len(data), (back * 255).round() / 255, encoded - begun, decoded - encoded)


def rivals() -> dict[str, Codec]:
    """Every format that is installed here, by its name in tables."""
    found: dict[str, Codec] = {
        "JPEG 4:2:0": partial(pillow, "JPEG", {"subsampling": 2, "optimize": True}),
        "JPEG 4:4:4": partial(pillow, "JPEG", {"subsampling": 0, "optimize": True}),
    }
    if features.check("webp"):
        found["WebP"] = partial(pillow, "WEBP", {"method": 6})
    if features.check("avif"):
        found["AVIF"] = partial(pillow, "AVIF", {})
    try:
        import pillow_jxl  # noqa: F401, registers the format
    except ImportError:
        pass
    else:
        found["JPEG XL"] = partial(pillow, "JXL", {})
    return found
