"""The ladder: what a nested model gives at each of its rates, beside principal components that store as many values.

PSNR per picture (float32, unclamped, unrounded), then mean and deviation over the pictures, as in every protocol of
`tokenfield.evaluation`.
"""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenfield.analysis.pca import Basis, floor_of
from tokenfield.field import Field
from tokenfield.metrics import psnr


@torch.no_grad()
def measure(model: Any, pictures: Iterable[tuple[str, Tensor]], basis: Basis) -> list[dict[str, Any]]:
    """One row per rate: PSNR of the model and of principal components on every picture."""
    rows = []
    fields = [(name, picture, Field.of(model, picture)) for name, picture in pictures]
    for width in model.prefixes:
        scores = {}
        for name, picture, field in fields:
            cut = field.prefix(width)
            again = cut.render(*picture.shape[1:])
            floor = floor_of(basis, picture, cut.values_stored)
            scores[name] = (psnr(again[None], picture[None]).item(), floor)
        gains = [ours - floor for ours, floor in scores.values()]
        rows.append({
            "prefix": width,
            "values_per_pixel_value": width / (model.channels * model.cell**2),
            "psnr": statistics.fmean(ours for ours, _ in scores.values()),
            "pca_psnr": statistics.fmean(floor for _, floor in scores.values()),
            "gain": statistics.fmean(gains),
            "gain_deviation": statistics.stdev(gains),
            "pictures": {name: {"psnr": ours, "pca_psnr": floor} for name, (ours, floor) in scores.items()},
        })
    return rows


def table(title: str, rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        f"**{title}** ({len(rows[0]['pictures'])} pictures)",
        "",
        "| stored per pixel value | PCA of 8 x 8 cells, dB | model, dB | gain, dB | deviation |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        rate = f"1/{round(1 / row['values_per_pixel_value'])}"
        gain = f"{row['gain']:+.2f} | {row['gain_deviation']:.2f}"
        lines.append(f"| {rate} | {row['pca_psnr']:.2f} | **{row['psnr']:.2f}** | {gain} |")
    return "\n".join(lines) + "\n"


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """PSNR against rate, model and floor."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(4.6 * len(results), 3.4), squeeze=False, layout="constrained")
    for axis, (title, rows) in zip(axes[0], results.items(), strict=True):
        rates = [row["values_per_pixel_value"] for row in rows]
        axis.plot(rates, [row["pca_psnr"] for row in rows], "o--", color="0.5", label="PCA of 8 x 8 cells")
        axis.plot(rates, [row["psnr"] for row in rows], "o-", color="#d1495b", label="one nested model")
        axis.set_xscale("log", base=2)
        axis.set_xticks(rates, [f"1/{round(1 / rate)}" for rate in rates])
        axis.set(title=title, xlabel="stored values per pixel value", ylabel="PSNR, dB")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=130)
