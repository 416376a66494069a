"""What an error in the latents does to the picture: why a denoiser's errors show with some field models.

    python -m experiments.generation.latent_errors --fields RUN ... --latents FOLDER ... --data POOL

No denoiser is exact. The paper of LAINR (4.4) reports that pictures made from IPC's latents have artefacts all over,
and those from LAINR's have not. Here the same error, normal noise of a stated deviation on the standardised latents of
held-out pictures, is put into the latents of several field models that store equally many values, and two numbers say
where it ends up:

- white over object: the root mean square of the change on pixels that are white in the cut-out, where nothing should
  happen, over that on the other pixels;
- area: of the difference that one token makes when the mean token takes its place, the smallest share of the picture
  that holds 90 %, averaged over tokens and pictures (`fields/locality.py`).

Written: one JSON and one sheet of pictures.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.data import DataConfig
from tokenfield.evaluation.environment import versions
from tokenfield.fields.locality import area_holding
from tokenfield.generation.latents import LatentFolder
from tokenfield.io.atomic import written_aside
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.training.journal import read

WHITE = 0.99
"""Pixels with a mean above it are white; pictures with at least a fifth of them count as cut-outs."""


@dataclass(frozen=True)
class Options:
    """Which field models, on which pictures."""

    fields: tuple[Path, ...]
    """Field models: runs or folders."""
    latents: tuple[Path, ...]
    """The latents of each, made by tokenfield latents; the held-out split is used."""
    data: Path
    """The pictures, layout imagenette."""
    out: Path = Path("results/latent-errors")
    """Where JSON and sheet go."""
    deviations: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0)
    """Of the noise, in deviations of the latents."""
    seeds: int = 3
    """Draws of the noise."""


def noisy(folder: LatentFolder, tokens: Tensor, deviation: float, seed: int) -> Tensor:
    """Latents with noise on them; every field model gets the same draw."""
    noise = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(seed))
    return folder.restore(folder.standardize(tokens) + deviation * noise)


def change_by_noise(model: Any, folder: LatentFolder, tokens: Tensor, white: Tensor, options: Options) -> list[dict]:
    """For every deviation: root mean squares of the change over all, white and other pixels of the cut-outs."""
    grid = Grid.cells(*folder.picture_size)
    whole = model.decode(tokens, grid)
    cutouts = white.float().mean(1) > 0.2
    rows = []
    for deviation in options.deviations:
        squares = torch.stack(
            [(model.decode(noisy(folder, tokens, deviation, seed), grid) - whole).square().mean(-1)
             for seed in range(options.seeds)]
        ).mean(0)  # (N, Q)
        on_white, on_object = (squares[cutouts][mask[cutouts]].mean().sqrt().item() for mask in (white, ~white))
        rows.append({
            "deviation": deviation,
            "all": squares.mean().sqrt().item(),
            "white": on_white,
            "object": on_object,
            "white_over_object": on_white / on_object,
        })  # fmt: skip
    return rows


def mean_area(model: Any, folder: LatentFolder, tokens: Tensor) -> float:
    """The area that a token governs, averaged over tokens and pictures."""
    grid = Grid.cells(*folder.picture_size)
    whole, areas = model.decode(tokens, grid), []
    for k in range(tokens.shape[1]):
        other = tokens.clone()
        other[:, k] = folder.mean[k]
        changes = (model.decode(other, grid) - whole).abs().mean(-1).unflatten(-1, folder.picture_size)  # (N, H, W)
        areas += [area_holding(change) for change in changes]
    return sum(areas) / len(areas)


def training(run: Path) -> dict[str, Any]:
    """Steps and seconds of a field model, as its journal says."""
    lines = read(run / "metrics.jsonl")
    return {"steps": lines[-1]["step"], "seconds": max(line.get("seconds", 0) for line in lines)}


def main(options: Options) -> None:
    pictures = torch.stack([p for _, p in DataConfig.open(
        DataConfig(layout="imagenette", size=LatentFolder(options.latents[0]).picture_size[0], crop="center"),
        options.data, "test").pictures()])  # fmt: skip
    truth, white = pictures.flatten(2).transpose(1, 2), pictures.mean(1).flatten(1) > WHITE
    results = []
    for field, latents in zip(options.fields, options.latents, strict=True):
        model, folder = pretrained.load(field), LatentFolder(latents, "test")
        assert folder.model_hash == pretrained.model_hash(model), f"{latents} are no latents of {field}"
        assert not folder.lattice, "tokens with places are not handled here"
        tokens = torch.stack([folder[i] for i in range(len(folder))])
        height, width = folder.picture_size
        with torch.no_grad():
            grid = Grid.cells(height, width)
            decibels = psnr(model.decode(tokens, grid), truth).mean().item()
            results.append({
                "model": model.name,
                "values_stored": tokens[0].numel(),
                **training(field),
                "psnr": decibels,
                "area": mean_area(model, folder, tokens),
                "noise": change_by_noise(model, folder, tokens, white, options),
            })  # fmt: skip
        print(json.dumps(results[-1]))
    report = {"pictures": len(pictures), "seeds": options.seeds, "results": results, "versions": versions()}
    with written_aside(options.out / "latent-errors.json") as file:
        file.write((json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(tyro.cli(Options))
