"""`explained.html`: click a pixel and see which tokens it looks at; point at a token and see what it governs.

One file without network or other files. What the page needs is precomputed and lies in it as pictures without loss:

- the photograph;
- an atlas of removal maps, one per token, 8 bits for [0, 1];
- a table of attention weights: one row per pixel of a coarse lattice, one column per head and token and one for what
  falls on tokens that are not on the page, the square root of a weight in 8 bits, so that a weight of 1 / 256 still has
  16 of 255 steps;
- how many tokens hold 90 % of a pixel's attention, counted among all of them: a picture of many tokens shows some, and
  what is said of a pixel has to be true all the same.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tokenfield.demo.page import cells, escape
from tokenfield.demo.template import STYLE as HOUSE_STYLE
from tokenfield.evaluation.attention_maps import Attention
from tokenfield.evaluation.explain import NO_ATTENTION, Explained, label, locality
from tokenfield.evaluation.explain_template import SCRIPT, STYLE
from tokenfield.evaluation.figures import to_pil
from tokenfield.io.atomic import written_aside

DIGITS = 4
"""Significant digits of numbers in the page."""


def write_page(
    path: Path, models: Mapping[str, Sequence[Explained]], systems: Mapping[str, str], command: str
) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: of the HTML file.
        models: by name, the same pictures through each, in the same order.
        systems: name of each model's system, as in its configuration.
        command: what made it, for the foot of the page.
    """
    with written_aside(path) as file:
        file.write(page(models, systems, command).encode())


def page(models: Mapping[str, Sequence[Explained]], systems: Mapping[str, str], command: str) -> str:
    """The page as text."""
    data = [model_data(name, systems[name], explained) for name, explained in models.items()]
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>tokenfield: what tokens are for</title>\n<style>{HOUSE_STYLE}{STYLE}</style>\n</head>\n"
        "<body>\n<main>\n"
        + opening()
        + stage()
        + numbers(models, systems)
        + f'<div class="about"><dl><dt>made by</dt><dd><code>{escape(command)}</code></dd></dl></div>\n</main>\n'
        + f'<script type="application/json" id="data">{text}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n'
    )


def opening() -> str:
    """What can be done here."""
    return (
        "<h1>What tokens are for</h1>\n"
        '<p class="lead">A picture became tokens; tokens and a decoder give it back. Click the photograph: the '
        "tokens that the decoder looks at for that pixel light up. Point at a token: what changes in the picture "
        "without it lights up.</p>\n"
        '<noscript><p class="hint">This page needs scripts; some of the maps are in tokens.png beside it.</p>'
        "</noscript>\n"
    )


def stage() -> str:
    """The photograph and its tokens, with what the script fills in."""
    return (
        '<div class="explain"><div class="controls"><span class="set models"></span>'
        '<span class="set heads"></span></div>'
        '<div class="two"><figure><div class="photo" tabindex="0" role="application" '
        'aria-label="photograph; click, or use the arrow keys, to choose a pixel"><img alt="photograph">'
        '<canvas></canvas></div><figcaption class="of-photo"></figcaption></figure>'
        '<figure><div class="tokens"><canvas></canvas></div><figcaption class="of-tokens"></figcaption></figure></div>'
        '<p class="says" aria-live="polite"></p><div class="best"></div><div class="strip"></div></div>\n'
    )


def numbers(models: Mapping[str, Sequence[Explained]], systems: Mapping[str, str]) -> str:
    """The locality number of every model."""
    heads = ["model", "system", "tokens", "area of a token", "median", "x equal share", "without effect", "PSNR dB"]
    rows = []
    for name, explained in models.items():
        number = locality(explained)
        rows.append([name, systems[name], f"{number['tokens']:,}", f"{100 * number['area_mean']:.2f} %",
                     f"{100 * number['area_median']:.2f} %", f"{number['shares']:.2f}",
                     f"{number['without_effect']} of {number['removed']}", f"{number['psnr']:.2f}"])
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(f"<tr>{cells(row)}</tr>" for row in rows)
    return (
        "<h2>How local</h2>\n<p>A token is replaced by zero; the number is the share of the picture that the "
        "smallest set of pixels holding 90 % of the change takes, averaged over tokens and pictures. Small is local; "
        "90 % is a token that changes all pixels alike; 1 x equal share is what each token would have if they divided "
        "the picture between them.</p>\n"
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'
    )


def model_data(name: str, system: str, explained: Sequence[Explained]) -> dict[str, Any]:
    """What the script needs of one model."""
    first = explained[0]
    return {
        "name": name,
        "system": system,
        "tokens": first.tokens,
        "labels": [label(first, k) for k in range(len(first.influences))],
        "grid": first.grid,
        "places": [list(i.token[-2:]) for i in first.influences] if first.grid else None,
        "heads": 0 if first.attention is None else len(first.attention.weights),
        "queries": first.queries,
        "without": NO_ATTENTION if first.attention is None else "",
        "pictures": [picture_data(one) for one in explained],
    }


def picture_data(one: Explained) -> dict[str, Any]:
    """What the script needs of one picture."""
    side = one.influences[0].map.shape[0]
    return {
        "name": one.name,
        "psnr": round(one.psnr, 2),
        "photo": webp(to_pil(one.image)),
        "side": side,
        "maps": webp(atlas(one)),
        "areas": [rounded(influence.area) for influence in one.influences],
        "largest": [rounded(influence.largest) for influence in one.influences],
        "attention": None if one.attention is None else webp(attention_table(one.attention)),
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


def webp(image: Image.Image) -> str:
    """A picture without loss as a data address."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", lossless=True, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def rounded(value: float) -> float:
    """A number with few digits: they are read by people."""
    return float(f"{value:.{DIGITS}g}")
