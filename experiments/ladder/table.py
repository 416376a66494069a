"""What a nested model gives at each of its rates, beside principal components that store as many values.

    python -m experiments.ladder.table photos-ladder --data POOL --out results/ladder
    python -m experiments.ladder.table photos-ladder --seeds runs/seed-1 runs/seed-2 --specialised runs/only-6

Measured on the eight held-out photographs of scikit-image (256-pixel centre crops, protocol skimage256), and with
--data on the centre crops of the pool's test pictures, which were used for no choice. PSNR per picture (float32,
unclamped, unrounded), then mean and deviation over the pictures. Written: JSON, a Markdown table, a figure.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from experiments.ladder.measure import beside, draw, rate_table, score_rates
from tokenfield.data.demo_pictures import held_out_pictures
from tokenfield.data.pictures import SkippedFiles
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.evaluate import describe_model, folder_files, folder_pictures
from tokenfield.evaluation.pca import Basis
from tokenfield.models import pretrained


@dataclass(frozen=True)
class Options:
    """Which model, on which pictures."""

    model: tyro.conf.Positional[str]
    """A packaged model, a folder, or a run."""
    data: Path | None = None
    """Folder with a `test` sub-folder of photographs that were never trained on."""
    out: Path = Path("results/ladder")
    """Where JSON, table and figure go."""
    seeds: tuple[str, ...] = ()
    """Runs of the same recipe with other seeds."""
    specialised: tuple[str, ...] = ()
    """Runs of the same recipe with one prefix only: what serving all rates costs."""
    size: int = 256
    """Side of the centre crops."""


def everything(name: str, options: Options) -> dict[str, list[dict[str, Any]]]:
    """A model's rows on each set of pictures."""
    model, basis = pretrained.load(name).eval(), Basis.load()
    results = {"scikit-image": score_rates(model, held_out_pictures(options.size), basis)}
    if options.data is not None:
        folder, skipped = options.data / "test", SkippedFiles()
        files = folder_files(folder, skipped)
        results["pool, test"] = score_rates(model, folder_pictures(folder, files, skipped, size=options.size), basis)
    return results


def main(options: Options) -> None:
    """Measure, print, write."""
    results = everything(options.model, options)
    seeds = [everything(name, options) for name in options.seeds]
    specialised = [everything(name, options) for name in options.specialised]
    for title, rows in results.items():
        beside(rows, *([other[title] for other in others] for others in (seeds, specialised)))
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(rate_table(title, rows) for title, rows in results.items())
    facts = {"model": describe_model(pretrained.load(options.model)) | {"origin": None},
             "machine": machine(torch.device("cpu")), "versions": versions()}
    (options.out / "ladder.json").write_text(json.dumps(facts | {"results": results}, indent=1) + "\n")
    (options.out / "ladder.md").write_text(text)
    draw(results, options.out / "ladder.png")
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Options, config=(tyro.conf.OmitSubcommandPrefixes,)))
