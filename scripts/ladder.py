"""What a nested model gives at each of its rates, beside principal components that store as many values.

    python scripts/ladder.py runs/anchored-photos-ladder --data POOL --out results/ladder

Measured on the eight held-out photographs of scikit-image (256-pixel centre crops, protocol skimage256), and with
--data on the centre crops of the pool's test pictures, which were used for no choice. PSNR per picture (float32,
unclamped, unrounded), then mean and deviation over the pictures. Written: JSON, a Markdown table, a figure.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
import tyro

from tokenfield import pretrained
from tokenfield.analysis.pca import Basis, floor_of
from tokenfield.data.demo_pictures import held_out_pictures
from tokenfield.data.pictures import SkippedFiles
from tokenfield.evaluation import describe_model, folder_files, folder_pictures
from tokenfield.field import Field
from tokenfield.metrics import psnr
from tokenfield.versions import machine, versions

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@dataclass(frozen=True)
class Options:
    """Which model, on which pictures."""

    model: tyro.conf.Positional[str]
    """A packaged model, a folder, or a run."""
    data: Path | None = None
    """Folder with a `test` sub-folder of photographs that were never trained on."""
    out: Path = Path("results/ladder")
    """Where JSON, table and figure go."""
    size: int = 256
    """Side of the centre crops."""


def measure(model, pictures, basis: Basis) -> list[dict]:
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


def table(title: str, rows: list[dict]) -> str:
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


def draw(results: dict[str, list[dict]], path: Path) -> None:
    """PSNR against rate, model and floor."""
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


@torch.no_grad()
def main(options: Options) -> None:
    """Measure, print, write."""
    model, basis = pretrained.load(options.model).eval(), Basis.load()
    results = {"scikit-image": measure(model, held_out_pictures(options.size), basis)}
    if options.data is not None:
        folder, skipped = options.data / "test", SkippedFiles()
        files = folder_files(folder, skipped)
        results["pool, test"] = measure(model, folder_pictures(folder, files, skipped, size=options.size), basis)
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(table(title, rows) for title, rows in results.items())
    facts = {"model": describe_model(model) | {"origin": None}, "machine": machine(torch.device("cpu")),
             "versions": versions()}
    (options.out / "ladder.json").write_text(json.dumps(facts | {"results": results}, indent=1) + "\n")
    (options.out / "ladder.md").write_text(text)
    draw(results, options.out / "ladder.png")
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Options, config=(tyro.conf.OmitSubcommandPrefixes,)))
