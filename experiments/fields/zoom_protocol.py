"""Zoom: encode a reduced photograph, render it at its own size, compare with what was there; and the other way round.

Of every photograph a square of whole multiples of all magnifications is reduced by Pillow's bicubic filter, whose
support grows with the reduction (no aliasing), to 8 bits, as LIIF (Chen et al., 2021) does. The reduced picture is
encoded and rendered at the size of the square. Beside fields stand Pillow's bicubic and Lanczos interpolation of the
same pixels. For `smaller`, the square itself is encoded and rendered at a half and a quarter of its size; the truth is
the mean over whole pixels, and the interpolations stand for their own reductions.

PSNR is the papers' (float32, unclamped, all channels, no border left out); SSIM is of clamped values.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL.Image import Resampling
from torch import Tensor

from experiments.fields.superres_protocol import METHODS
from tokenfield.data import DataConfig
from tokenfield.data.demo_pictures import held_out_pictures
from tokenfield.evaluation.figures import from_pil, to_pil
from tokenfield.fields.field import Field
from tokenfield.io.record import Record
from tokenfield.metrics import psnr, ssim
from tokenfield.models.base import FieldModel

Pictures = Iterator[tuple[str, Float[Tensor, "3 _h _w"]]]
SMALLER = (2, 4)
"""How many times smaller fields are rendered than they were encoded."""
LEVELS = 1
"""Scales of a pool's test photographs that count: the full pictures alone, so that none counts twice."""


def squares(pictures: Pictures, side: int, multiple: int) -> Pictures:
    """The middle of every picture, at most `side` pixels a side and a whole multiple; smaller ones are left out."""
    for name, picture in pictures:
        height, width = (min(n, side) // multiple * multiple for n in picture.shape[1:])
        if min(height, width):
            top, left = ((n - size) // 2 for n, size in zip(picture.shape[1:], (height, width), strict=True))
            yield name, picture[:, top : top + height, left : left + width]


def sets(pool: Path | None, side: int, multiple: int) -> dict[str, Pictures]:
    """The kinds of photographs that are measured, by name: scikit-image's, and test photographs of a pool."""
    found = {"scikit-image": squares(held_out_pictures(), side, multiple)}
    if pool is not None:
        source = DataConfig(layout="folder", size=side // multiple * multiple, levels=LEVELS).open(pool, "test")
        found["pool, test split"] = source.pictures()
    return found


def reduced(picture: Float[Tensor, "3 h w"], times: int) -> Float[Tensor, "3 _k _l"]:
    """Pillow's antialiased bicubic reduction, in 8 bits."""
    height, width = (side // times for side in picture.shape[1:])
    return from_pil(to_pil(picture).resize((width, height), Resampling.BICUBIC))


@dataclass
class Method:
    """An interpolation or a model: what it gave for every photograph, in their order.

    Attributes:
        facts: which model.
        zoomed: by magnification, (PSNR, SSIM) of every photograph; 1 is the encoded picture itself.
        smaller: by reduction, PSNR of every photograph.
        stored: values per pixel value of the encoded pictures.
    """

    name: str
    facts: Record = field(default_factory=dict)
    zoomed: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    smaller: dict[int, list[float]] = field(default_factory=dict)
    stored: list[float] = field(default_factory=list)

    def psnr(self, times: int) -> float:
        """Mean over the photographs."""
        return statistics.fmean(one for one, _ in self.zoomed[times])

    def ssim(self, times: int) -> float:
        """Mean over the photographs."""
        return statistics.fmean(one for _, one in self.zoomed[times])

    def to_json(self) -> Record:
        """Means, and every photograph."""
        return {
            "name": self.name, **self.facts,
            "values_per_pixel_value": round(statistics.fmean(self.stored), 4) if self.stored else None,
            "psnr": {str(n): round(self.psnr(n), 4) for n in self.zoomed},
            "ssim": {str(n): round(self.ssim(n), 5) for n in self.zoomed},
            "smaller_psnr": {f"1/{n}": round(statistics.fmean(values), 4) for n, values in self.smaller.items()},
            "psnr_of_pictures": {str(n): [round(one, 4) for one, _ in values] for n, values in self.zoomed.items()},
        }  # fmt: skip


@dataclass
class Comparison:
    """All methods on one kind of photographs; `details` are pictures of the first ones at 4x, by name and method."""

    pictures: list[str] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)
    details: dict[str, dict[str, Tensor]] = field(default_factory=dict)


@torch.no_grad()
def compare(
    models: Mapping[str, FieldModel],
    pictures: Pictures,
    magnifications: tuple[int, ...],
    *,
    facts: Mapping[str, Record],
    shown: tuple[str, ...] = (),
    before: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Measure interpolations and models on all photographs, one at a time; details are those of `shown`."""
    result = Comparison(methods=[Method(name) for name in METHODS] + [Method(name, facts[name]) for name in models])
    for name, picture in pictures:
        before(name)
        result.pictures.append(name)
        for times in (1, *magnifications):
            small = reduced(picture, times) if times > 1 else picture
            for method in result.methods:
                rendered = render(method, models, small, *picture.shape[1:])
                score = psnr(rendered[None], picture[None]).item(), ssim(rendered[None], picture[None]).item()
                method.zoomed.setdefault(times, []).append(score)
                if times == 4 and name in shown:
                    result.details.setdefault(name, {"photograph": picture, "pixels": small})[method.name] = rendered
        for times in SMALLER:
            true = F.avg_pool2d(picture, times)
            for method in result.methods:
                rendered = render(method, models, picture, *true.shape[1:])
                method.smaller.setdefault(times, []).append(psnr(rendered[None], true[None]).item())
    return result


def render(method: Method, models: Mapping[str, FieldModel], picture: Tensor, height: int, width: int) -> Tensor:
    """A picture at another size, by a method."""
    if method.name in METHODS:
        return METHODS[method.name](picture, height, width)
    encoded = Field.of(models[method.name], picture)
    if (height, width) == tuple(picture.shape[1:]):
        method.stored.append(encoded.values_stored / picture.numel())
    return encoded.render(height, width)


def rows(result: Comparison, magnifications: tuple[int, ...]) -> list[list[str]]:
    """The table: PSNR, gain over bicubic in brackets, SSIM; then sizes below the encoded one."""
    heading = ["method", "values per pixel value", "1x"]
    heading += [f"{n}x {what}" for n in magnifications for what in ("dB", "SSIM")] + [f"1/{n}, dB" for n in SMALLER]
    table, bicubic = [heading], result.methods[0]
    for method in result.methods:
        stored = f"{statistics.fmean(method.stored):.3g}" if method.stored else "-"
        cells = [method.name, stored, f"{method.psnr(1):.2f}" if method.stored else "exact"]
        for n in magnifications:
            gain = "" if method is bicubic else f" ({method.psnr(n) - bicubic.psnr(n):+.2f})"
            cells += [f"{method.psnr(n):.2f}{gain}", f"{method.ssim(n):.4f}"]
        table.append(cells + [f"{statistics.fmean(method.smaller[n]):.2f}" for n in SMALLER])
    return table
