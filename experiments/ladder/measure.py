"""The ladder: what a nested model gives at each of its rates, beside principal components that store as many values.

PSNR per picture (float32, unclamped, unrounded), then mean and deviation over the pictures, as in every protocol of
`tokenfield.evaluation.evaluate`.
"""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenfield.evaluation import tables
from tokenfield.evaluation.pca import Basis, floor_of
from tokenfield.fields.field import Field
from tokenfield.io.charts import COLOURS, RULE, charts
from tokenfield.metrics import psnr


@torch.no_grad()
def score_rates(model: Any, pictures: Iterable[tuple[str, Tensor]], basis: Basis) -> list[dict[str, Any]]:
    """One row per rate: PSNR of every picture encoded for that rate, as a prefix of one encoding, and of the floor."""
    encodings = [(name, picture, Field.of(model, picture)) for name, picture in pictures]
    rows = []
    for width in model.prefixes:
        rate, scores = width / (model.channels * model.cell**2), {}
        for name, picture, whole in encodings:
            own, prefix = Field.of(model, picture, rate=rate), whole.prefix(width)
            ours, nested = (psnr(f.render(*picture.shape[1:])[None], picture[None]).item() for f in (own, prefix))
            floor = floor_of(basis, picture, own.values_stored)
            scores[name] = {"psnr": ours, "prefix_psnr": nested, "pca_psnr": floor}
        gains = [score["psnr"] - score["pca_psnr"] for score in scores.values()]
        means = {key: statistics.fmean(score[key] for score in scores.values()) for key in next(iter(scores.values()))}
        rows.append({
            "prefix": width,
            "values_per_pixel_value": rate,
            **means,
            "gain": statistics.fmean(gains),
            "gain_deviation": statistics.stdev(gains),
            "pictures": scores,
        })
    return rows


def beside(rows: list[dict[str, Any]], seeds: list[list[dict]], specialised: list[list[dict]]) -> None:
    """Put what other models gave on the same pictures beside each row, in place.

    Args:
        rows: of the model.
        seeds: rows of models by the same recipe with other seeds; the gain's mean and deviation count the model itself.
        specialised: rows of models for one rate each, which have no others to serve.
    """
    for i, row in enumerate(rows):
        gains = [row["gain"], *(other[i]["gain"] for other in seeds)]
        if seeds:
            spread = {"seeds_gain": statistics.fmean(gains), "seeds_deviation": statistics.stdev(gains)}
            row |= {"seeds": len(gains), **spread}
        own = [other[-1] for other in specialised if other[-1]["prefix"] == row["prefix"]]
        if own:
            row["specialised_psnr"] = own[0]["psnr"]


def rate_table(title: str, rows: list[dict[str, Any]]) -> str:
    """Markdown. Columns for other seeds and for specialised models where `beside` has put them."""
    heading = ["stored per pixel value", "PCA of 8 x 8 cells, dB", "model, dB", "gain, dB", "deviation"]
    heading.append("as a prefix, dB")
    more = {
        "seeds_gain": lambda row: f"{row['seeds_gain']:+.2f} ± {row['seeds_deviation']:.2f}",
        "specialised_psnr": lambda row: f"{row['specialised_psnr']:.2f}",
    }
    titles = {"seeds_gain": f"gain, {rows[0].get('seeds')} seeds", "specialised_psnr": "a model of this rate alone, dB"}
    there = [key for key in more if any(key in row for row in rows)]
    heading += [titles[key] for key in there]
    body = [heading]
    for row in rows:
        cells = [
            f"1/{round(1 / row['values_per_pixel_value'])}",
            f"{row['pca_psnr']:.2f}",
            f"**{row['psnr']:.2f}**",
            f"{row['gain']:+.2f}",
            f"{row['gain_deviation']:.2f}",
            f"{row['prefix_psnr']:.2f}",
            *(more[key](row) if key in row else "-" for key in there),
        ]
        body.append(cells)
    return f"**{title}** ({len(rows[0]['pictures'])} pictures)\n\n{tables.markdown(body)}\n"


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """PSNR against rate, model and floor."""
    labels = {"xlabel": "stored values per pixel value", "ylabel": "PSNR, dB"}
    with charts(path, *results, size=(2.8 + 4.6 * len(results), 3.8), columns=len(results), **labels) as panels:
        for axis, rows in zip(panels, results.values(), strict=True):
            rates = [row["values_per_pixel_value"] for row in rows]
            axis.plot(rates, [row["pca_psnr"] for row in rows], "o--", color=RULE, label="PCA of 8 x 8 cells")
            axis.plot(rates, [row["psnr"] for row in rows], "o-", color=COLOURS[0], label="encoded for the rate")
            axis.plot(rates, [row["prefix_psnr"] for row in rows], ".:", color=COLOURS[0], label="prefixes of one")
            axis.set_xscale("log", base=2)
            axis.set_xticks(rates, [f"1/{round(1 / rate)}" for rate in rates])
