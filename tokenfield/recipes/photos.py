"""Recipes for any folder of photographs."""

from tokenfield.data import DataConfig
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.training.losses import CoordinateConfig
from tokenfield.training.optim import OptimConfig
from tokenfield.training.recipe import Recipe


def anchored_photos_s() -> Recipe:
    """The packaged `photos-s`: one stored value per two pixel values, any picture size (results: README).

    Anchored tokens from a linear code of the training pictures; Muon for matrices; PSNR averaged rather than errors;
    pictures twice the encoded size, so that the field is also right in between the pixels it saw.
    """
    return Recipe(
        name="anchored-photos-s",
        model=AnchoredConfig(),
        data=DataConfig(layout="folder", size=192),
        optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=5e-3, schedule="cosine", warmup=30),
        coordinates=CoordinateConfig(jitter="none", average="decibels", zoom=2),
        steps=10_000,
        batch_size=8,
        clip_norm=1.0,
        evaluate_every=1000,
        checkpoint_every=500,
    )
