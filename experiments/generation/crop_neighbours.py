"""Drawn crops beside the training crops that are nearest to them, for a denoiser of parts of photographs.

    python -m experiments.generation.crop_neighbours out --data build/photos --figure photos-neighbours.png

A denoiser of parts (`data.part`) has seen every crop of its training pictures whose corner is a corner of a cell:
hundreds per picture, either way round. Every sample is compared with all of them, and so are crops of held-out
pictures, which are certainly no copies; what is printed is how near both come.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from tokenfield.data import DataConfig
from tokenfield.evaluation.figures import save_png
from tokenfield.generation.commands.score import generated_files, squares
from tokenfield.generation.metrics import figure, nearest


@dataclass(frozen=True)
class Options:
    """Which samples, against which pictures."""

    samples: tyro.conf.Positional[Path]
    """Folder that `tokenfield generate` wrote."""
    data: Path
    """Folder of photographs, as `tokenfield latents` was given it."""
    figure: Path
    """Where the figure goes."""
    size: int = 256
    """Side of the encoded pictures."""
    crop: int = 64
    """Side of a crop."""
    cell: int = 8
    """Side of a cell: crops begin at its multiples."""
    shown: int = 8
    """Samples in the figure."""


def crops_of(picture: Float[Tensor, "c h w"], side: int, step: int) -> Float[Tensor, "n c side side"]:
    """All squares of a side whose corner is a multiple of `step`."""
    views = picture.unfold(1, side, step).unfold(2, side, step)                    # (C, rows, columns, side, side)
    return views.flatten(1, 2).transpose(0, 1).contiguous()


def nearest_of_each(
    pictures: Float[Tensor, "n c h w"], pool: list[Tensor], options: Options
) -> tuple[Float[Tensor, "p n"], list[Tensor]]:
    """For every training picture, how near its nearest crop comes to each of some pictures, and these crops."""
    distances, crops = [], []
    for whole in pool:
        candidates = crops_of(whole, options.crop, options.cell)
        neighbours = nearest(pictures, candidates, 1)
        distances.append(neighbours.distance[:, 0])
        crops.append(candidates[neighbours.index[:, 0]])
    return torch.stack(distances), crops


def main(options: Options) -> None:
    """Draw the figure and print the distances."""
    config = DataConfig(layout="folder", size=options.size, crop="center")
    pool, others = ([picture for _, picture in DataConfig.open(config, options.data, split).pictures()]
                    for split in ("train", "test"))
    samples = torch.stack(list(squares(generated_files(options.samples), options.crop)))
    held_out = torch.cat([crops_of(picture, options.crop, options.crop) for picture in others])
    facts, near = {}, {}
    for name, pictures in (("samples", samples), ("held_out", held_out)):
        near[name], crops = nearest_of_each(pictures, pool, options)
        closest = near[name].min(0).values
        facts[name] = {"crops": len(pictures), "smallest": closest.min().item(), "median": closest.median().item()}
        if name == "samples":
            best = torch.cat([torch.stack(crops)[near[name][:, i].argsort()[:3], i] for i in range(options.shown)])
            save_png(options.figure, figure(samples[: options.shown], best, scale=2))
    facts["training_crops"] = sum(len(crops_of(picture, options.crop, options.cell)) for picture in pool)
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options))
