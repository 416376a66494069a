"""A toy model, toy pictures and toy runs, for the tests here and for the processes they start."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tokenfield.data import DataConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.training import OptimConfig, Recipe, ReconstructionConfig

LAINR = LainrConfig(
    size=(13, 13),
    patch=5,
    padding=1,
    num_latents=7,
    latent_dim=11,
    encoder_dim=32,
    encoder_depth=2,
    encoder_heads=2,
    dim=32,
    feature_dim=16,
    sigma_q=2.0,
    sigmas=(8.0, 4.0),
    heads=2,
)

RECIPE = Recipe(
    name="toy",
    model=LAINR,
    data=DataConfig(layout="folder", size=13, crop="random_flip", holdout=0.3),
    optim=OptimConfig(name="muon", rate=1e-3, schedule="cosine", warmup=3),
    objective=ReconstructionConfig(jitter="axis", fraction=0.5, subset="grid"),
    steps=20,
    batch_size=4,
    clip_norm=1.0,
    ema_decay=0.9,
    seed=3,
    log_every=2,
    evaluate_every=10,
    evaluate_pictures=3,
    checkpoint_every=4,
)


def toy(**changes) -> Recipe:
    """`RECIPE` with other fields."""
    return replace(RECIPE, **changes)


def picture(number: int, height: int = 23, width: int = 19) -> np.ndarray:
    """Coloured waves, another picture for every number: uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width] / 7
    phase = np.array([0.0, 2.0, 4.0]) + number
    waves = np.sin(math.cos(number) * y[..., None] + math.sin(number) * x[..., None] + phase)
    return np.uint8(127.5 + 100 * waves)


def write_pictures(folder: Path, count: int = 7) -> Path:
    """A folder of `count` PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    return folder
