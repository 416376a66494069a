"""`explained.html`: click a pixel and see which tokens it looks at; point at a token and see what it governs.

One file without network or other files (`tokenfield.evaluation.pages`). What its script needs is precomputed and lies
in it as pictures without loss:

- the photograph;
- an atlas of removal maps, one per token, 8 bits for [0, 1];
- a table of attention weights: one row per pixel of a coarse lattice, one column per head and token and one for what
  falls on tokens that are not on the page, the square root of a weight in 8 bits, so that a weight of 1 / 256 still has
  16 of 255 steps;
- how many tokens hold 90 % of a pixel's attention, counted among all of them: a picture of many tokens shows some, and
  what the page says of a pixel has to be true all the same.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tokenfield.evaluation import pages
from tokenfield.evaluation.explain import Attention, Explained, label, locality
from tokenfield.evaluation.figures import to_pil
from tokenfield.io.record import Record

TEMPLATE = pages.ASSETS / "explain.html"

address = partial(pages.data_address, quality=80, method=4)
"""Pictures of the page, most of them maps: a slower search pays."""


def write_page(path: Path, models: Mapping[str, Sequence[Explained]], command: str) -> None:
    """Writes the page, whole or not at all; `models` by name, the same pictures through each, in the same order."""
    pages.write_page(path, TEMPLATE, **values(models, command))


def values(models: Mapping[str, Sequence[Explained]], command: str) -> Record:
    """What the template needs; `command` made the page and stands at its foot."""
    data = [model_data(name, explained) for name, explained in models.items()]
    rows = [{"row": row(name, explained)} for name, explained in models.items()]
    return {"models": rows, "data": pages.script_data(data), "command": command}


def row(name: str, explained: Sequence[Explained]) -> list[str]:
    """How local a model's tokens are: cells of the table."""
    number = locality(explained)
    areas = (f"{100 * number[key]:.2f} %" for key in ("area_mean", "area_median"))
    return [name, explained[0].system, explained[0].token, f"{number['tokens']:,}", *areas, f"{number['shares']:.2f}",
            f"{number['without_effect']} of {number['removed']}", f"{number['psnr']:.2f}",
            f"{number['values_stored']:,}", f"{number['bytes']:,}"]


def model_data(name: str, explained: Sequence[Explained]) -> Record:
    """What the script needs of one model."""
    first = explained[0]
    return {
        "name": name,
        "system": first.system,
        "tokens": first.tokens,
        "labels": [label(first, k) for k in range(len(first.influences))],
        "grid": first.grid,
        "places": [list(i.token[-2:]) for i in first.influences] if first.grid else None,
        "heads": 0 if first.attention is None else len(first.attention.weights),
        "queries": first.queries,
        "without": first.without_attention if first.attention is None else "",
        "pictures": [picture_data(one) for one in explained],
    }


def picture_data(one: Explained) -> Record:
    """What the script needs of one picture."""
    return {
        "name": one.name,
        "psnr": round(one.psnr, 2),
        "photo": address(to_pil(one.image)),
        "side": one.influences[0].map.shape[0],
        "maps": address(atlas(one)),
        "areas": [rounded(influence.area) for influence in one.influences],
        "largest": [rounded(influence.largest) for influence in one.influences],
        "attention": None if one.attention is None else address(attention_table(one.attention)),
        "enough": None if one.attention is None else one.attention.enough.tolist(),
    }


def atlas(one: Explained) -> Image.Image:
    """All removal maps in rows of ceil(sqrt(n)), in the tokens' order."""
    maps = [influence.map for influence in one.influences]
    side, columns = maps[0].shape[0], ceil(sqrt(len(maps)))
    sheet = np.zeros((ceil(len(maps) / columns) * side, columns * side), np.uint8)
    for k, values in enumerate(maps):
        top, left = k // columns * side, k % columns * side
        sheet[top : top + side, left : left + side] = (values * 255).round().byte().numpy()
    return Image.fromarray(sheet)


def attention_table(attention: Attention) -> Image.Image:
    """One row per pixel, H x (R + 1) columns, a head's last one for all other tokens: sqrt(weight) in 8 bits."""
    whole = torch.cat([attention.weights, attention.elsewhere[..., None]], -1)
    table = (whole.clamp(0, 1).sqrt() * 255).round().byte()
    return Image.fromarray(table.transpose(0, 1).flatten(1).contiguous().numpy())


def rounded(value: float) -> float:
    """A number with four digits: people read it."""
    return float(f"{value:.4g}")
