"""Super-resolution: encode a photograph at one size, render it larger, compare with the photograph at that size.

The protocol of ANR's variational coordinates (ECCV 2024): models are trained at one size and asked in between the
positions they were trained on. Of every photograph the middle square is resized to the encoded size and, from the same
original, to every multiple of it, by the compared code's bilinear reduction (`data.transforms.center_square`); a
photograph too small for the largest multiple is left out, so nothing that is compared with was enlarged.

Beside the field stand Pillow's bicubic and Lanczos interpolation of the encoded photograph itself, and, since a model
that reconstructs poorly cannot be judged in between, the field's *own* rendering at the encoded size enlarged by
bicubic interpolation: the difference of the two is what the field knows, or makes up, between the pixels. PSNR is the
papers' (float32, unclamped); `beyond` compares the power that no picture of the encoded size could hold with the
photograph's, in dB: above 0 is aliasing, far below is blur.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log10
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image, Resampling, fromarray
from torch import Tensor

from experiments.fields.spectra import power_beyond, radial_power
from tokenfield.data.datasets import center_square, to_tensor
from tokenfield.data.decoding import read_rgb8
from tokenfield.data.pictures import PictureError, SkippedFiles
from tokenfield.errors import UserError
from tokenfield.evaluation.figures import Panel, bicubic, repeat, sheet
from tokenfield.evaluation.tables import markdown as markdown_table
from tokenfield.evaluation.tables import number
from tokenfield.fields.field import Field
from tokenfield.io.record import Record
from tokenfield.metrics import psnr
from tokenfield.models.base import FieldModel

PROTOCOL = (
    "middle square of every photograph, resized bilinearly (8 bits) to the encoded size and to its multiples; PSNR per "
    "picture, float32, unclamped, then the mean; beyond: power outside the encoded size's frequencies over the "
    "photograph's, of the pictures' sums, in dB"
)


def lanczos(picture: Float[Tensor, "c h w"], height: int, width: int) -> Float[Tensor, "c height width"]:
    """Pillow's Lanczos interpolation (a sinc over three pixels to each side), in float32."""
    channels = [fromarray(channel.numpy()).resize((width, height), Resampling.LANCZOS) for channel in picture]
    return torch.stack([torch.from_numpy(np.array(channel)) for channel in channels])


METHODS: dict[str, Callable[[Tensor, int, int], Tensor]] = {"bicubic": bicubic, "lanczos": lanczos}
"""Interpolations of the encoded photograph that every field is compared with."""
FLOOR = 1e-20
"""Power that stands for none: its logarithm is finite."""


@dataclass(frozen=True)
class Sizes:
    """One photograph at the encoded size and at its multiples.

    Attributes:
        name: which one.
        small: (C, size, size), what is encoded.
        large: by scale, (C, scale size, scale size).
    """

    name: str
    small: Float[Tensor, "c n n"]
    large: Mapping[int, Float[Tensor, "c _k _k"]]


@dataclass(frozen=True)
class Scale:
    """What one method gave for one photograph at one scale.

    Attributes:
        psnr: dB against the photograph at that size.
        interpolated: dB of the method's own picture at the encoded size, enlarged by bicubic interpolation.
        power: what lies beyond the encoded size's frequencies.
        spectrum: `radial_power` up to half a cycle per pixel of the large picture.
    """

    psnr: float
    interpolated: float
    power: float
    spectrum: Float[Tensor, " rings"]


@dataclass
class Method:
    """All that is known about a model, or an interpolation, or the photographs themselves.

    Attributes:
        name: as it is called in tables.
        facts: which model, its noise in training.
        native: dB at the encoded size, one per photograph; none for interpolations, which are exact there.
        scales: by scale, one entry per photograph.
    """

    name: str
    facts: Record = field(default_factory=dict)
    native: list[float] = field(default_factory=list)
    scales: dict[int, list[Scale]] = field(default_factory=dict)

    def mean(self, scale: int, what: str) -> float:
        """Mean over the photographs of `psnr`, `interpolated` or `power`."""
        return statistics.fmean(getattr(entry, what) for entry in self.scales[scale])

    def spectrum(self, scale: int) -> Float[Tensor, " rings"]:
        """Mean power over the photographs."""
        return torch.stack([entry.spectrum for entry in self.scales[scale]]).mean(0)


@dataclass
class Comparison:
    """Photographs, interpolations and models under one protocol.

    Attributes:
        size: encoded, in pixels.
        pictures: names.
        photograph, methods: what was measured; methods are the interpolations and then the models.
        details: the first photographs at the largest scale: by name, by method, (C, k, k).
    """

    size: int
    scales: tuple[int, ...]
    pictures: list[str] = field(default_factory=list)
    photograph: Method = field(default_factory=lambda: Method("photograph"))
    methods: list[Method] = field(default_factory=list)
    details: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def beyond(self, method: Method, scale: int) -> float:
        """Power beyond the encoded size's frequencies over the photographs', in dB."""
        power, true = (max(m.mean(scale, "power"), FLOOR) for m in (method, self.photograph))
        return 10 * log10(power / true)

    def to_json(self) -> Record:
        """Plain numbers: means first, then every picture."""
        methods = []
        for method in self.methods:
            by_scale = {
                str(scale): {
                    "psnr": round(method.mean(scale, "psnr"), 4),
                    "own_pixels_interpolated": round(method.mean(scale, "interpolated"), 4),
                    "beyond_db": round(self.beyond(method, scale), 3),
                    "psnr_of_pictures": [round(entry.psnr, 4) for entry in method.scales[scale]],
                    "spectrum": [float(f"{value:.4g}") for value in method.spectrum(scale).tolist()],
                }
                for scale in self.scales
            }
            native = round(statistics.fmean(method.native), 4) if method.native else None
            methods.append({"name": method.name, **method.facts, "psnr_at_encoded_size": native, "scales": by_scale})
        truth = {str(s): [float(f"{v:.4g}") for v in self.photograph.spectrum(s).tolist()] for s in self.scales}
        return {"protocol": PROTOCOL, "size": self.size, "scales": list(self.scales), "count": len(self.pictures),
                "pictures": self.pictures, "methods": methods, "spectrum_of_photographs": truth}


def sizes_of(
    files: Sequence[Path], size: int, scales: Sequence[int], skipped: SkippedFiles, names: Sequence[str]
) -> Iterator[Sizes]:
    """Every photograph at every size; those that are damaged or too small are noted in `skipped` and left out."""
    needed = size * max(scales)
    for path, name in zip(files, names, strict=True):
        try:
            pixels = read_rgb8(path)
        except PictureError as error:
            skipped.catch(error)
            continue
        height, width = pixels.shape[:2]
        if min(height, width) < needed:
            skipped.add(path, f"is {width} x {height}; {max(scales)} times {size} pixels need {needed} on each side")
            continue
        small, *large = (to_tensor(center_square(pixels, size * scale)) for scale in (1, *scales))
        yield Sizes(name, small, dict(zip(scales, large, strict=True)))


def compare(
    models: Mapping[str, FieldModel],
    photographs: Iterator[Sizes],
    size: int,
    scales: Sequence[int],
    *,
    facts: Mapping[str, Record] | None = None,
    details: int = 3,
    before: Callable[[int, str], None] = lambda index, name: None,
) -> Comparison:
    """Measure interpolations and models on all photographs.

    Args:
        models: by the name they go by.
        photographs: from `sizes_of`; held one at a time.
        size, scales: as there.
        facts: what to remember of each model.
        details: of how many photographs details are held.
        before: called with index and name of each photograph.
    Raises:
        UserError: no photographs.
    """
    result = Comparison(size, tuple(scales))
    result.methods = [Method(name) for name in METHODS]
    result.methods += [Method(name, dict((facts or {}).get(name, {}))) for name in models]
    for index, sizes in enumerate(photographs):
        before(index, sizes.name)
        result.pictures.append(sizes.name)
        parts = result.details.setdefault(sizes.name, {}) if index < details else {}
        largest = max(scales)
        parts["photograph"] = sizes.large[largest]
        parts["encoded"] = sizes.small
        for scale in scales:
            _note(result.photograph, sizes, scale, sizes.large[scale], sizes.small)
        for method in result.methods:
            enlarge = _renderer(METHODS, models, method.name, sizes.small)
            own = sizes.small if method.name in METHODS else enlarge(size, size)
            if method.name not in METHODS:
                method.native.append(psnr(own[None], sizes.small[None]).item())
            for scale in scales:
                rendered = enlarge(scale * size, scale * size)
                _note(method, sizes, scale, rendered, own)
                if scale == largest:
                    parts[method.name] = rendered
    if not result.pictures:
        raise UserError(f"no photograph is large enough for {max(scales)} times {size} pixels; give larger ones, or "
                        "smaller --scales or --size")
    return result


def _renderer(
    interpolations: Mapping[str, Callable[..., Tensor]], models: Mapping[str, FieldModel], name: str, small: Tensor
) -> Callable[[int, int], Tensor]:
    """(height, width) -> picture of that size, from the small one."""
    if name in interpolations:
        return lambda height, width: interpolations[name](small, height, width)
    field = Field.of(models[name], small)
    return lambda height, width: field.render(height, width).float().cpu()


def _note(method: Method, sizes: Sizes, scale: int, rendered: Tensor, own: Tensor) -> None:
    """Score one picture at one scale."""
    true = sizes.large[scale]
    side = true.shape[1]
    entry = Scale(
        psnr=psnr(rendered[None], true[None]).item(),
        interpolated=psnr(bicubic(own, side, side)[None], true[None]).item(),
        power=power_beyond(rendered, scale),
        spectrum=radial_power(rendered, rings=side // 4),
    )
    method.scales.setdefault(scale, []).append(entry)


def rows(result: Comparison) -> list[list[str]]:
    """The table of a comparison: a row per method, under a heading."""
    table = [["method", "noise", "1x", *(f"{s}x{what}" for s in result.scales for what in ("", " own", " beyond"))]]
    for method in result.methods:
        cells = [method.name, str(method.facts.get("noise") or "-")]
        cells.append(number(statistics.fmean(method.native)) if method.native else "exact")
        for scale in result.scales:
            own = method.mean(scale, "interpolated") if method.native else None
            cells += [number(method.mean(scale, "psnr")), number(own), f"{result.beyond(method, scale):+.1f}"]
        table.append(cells)
    return table


def explanation(result: Comparison) -> str:
    """What the columns of `rows` are."""
    return (
        f"PSNR in dB, means of {len(result.pictures)} photographs encoded at {result.size} pixels. own: the method's "
        "rendering at the encoded size, enlarged by bicubic interpolation. beyond: power at frequencies that the "
        "encoded size cannot hold, over the photographs', in dB (above 0: aliasing; far below: blur)."
    )


def markdown(result: Comparison, command: str) -> str:
    """The table of a comparison, and what was done."""
    return f"`{command}`\n\n{markdown_table(rows(result))}\n\n{explanation(result)}\n"


def detail_sheet(result: Comparison, part: float = 0.35) -> Image:
    """The middle of some photographs at the largest scale, by every method."""
    rows, scale = [], max(result.scales)
    for pictures in result.details.values():
        side = pictures["photograph"].shape[1]
        window = round(part * side) // scale * scale
        top = (side - window) // 2 // scale * scale

        def cut(image: Tensor, top: int = top, window: int = window) -> Tensor:
            return repeat(image[:, top : top + window, top : top + window], max(1, 192 // window))

        true = pictures["photograph"]
        panels = [Panel(cut(true), "photograph"), Panel(cut(repeat(pictures["encoded"], scale)), "encoded pixels")]
        for method in result.methods:
            image = pictures[method.name]
            panels.append(Panel(cut(image), method.name, f"{psnr(image[None], true[None]).item():.2f} dB"))
        rows.append(panels)
    return sheet(rows)


def noise_of(folder: Path) -> str | None:
    """The coordinate noise that a run was trained with, from the recipe in its folder; None where there is none."""
    if not (folder / "recipe.json").is_file():
        return None
    objective = json.loads((folder / "recipe.json").read_text()).get("objective", {})
    kind, noise = objective.get("jitter"), objective.get("noise", "batch")
    return kind if kind in (None, "none") or noise == "batch" else f"{kind}, each picture's own"
