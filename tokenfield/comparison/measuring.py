"""What is measured on a trained run: PSNR, stored values, parameters, and the time to encode and to decode."""

import statistics
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.comparison.held_out import FINAL_SIDE, HeldOut, sampled_grid, sampled_psnr
from tokenfield.comparison.setting import Setting
from tokenfield.evaluation.environment import machine, versions
from tokenfield.fields.field import Field
from tokenfield.io.clock import seconds
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.training import journal
from tokenfield.training.recipe import Recipe


def describe_run(recipe: Recipe, setting: Setting, folder: Path, held_out: HeldOut) -> Record:
    """Everything about a trained run but how long it took, at some pixels of held-out pictures."""
    model = pretrained.load(folder).eval().to(setting.place)
    pictures = held_out.read(setting.data, setting.pictures)
    scores, first = sampled_psnr(model, pictures, FINAL_SIDE), pictures[0][1]
    return describe(model, scores, first, folder) | timing(model, first)


def describe(model: FieldModel, scores: Mapping[str, float], first: Float[Tensor, "c h w"], folder: Path) -> Record:
    """PSNR by the names of pictures, of which one is `first`; what the model stores of it; how training went."""
    device = next(model.parameters()).device
    with torch.no_grad():
        field = Field.of(model, first.to(device))
    return {
        "psnr": statistics.fmean(scores.values()),
        "pictures": {name: round(score, 3) for name, score in scores.items()},
        "size": list(first.shape[1:]),
        "values_stored": field.values_stored,
        "values_per_pixel_value": field.values_stored / first.numel(),
        "bytes": field.bytes_stored,
        "parameters": model.num_parameters,
        "curve": curve(folder),
        "machine": machine(device),
        "versions": versions(),
    }


@torch.no_grad()
def timing(model: FieldModel, picture: Float[Tensor, "c h w"]) -> dict[str, float]:
    """Seconds to encode a picture alone, and to decode one of its pixels where many are decoded."""
    device = next(model.parameters()).device
    picture, grid = picture.to(device), sampled_grid(picture, FINAL_SIDE).to(device)
    for _ in range(2):  # the first time warms the machine up
        begun = seconds(device)
        field = Field.of(model, picture)
        encoded = seconds(device)
        field(grid)
        decoded = seconds(device)
    return {"encode_seconds": encoded - begun, "decode_seconds_per_pixel": (decoded - encoded) / len(grid)}


def curve(folder: Path) -> list[Record]:
    """Held-out PSNR after steps and seconds of training."""
    points, elapsed = [], 0.0
    for line in journal.read(folder / journal.METRICS):
        elapsed = line.get("seconds", elapsed)
        if "evaluation_psnr" in line:
            points.append({"step": line["step"], "seconds": elapsed, "psnr": round(line["evaluation_psnr"], 4)})
    return points
