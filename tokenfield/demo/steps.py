"""What the demonstration finds, as data and as plain numbers: nothing is drawn, printed or written here."""

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from jaxtyping import Float
from torch import Tensor

from tokenfield.data.demo_pictures import center_crop
from tokenfield.demo.fresh import Fresh
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.evaluate import Score, measure
from tokenfield.evaluation.figures import bicubic, half_size, shrunk
from tokenfield.evaluation.pca import Basis
from tokenfield.fields.field import Field
from tokenfield.fields.locality import Influence, influences, place, spread_tokens
from tokenfield.io.record import Record
from tokenfield.metrics import psnr
from tokenfield.models.base import FieldModel

Pictures = Mapping[str, Tensor]
"""Photographs (3, H, W) in [0, 1] by their names."""
Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels."""

PROTOCOL_SIZE = 256
"""Side of the centre crops on which the numbers in the README were measured."""
FACTOR, DETAIL_FACTOR = 4, 16
"""How much larger a photograph, and a detail of it, are rendered."""
TOKENS, SAMPLED = 5, 24
"""Tokens that maps are made of, and tokens whose area is measured, the former among them."""
GOVERNED_SIZE = 64
"""Pixels a side that a photograph is shrunk to before its tokens are removed."""


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


def rendered_psnr(model: FieldModel, source: Float[Tensor, "3 h w"], target: Float[Tensor, "3 k l"]) -> float:
    """PSNR (dB) of the field of one picture, rendered at the size of another."""
    return psnr(Field.of(model, source).render(*target.shape[1:])[None], target[None]).item()


@dataclass(frozen=True)
class OnCrops:
    """Means over the centre crops of `PROTOCOL_SIZE` pixels, each encoded by itself."""

    psnr: float
    """dB."""
    bytes: float
    """Of the tokens as they are."""

    @classmethod
    def of(cls, model: FieldModel, pictures: Pictures) -> "OnCrops":
        """Measure a model."""
        crops = [center_crop(picture, PROTOCOL_SIZE) for picture in pictures.values()]
        fields = [Field.of(model, crop) for crop in crops]
        pairs = ((field.render(*crop.shape[1:])[None], crop[None]) for field, crop in zip(fields, crops, strict=True))
        return cls(statistics.fmean(psnr(*pair).item() for pair in pairs),
                   statistics.fmean(field.bytes_stored for field in fields))


@dataclass(frozen=True)
class Zoom:
    """A photograph rendered larger than it is, beside what interpolation of its pixels gives."""

    name: str
    whole: Float[Tensor, "3 _h _w"]
    """`FACTOR` times the photograph, from tokens."""
    whole_bicubic: Float[Tensor, "3 _h _w"]
    """The same from pixels."""
    box: Box
    """The detail, in pixels of the photograph."""
    pixels: Float[Tensor, "3 _a _b"]
    """The detail as it is."""
    detail: Float[Tensor, "3 _k _l"]
    detail_bicubic: Float[Tensor, "3 _k _l"]
    seconds: float
    """To render the whole."""
    model: str
    """What rendered it."""
    factor: int = FACTOR
    detail_factor: int = DETAIL_FACTOR


def zoom(model: FieldModel, name: str, picture: Float[Tensor, "3 h w"], box: Box) -> Zoom:
    """Render a photograph, and a detail of it, larger."""
    height, width = (FACTOR * side for side in picture.shape[1:])
    top, left, bottom, right = box
    field = Field.of(model, picture)
    start = time.perf_counter()
    whole = field.render(height, width)
    seconds = time.perf_counter() - start
    size = DETAIL_FACTOR * (bottom - top), DETAIL_FACTOR * (right - left)
    return Zoom(name=name, whole=whole, whole_bicubic=bicubic(picture, height, width), box=box,
                pixels=picture[:, top:bottom, left:right], detail=field.crop(field.pixel_box(*box), size),
                detail_bicubic=bicubic(picture, *size, box=box), seconds=seconds, model=model.origin or model.name)


def half_size_check(model: FieldModel, pictures: Pictures) -> Record:
    """How much comes back when only half-size versions were encoded (means of 2 x 2): zoom, with the truth at hand.

    Mean PSNR (dB) over centre crops of at most `PROTOCOL_SIZE` pixels, of the field and of bicubic interpolation of the
    same half-size pixels.
    """
    tokens, pixels = [], []
    for picture in pictures.values():
        crop = center_crop(picture, PROTOCOL_SIZE)
        crop = crop[:, : crop.shape[1] // 2 * 2, : crop.shape[2] // 2 * 2]
        small = half_size(crop)
        tokens.append(rendered_psnr(model, small, crop))
        pixels.append(psnr(bicubic(small, *crop.shape[1:])[None], crop[None]).item())
    return {"psnr": statistics.fmean(tokens), "bicubic_psnr": statistics.fmean(pixels), "pictures": len(tokens)}


@dataclass(frozen=True)
class TokenRegion:
    """What several tokens govern in one photograph."""

    name: str
    photograph: Float[Tensor, "3 h w"]
    """As large as the maps; encoded was one shrunk further, so that a token's place can be seen."""
    influences: list[Influence]
    """Of the tokens shown, the same ones for every photograph of this size."""
    boxes: list[Box]
    """Where each of them lies, in pixels of the maps."""
    areas: list[float]
    """Of more tokens, the shown ones first: share of the area that holds 90 % of the influence."""
    tokens: int
    """How many there are in all."""


def governed(model: FieldModel, name: str, picture: Float[Tensor, "3 h w"]) -> TokenRegion:
    """Remove tokens one at a time; maps are rendered at three times the size that is encoded, not enlarged."""
    small = shrunk(picture, GOVERNED_SIZE)
    field, side = Field.of(model, small), small.shape[1]
    tokens = spread_tokens(field, SAMPLED)
    areas = [influence.area for influence in influences(field, tokens, side, side)]
    maps = influences(field, tokens[:TOKENS], 3 * side, 3 * side)
    boxes = []
    for token in tokens[:TOKENS]:
        top, left, bottom, right = (round((edge + 1) / 2 * 3 * side) for edge in place(field, token))
        boxes.append((top, left, bottom, right))
    photograph = bicubic(shrunk(picture, 3 * side), 3 * side, 3 * side)  # itself, unless the photograph is that small
    return TokenRegion(name, photograph, maps, boxes, areas, field.tokens[..., 0].numel())


MEANS = ("psnr", "psnr_8bit", "ssim", "pca_psnr", "values_per_pixel_value", "bytes", "encode_seconds", "decode_seconds")
"""Numbers of a `Score` that a mean is reported of."""


@dataclass
class Findings:
    """What the tour found; `None` until it got there."""

    model: Record
    gain: int = 16
    """How many times as strong the difference is shown."""
    returns: list[Return] = field(default_factory=list)
    protocol: OnCrops = OnCrops(0.0, 0.0)
    beside: dict[str, OnCrops] = field(default_factory=dict)
    zoom: Zoom | None = None
    half_size: Record = field(default_factory=dict)
    governed: list[TokenRegion] = field(default_factory=list)
    fresh: Fresh | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def area(self) -> float:
        """Mean over tokens and photographs of the share of the area that holds 90 % of a token's influence."""
        return statistics.fmean(area for one in self.governed for area in one.areas)

    @property
    def shares(self) -> float:
        """The same in units of a token's equal share of the area, which does not depend on the size of a picture."""
        return statistics.fmean(area * one.tokens for one in self.governed for area in one.areas)

    def mean(self, what: str) -> float:
        """Mean over the photographs of a number of `Score`."""
        return statistics.fmean(getattr(result.score, what) for result in self.returns)

    def median(self, what: str) -> float:
        """Median over the photographs: for seconds."""
        return float(statistics.median(getattr(result.score, what) for result in self.returns))

    def to_json(self) -> Record:
        """All numbers, once the tour has ended."""
        assert self.zoom is not None, "the tour has ended"
        zoom, fresh = self.zoom, self.fresh
        return {
            "model": self.model,
            "psnr": "per picture, float32, unclamped, unrounded, values in [0, 1]; then the mean",
            "pictures": [asdict(result.score) for result in self.returns],
            "mean": {what: round(self.mean(what), 4) for what in MEANS},
            "skimage256": asdict(self.protocol),
            "beside": {name: asdict(one) for name, one in self.beside.items()},
            "zoom": {"model": zoom.model, "picture": zoom.name, "factor": zoom.factor, "render_seconds": zoom.seconds,
                     "detail_factor": zoom.detail_factor, "detail_box": list(zoom.box)},
            "half_size": self.half_size,
            "locality": {
                "area_holding_90_percent": self.area,
                "equal_shares": self.shares,
                "pictures": [{"name": one.name, "areas": one.areas, "tokens": one.tokens, "shown": [
                    {"token": list(influence.token), "largest_difference": influence.largest, "area": influence.area}
                    for influence in one.influences]} for one in self.governed],
            },
            "training": None if fresh is None else {
                "recipe": fresh.recipe.name, "parameters": fresh.parameters, "trained_on": fresh.trained_on,
                "snapshots": [{"seconds": s.seconds, "step": s.step, "psnr": s.psnr} for s in fresh.snapshots],
                "curve": fresh.curve,
            },
            "seconds": self.seconds,
            "files": self.files,
            "machine": machine(),
            "versions": versions(),
        }
