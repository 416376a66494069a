"""Figures of pictures: panels with labels, enlargements, differences, maps, learning curves.

Colours and sizes stand here once, so that all figures look alike: white paper, dark grey text of one sans-serif face
(it comes with Pillow: no font has to be installed), equal gaps. Pictures are never resampled without the label saying
so, and enlargements without interpolation are whole-number repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

from tokenfield.data.pictures import to_pil as to_pil
from tokenfield.io.atomic import written_aside
from tokenfield.io.charts import AXIS, COLOURS, FAINT, INK, PAPER, plot

MARGIN, GAP = 28, 18
"""Pixels around a sheet and between its panels."""


@dataclass(frozen=True)
class Panel:
    """A picture in a sheet, RGB or grey, clamped to [0, 1]; what it is, and numbers about it in a fainter colour."""

    image: Float[Tensor, "c h w"]
    label: str = ""
    note: str = ""


def sheet(rows: Sequence[Sequence[Panel]]) -> Image.Image:
    """Panels in rows and columns on white paper, a line of text below each.

    A column is as wide as its widest panel and as labels that others stand beside, a row as high as its highest panel;
    panels lie at the top left of their place.
    Letters are 18 pixels high, so that they can be read at half the size, or more on a sheet so wide that it will be
    looked at from further away. Notes that have no room beside their labels stand below them.
    """
    columns = max(len(row) for row in rows)
    widths = [max([row[k].image.shape[2] for row in rows if k < len(row)]) for k in range(columns)]
    letters = max(18, (2 * MARGIN + sum(widths) + GAP * (columns - 1)) // 90)
    font = ImageFont.load_default(letters)
    below = any(font.getlength(f"{panel.label}  {panel.note}") > column + GAP / 2
                for row in rows for panel, column in zip(row, widths, strict=False) if panel.label and panel.note)
    for row in rows:
        for k, (panel, beside) in enumerate(pairwise(row)):
            if beside.label or beside.note:
                widths[k] = max(widths[k], round(max(map(font.getlength, (panel.label, panel.note))) - GAP / 2))
    width = 2 * MARGIN + sum(widths) + GAP * (columns - 1)
    line = round(1.35 * letters)
    text = line // 4 + line * (1 + below)
    heights = [max(panel.image.shape[1] for panel in row) + text for row in rows]
    paper = Image.new("RGB", (width, 2 * MARGIN + sum(heights) + GAP * (len(rows) - 1)), PAPER)
    draw = ImageDraw.Draw(paper)
    top = MARGIN
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for panel, column in zip(row, widths, strict=False):
            paper.paste(to_pil(panel.image), (left, top))
            at = top + panel.image.shape[1] + line // 4
            draw.text((left, at), panel.label, INK, font)
            indent = font.getlength(f"{panel.label}  ") if panel.label and not below else 0
            draw.text((left + indent, at + (line if below and panel.label else 0)), panel.note, FAINT, font)
            left += column + GAP
        top += height + GAP
    return paper


def save_png(path: Path, image: Image.Image) -> Path:
    """Writes a PNG file, whole or not at all, and returns its path."""
    with written_aside(path) as file:
        image.save(file, "PNG", compress_level=4)  # photographs hardly shrink further, and 9 takes five times as long
    return path


def from_pil(image: Image.Image) -> Float[Tensor, "3 _h _w"]:
    """The reverse of `to_pil`."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255


def difference(photograph: Float[Tensor, "c h w"], reconstruction: Float[Tensor, "c h w"],
               gain: float | int) -> Float[Tensor, "c h w"]:
    """`gain` times the difference around mid-grey: grey is right, brighter is too bright."""
    return (0.5 + gain * (reconstruction - photograph)).clamp(0, 1)


def repeat(image: Float[Tensor, "c h w"], times: int) -> Float[Tensor, "c _h _w"]:
    """Every pixel as a square of so many: shows the pixels themselves."""
    return image.repeat_interleave(times, 1).repeat_interleave(times, 2)


def bicubic(picture: Float[Tensor, "c h w"], height: int, width: int,
            box: tuple[int, int, int, int] | None = None) -> Float[Tensor, "c height width"]:
    """Pillow's bicubic interpolation, in float32.

    `box` is (top, left, bottom, right) in pixels of the source, None for all of it. The pixels around a box count too.
    """
    top, left, bottom, right = box or (0, 0, *picture.shape[1:])
    method, edges = Image.Resampling.BICUBIC, (left, top, right, bottom)
    channels = [Image.fromarray(channel.contiguous().numpy()).resize((width, height), method, box=edges)
                for channel in picture.float().cpu()]
    return torch.stack([torch.from_numpy(np.array(channel)) for channel in channels])


def shrunk(picture: Float[Tensor, "3 h w"], size: int) -> Float[Tensor, "3 k k"]:
    """The middle square of a photograph at `size` x `size` pixels, antialiased; never enlarged."""
    side = min(picture.shape[1:])
    top, left = (picture.shape[1] - side) // 2, (picture.shape[2] - side) // 2
    square = to_pil(picture[:, top : top + side, left : left + side])
    return from_pil(square.resize((min(side, size),) * 2, Image.Resampling.LANCZOS))


def half_size(picture: Float[Tensor, "c h w"]) -> Float[Tensor, "c _h _w"]:
    """Means of 2 x 2 pixels; an odd last row or column is left out."""
    return torch.nn.functional.avg_pool2d(picture[None], 2)[0]


def heat(values: Float[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """A map in [0, 1] from black over violet and orange to pale yellow (matplotlib's magma)."""
    from matplotlib import colormaps

    return torch.from_numpy(colormaps["magma"](values.numpy())[..., :3]).float().permute(2, 0, 1)


def tinted(photograph: Float[Tensor, "3 h w"], maps: Sequence[Float[Tensor, "h w"]]) -> Float[Tensor, "3 h w"]:
    """The photograph in dim grey, lit in one of `COLOURS` per map where that map is large."""
    image = 0.12 + 0.5 * photograph.mean(0, keepdim=True).expand(3, -1, -1)
    for number, values in enumerate(maps):
        colour = torch.tensor(ImageColor.getrgb(COLOURS[number % len(COLOURS)]))[:, None, None] / 255
        image = image + 0.9 * values.sqrt() * (colour - image)  # the root: half as much is still well visible
    return image


def framed(image: Float[Tensor, "3 h w"], box: tuple[int, int, int, int], colour: str,
           thickness: int = 2) -> Float[Tensor, "3 h w"]:
    """A copy with a rectangle just outside (top, left, bottom, right), in pixels."""
    top, left, bottom, right = box
    canvas = to_pil(image)
    edge = (left - thickness, top - thickness, right + thickness - 1, bottom + thickness - 1)
    ImageDraw.Draw(canvas).rectangle(edge, outline=colour, width=thickness)
    return from_pil(canvas)


def learning_curve(path: Path, training: Sequence[tuple[float, float]], held_out: Sequence[tuple[float, float]], *,
                   title: str) -> Path:
    """PSNR over seconds of training, of the batches and of a held-out picture, as a PNG file."""
    with plot(path, title=title, xlabel="seconds of training", ylabel="PSNR / dB") as axes:
        if training:
            axes.plot(*zip(*training, strict=True), color=AXIS, linewidth=1, label="training batches")
        if held_out:
            axes.plot(*zip(*held_out, strict=True), "o-", color=COLOURS[0], markersize=5, label="held-out picture")
    return path
