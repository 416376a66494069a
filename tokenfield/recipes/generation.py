"""Generation: field models of labelled pictures, and the denoisers of their latents.

The published run is `ldm-imagenet-256` (LAINR 4.4, A.3). The miniatures are trained on the cut-outs that
`scripts/cutout_pool.py` builds: three field models that store the same 16 x 64 values, a third of the 32 x 32 x 3 of a
picture, so that one denoiser, of one size and for one time, fits the latents of each.
"""

from dataclasses import replace

from tokenfield.data import DataConfig
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.ipc import IpcConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.recipes.baselines import shared
from tokenfield.training.optim import OptimConfig
from tokenfield.training.recipe import Recipe
from tokenfield.training.sampling import CoordinateConfig


def cutouts_32_lainr() -> Recipe:
    """LAINR on 32-pixel cut-outs of seven classes: 16 tokens of 64, the field model of the generation miniatures."""
    model = LainrConfig(
        size=(32, 32),
        patch=8,
        padding=0,
        num_latents=16,
        latent_dim=64,
        encoder_dim=128,
        encoder_depth=3,
        encoder_heads=4,
        dim=64,
        feature_dim=64,
        sigmas=(16.0, 4.0),  # in proportion to the paper's 128 and 32 at 178 pixels, and a power of two
        sigma_q=4.0,
    )
    return Recipe(
        name="cutouts-32-lainr",
        model=model,
        data=DataConfig(layout="imagenette", size=32, crop="random_flip"),  # the whole picture, mirrored half the time
        optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.02, schedule="cosine", warmup=50),
        coordinates=CoordinateConfig(jitter="none"),
        steps=1500,
        batch_size=32,
        clip_norm=1.0,
        evaluate_every=250,
        evaluate_pictures=84,
        checkpoint_every=250,
    )


def cutouts_32_ipc() -> Recipe:
    """IPC on 32-pixel cut-outs: 16 tokens of 64, the encoder, pictures, optimiser and steps of `cutouts-32-lainr`."""
    recipe = cutouts_32_lainr()
    model = IpcConfig(**shared(recipe.model), num_latents=16)
    return replace(recipe, name="cutouts-32-ipc", model=model)


def cutouts_32_anchored() -> Recipe:
    """Anchored tokens on 32-pixel cut-outs: 4 x 4 tokens of 64."""
    recipe = cutouts_32_lainr()
    return replace(
        recipe,
        name="cutouts-32-anchored",
        model=AnchoredConfig(latent_dim=64),
        coordinates=CoordinateConfig(jitter="none", average="decibels"),
        steps=1000,
    )


RUNS = (
    cutouts_32_lainr,
    cutouts_32_ipc,
    cutouts_32_anchored,
)
"""All of them; a recipe is called what its function is called, with hyphens."""
