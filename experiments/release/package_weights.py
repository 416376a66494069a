"""Turn a finished training run into packaged weights: 16-bit safetensors, model card, evaluation.

    python -m experiments.release.package_weights runs/photos-s --name photos-s --pool build/photos --machine "..."

The stored weights are what is evaluated: they are read back before the numbers of card and `eval.json` are made.
"""

import hashlib
import json
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from experiments.fields import zoom_protocol as zoom
from experiments.ladder import measure as ladder
from experiments.release import apart
from tokenfield.coords import Grid
from tokenfield.data.demo_pictures import held_out_pictures
from tokenfield.evaluation.evaluate import evaluate
from tokenfield.evaluation.pca import Basis
from tokenfield.evaluation.tables import markdown, number
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.training.recipe import read
from tokenfield.training.zoom import ZoomConfig

MIB = 2**20
LIMIT = 16 * MIB
"""Largest weights that may be packaged, in bytes."""

CARD = """\
# {name}

{description}

    tokenfield.load("{name}")

- **System**: {system}, {parameters:,} trained and {fitted:,} fitted numbers, {size:.1f} MiB of {kind} weights.
- **Values stored**: {rate:.3g} per pixel value ({stored}), any picture
  size{tiled}.
- **Training pictures**: {count} photographs and textured pictures, rebuilt by `{pool_script}`, which lists
  sources and licences (sha256 of its SHA256SUMS: {pool}); split by source picture.
- **Command**: `tokenfield train {recipe} --data {pool_folder} --out runs/{name} --precision {precision}`;
  seed {seed}; `recipe.json`.
- **Steps**: {steps:,} of {batch} pictures, {seconds:,.0f} s of training{before}.
- **Machine**: {machine}.
- **Held-out pictures of the pool**: {held_out:.2f} dB, mean over {held_out_count} crops{halved}, weights before
  rounding.
- **scikit-image photographs**, 256-pixel centre crops, papers' PSNR in float32: **{psnr:.2f} dB**{floor}.{disjoint}

{table}
{ladder}
The scikit-image photographs were never trained on{chosen}

Made for photographs. Drawings and text with one-pixel edges lose more than photographs do. {between}

Licence: Apache-2.0, as the project.
"""


CHOSEN = """, but the architecture and rates were chosen while looking at them
(`docs/log.md`); the held-out pictures of the pool were used for no choice."""
UNSEEN = """, and sizes and rates were set before anything was
measured on them or on the held-out pictures of the pool."""
SMOOTH = """In between the pixels it saw
the field is smooth rather than sharp: it stores no more than was there."""
SHARP = """In between the pixels it saw
the field is sharper than interpolation, by what photographs usually look like there: plausible, not measured. At its
own size it gives a picture back less exactly than `photos-s` does (the first table)."""


@dataclass(frozen=True)
class Options:
    """What to package and what to say of it."""

    run: tyro.conf.Positional[Path]
    """Folder of a finished run."""
    name: str
    """What `tokenfield.load` will know it by."""
    pool: Path
    """The training pool, for its identity."""
    machine: str
    """Where it was trained, in words."""
    pool_script: str = "experiments/pools/photos.py"
    """What rebuilds it."""
    before: str = ""
    """What came before the first step and took time."""
    kind: Literal["float16", "bfloat16"] = "float16"
    """How weights are stored; bfloat16 has an eighth of the precision, and an archive takes a fifth less."""
    description: str = "A small model for photographs of any size."
    """First line of the card."""
    out: Path = Path("tokenfield/models/weights")
    """Folder of packaged weights."""


@torch.no_grad()
def side_by_side(model: FieldModel) -> tuple[float, int] | None:
    """Mean PSNR of the scikit-image photographs in tiles that share no pixel, and how many tiles that is.

    A `Field` of a model of one size is blended from overlapping tiles, which store more per pixel than the model does.
    None for models of any size, and where tiles do not divide the pictures.
    """
    pictures, size = [picture for _, picture in held_out_pictures(256)], model.input_size
    if size is None or any(side % tile for p in pictures for side, tile in zip(p.shape[1:], size, strict=True)):
        return None
    height, width = size
    scores, count = [], 0
    for picture in pictures:
        tiles = picture.unflatten(2, (-1, width)).unflatten(1, (-1, height)).permute(1, 3, 0, 2, 4).flatten(0, 1)
        values = model.decode(model.encode(tiles), Grid.cells(height, width))  # (tiles, height * width, C)
        mistake = (values - tiles.flatten(2).mT).flatten()[None]
        scores.append(float(psnr(mistake, torch.zeros_like(mistake))))
        count = len(tiles)
    return statistics.fmean(scores), count


def values_stored(model: FieldModel) -> tuple[str, float]:
    """What a cell, or a tile of a model of one size, stores: in words, and per pixel value."""
    if model.input_size is None:
        width = model.encode(torch.zeros(1, model.channels, model.cell, model.cell)).shape[-1]
        return f"{width} per cell of {model.cell} x {model.cell} pixels", width / (model.channels * model.cell**2)
    height, width = model.input_size
    tokens = model.encode(torch.zeros(1, model.channels, height, width))[0]
    text = f"{len(tokens)} tokens of {tokens.shape[1]} per tile of {height} x {width} pixels"
    return text, tokens.numel() / (model.channels * height * width)


def zoomed(model: FieldModel, name: str) -> str:
    """A table of what the model gives enlarged, beside interpolation, on the scikit-image photographs' crops."""
    pictures, times = zoom.squares(held_out_pictures(), 256, 4), (2, 4)
    table = markdown(zoom.rows(zoom.compare({name: model}, pictures, times, facts={name: {}}), times))
    return f"\nEnlarged from pictures reduced so many times (`experiments/fields/zoom_protocol.py`):\n\n{table}\n"


def main(options: Options) -> None:
    """Save, read back, evaluate, describe."""
    model, recipe = pretrained.load(options.run), read(options.run / "recipe.json")
    lines = [json.loads(line) for line in (options.run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "seconds" in line][-1]
    evaluations = [line for line in lines if "evaluation_psnr" in line][-1]

    dtype = getattr(torch, options.kind)
    folder = pretrained.save(model, options.out / options.name, dtype=dtype)
    size = (folder / "model.safetensors").stat().st_size
    assert size <= LIMIT, f"{size / MIB:.1f} MiB of weights; at most {LIMIT / MIB:.0f} MiB are packaged"
    model = pretrained.load(folder)
    stored, rate = values_stored(model)
    basis = Basis.load() if rate < 1 else None  # with as many numbers as pixels hold, components lose nothing
    report = evaluate(model, held_out_pictures(256), basis=basis).to_json()
    report["model"]["origin"] = options.name

    rows = [[p["name"], number(p["psnr"]), number(p["pca_psnr"]), number(p["ssim"], 4)] for p in report["pictures"]]
    table = markdown([["photograph", "PSNR, dB", "PCA, dB", "SSIM"], *rows])
    floor = f"; principal components\n  of 8 x 8 cells at the same values: {report['pca_psnr']:.2f} dB" if basis else ""
    enlarging = isinstance(recipe.objective, ZoomConfig)
    disjoint, overlapping = side_by_side(model), report["values_per_pixel_value"]
    rungs, tiled, together = "", "", ""
    if model.prefixes:
        measured = ladder.score_rates(model, held_out_pictures(256), Basis.load())
        rungs = "\n" + ladder.rate_table("One nested model, scikit-image", measured)
    if disjoint:
        tiled = f"; tiles overlap, 256 x 256 pixels store {overlapping:.2f} per pixel value"
        together = f"\n  In {disjoint[1]} tiles side by side: **{disjoint[0]:.2f} dB** at {rate:.3g}."
    card = CARD.format(
        name=options.name,
        kind=options.kind,
        description=options.description,
        system=model.name,
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        fitted=sum(b.numel() for b in model.buffers()),
        size=size / MIB,
        rate=rate,
        stored=stored,
        count=len(list((options.pool / "train").iterdir())),
        pool=hashlib.sha256((options.pool / "SHA256SUMS").read_bytes()).hexdigest()[:12],
        pool_folder="build/photos",
        pool_script=options.pool_script,
        tiled=tiled,
        disjoint=together,
        recipe=recipe.name,
        seed=recipe.seed,
        precision=recipe.precision,
        steps=steps["step"],
        batch=recipe.batch_size,
        seconds=steps["seconds"],
        machine=options.machine,
        before=f", after {options.before}" if options.before else "",
        held_out=evaluations["evaluation_psnr"],
        held_out_count=evaluations["evaluation_pictures"],
        psnr=report["psnr"],
        floor=floor,
        halved=" that were encoded at half their size" if enlarging else "",
        chosen=UNSEEN if enlarging else CHOSEN,
        between=SHARP if enlarging else SMOOTH,
        table=table,
        ladder=zoomed(model, options.name) if enlarging else rungs,
    )
    pretrained.save(model, folder, dtype=dtype, card=card, evaluation=report)
    apart.main((folder,))
    shutil.copy(options.run / "recipe.json", folder)
    print(f"{folder}: {report['psnr']:.2f} dB{floor}, {size / MIB:.1f} MiB")


if __name__ == "__main__":
    main(tyro.cli(Options))
