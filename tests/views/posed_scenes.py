"""A data set of tiny posed views for tests: coloured balls before white, as geometry sees them."""

import json
import math

import numpy as np
import torch
from PIL import Image

from tokenfield.coords import Grid
from tokenfield.views.layouts import transforms_text
from tokenfield.views.rays import look_at, on_sphere, view_rays

ANGLE, SIDE = 0.6911, 8


def poses(count, number):
    """Cameras all around, as many as asked for."""
    generator = torch.Generator().manual_seed(number)
    azimuth, height = 2 * math.pi * torch.rand(count, generator=generator), torch.rand(count, generator=generator)
    return look_at(on_sphere(azimuth, height))


def write_scene(root, objects=("a", "b", "c"), views=7, side=SIDE):
    """Objects of category balls, the last one for testing; ball number i is dyed by its normal and by i."""
    for number, name in enumerate(objects):
        folder, frames = root / "balls" / name, []
        folder.mkdir(parents=True)
        for i, pose in enumerate(poses(views, number)):
            origins, directions = view_rays(pose, torch.tensor(ANGLE), Grid.cells(side, side), side, side)
            along = -(origins * directions).sum(-1, keepdim=True)
            square = (origins + along * directions).square().sum(-1, keepdim=True)
            depth = along - (1.0 - square).clamp(min=0).sqrt()
            colour = (origins + depth * directions) * 0.4 + 0.5
            colour[:, number % 3] = 0.2
            alpha = (square < 1).float()
            rgba = np.concatenate([colour.clamp(0, 1).numpy(), alpha.numpy()], -1).reshape(side, side, 4)
            Image.fromarray(np.uint8(255 * rgba)).save(folder / f"{i:03}.png")
            frames.append((f"{i:03}", pose.double().numpy()))
        (folder / "transforms.json").write_text(transforms_text(ANGLE, frames))
    split = {"train": list(objects[:-1]), "test": list(objects[-1:])}
    (root / "balls_splits.json").write_text(json.dumps(split))
    return root
