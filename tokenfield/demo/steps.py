"""What the demonstration shows of a trained model, as data: nothing is drawn, printed or written here."""

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from tokenfield.data.demo_pictures import center_crop
from tokenfield.evaluation.evaluate import Score, measure
from tokenfield.evaluation.figures import bicubic, half_size, shrunk
from tokenfield.evaluation.locality import Influence, influences, place, spread_tokens
from tokenfield.evaluation.pca import Basis
from tokenfield.fields.field import Field
from tokenfield.metrics import psnr
from tokenfield.models.base import FieldModel

Pictures = Mapping[str, Tensor]
"""Photographs (3, H, W) in [0, 1] by their names."""

PROTOCOL_SIZE = 256
"""Side of the centre crops on which the numbers in the README were measured."""


@dataclass(frozen=True)
class Return:
    """A photograph and what came back from its tokens."""

    score: Score
    photograph: Float[Tensor, "3 h w"]
    reconstruction: Float[Tensor, "3 h w"]


def reconstruct_all(model: FieldModel, pictures: Pictures, basis: Basis | None) -> Iterator[Return]:
    """Encode and decode every picture, and measure.

    A small piece is encoded and decoded first, unmeasured: what a process does once is in no picture's seconds.
    """
    measure(model, "warm-up", center_crop(next(iter(pictures.values())), 64))
    for name, picture in pictures.items():
        score, reconstruction = measure(model, name, picture, basis=basis)
        yield Return(score, picture, reconstruction)


def protocol_psnr(model: FieldModel, pictures: Pictures) -> float:
    """Mean PSNR (dB) on the centre crops of `PROTOCOL_SIZE` pixels, each encoded by itself."""
    values = []
    for picture in pictures.values():
        crop = center_crop(picture, PROTOCOL_SIZE)
        values.append(psnr(Field.of(model, crop).render(*crop.shape[1:])[None], crop[None]).item())
    return statistics.fmean(values)


@dataclass(frozen=True)
class Zoom:
    """A photograph rendered larger than it is, beside what interpolation of its pixels gives.

    Attributes:
        name: of the photograph.
        whole, whole_bicubic: (3, factor H, factor W), from tokens and from pixels.
        factor: how much larger.
        box: (top, left, bottom, right) of a detail, in pixels of the photograph.
        pixels: (3, h, w) of the detail as they are.
        detail, detail_bicubic: (3, detail_factor h, detail_factor w).
        detail_factor: how much larger.
        seconds: to render the whole.
    """

    name: str
    whole: Float[Tensor, "3 _h _w"]
    whole_bicubic: Float[Tensor, "3 _h _w"]
    factor: int
    box: tuple[int, int, int, int]
    pixels: Float[Tensor, "3 _a _b"]
    detail: Float[Tensor, "3 _k _l"]
    detail_bicubic: Float[Tensor, "3 _k _l"]
    detail_factor: int
    seconds: float


def zoom(
    model: FieldModel,
    name: str,
    picture: Float[Tensor, "3 h w"],
    box: tuple[int, int, int, int],
    *,
    factor: int = 4,
    detail_factor: int = 16,
) -> Zoom:
    """Render a photograph `factor` times as large, and a detail of it `detail_factor` times."""
    height, width = picture.shape[1:]
    top, left, bottom, right = box
    field = Field.of(model, picture)
    begun = time.perf_counter()
    whole = field.render(factor * height, factor * width)
    seconds = time.perf_counter() - begun
    size = detail_factor * (bottom - top), detail_factor * (right - left)
    return Zoom(
        name=name,
        whole=whole,
        whole_bicubic=bicubic(picture, factor * height, factor * width),
        factor=factor,
        box=box,
        pixels=picture[:, top:bottom, left:right],
        detail=field.crop(field.pixel_box(*box), size),
        detail_bicubic=bicubic(picture, *size, box=box),
        detail_factor=detail_factor,
        seconds=seconds,
    )


@dataclass(frozen=True)
class HalfSize:
    """How much of a photograph comes back when only its half-size version was encoded: zoom, with the truth at hand.

    Attributes:
        psnr: mean over the pictures (dB) of the field rendered at twice the size that was encoded.
        bicubic_psnr: of bicubic interpolation of the same half-size pixels.
        pictures: how many.
    """

    psnr: float
    bicubic_psnr: float
    pictures: int


def half_size_check(model: FieldModel, pictures: Pictures, size: int = PROTOCOL_SIZE) -> HalfSize:
    """Encode centre crops of at most `size` pixels at half their size (means of 2 x 2), render them at their own."""
    tokens, pixels = [], []
    for picture in pictures.values():
        crop = center_crop(picture, size)
        crop = crop[:, : crop.shape[1] // 2 * 2, : crop.shape[2] // 2 * 2]
        small, shape = half_size(crop), crop.shape[1:]
        tokens.append(psnr(Field.of(model, small).render(*shape)[None], crop[None]).item())
        pixels.append(psnr(bicubic(small, *shape)[None], crop[None]).item())
    return HalfSize(statistics.fmean(tokens), statistics.fmean(pixels), len(tokens))


@dataclass(frozen=True)
class Governed:
    """What several tokens govern in one photograph.

    Attributes:
        name: of the photograph.
        photograph: as large as the maps; encoded was one shrunk further, so that a token's place can be seen.
        influences: of the tokens shown, the same ones for every photograph of this size.
        boxes: where each of them lies, (top, left, bottom, right) in pixels of the maps.
        areas: of more tokens, the shown ones first: share of the area that holds 90 % of the influence.
        tokens: how many there are in all.
    """

    name: str
    photograph: Float[Tensor, "3 h w"]
    influences: list[Influence]
    boxes: list[tuple[int, int, int, int]]
    areas: list[float]
    tokens: int


def governed(
    model: FieldModel, name: str, picture: Float[Tensor, "3 h w"], *, shown: int = 5, sampled: int = 24, size: int = 64
) -> Governed:
    """Take tokens away one at a time.

    Args:
        shown: tokens to make maps of, at three times the size that is encoded: the field is asked, not enlarged.
        sampled: tokens to measure, the shown ones among them.
        size: pixels a side that the photograph's middle square is shrunk to.
    """
    small = shrunk(picture, size)
    field, side = Field.of(model, small), small.shape[1]
    chosen = spread_tokens(field, max(shown, sampled))
    areas = [influence.area for influence in influences(field, chosen, side, side)]
    maps = influences(field, chosen[:shown], 3 * side, 3 * side)
    boxes = []
    for token in chosen[:shown]:
        top, left, bottom, right = (round((edge + 1) / 2 * 3 * side) for edge in place(field, token))
        boxes.append((top, left, bottom, right))
    photograph = bicubic(shrunk(picture, 3 * side), 3 * side, 3 * side)  # itself, unless the photograph is that small
    return Governed(name, photograph, maps, boxes, areas, field.tokens[..., 0].numel())
