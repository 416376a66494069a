"""Runs of Functa and Spatial Functa, the meta-learned systems of Table 5.

Pictures, coordinates at pixel centres and batch are those of the runs they are compared with; the optimiser is theirs
(Adam, constant; functa's code has 3e-6 for half a million steps, short runs here take more). Three steps and their
second order hold some thirty activations per layer and pixel, so a batch is worked on in parts.
"""

from dataclasses import replace

from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.recipes import published
from tokenfield.recipes.baselines import CENTRES
from tokenfield.training.card import Published
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe, run


def meta_learned(base: Recipe, name: str, model: FunctaConfig | SpatialFunctaConfig, rate: float,
                 parts: int = 4) -> Recipe:
    """The run `base` with a model that adapts to pictures, a rate, and parts that a batch is worked on in."""
    optim = OptimConfig(name="adam", rate=rate)
    return replace(base, name=name, model=model, optim=optim, objective=CENTRES, accumulate=parts)


def functa_celeba_64() -> Recipe:
    """Functa at its published size, rate and length: 512 wide, 15 layers. Published for CelebA-HQ, here on CelebA."""
    recipe = meta_learned(published.lainr_celeba_178(), "functa-celeba-64", FunctaConfig(), 3e-6)
    return replace(recipe, data=replace(recipe.data, size=64), steps=500_000)


def _imagenet(name: str, grid: tuple[int, int], latent_dim: int) -> Recipe:
    model = SpatialFunctaConfig(grid=grid, latent_dim=latent_dim)
    return meta_learned(published.lainr_imagenet_256(), name, model, 1e-5, parts=16)


spatial_functa_imagenet_256 = run(
    "Table 5, Spatial Functa 16 x 16 x 256, ImageNet 256: 37.2 dB. The SIREN's sizes and the rate are our own.",
    _imagenet, "spatial-functa-imagenet-256", (16, 16), 256)
spatial_functa_imagenet_256_fine = run(
    "Table 5, Spatial Functa 32 x 32 x 64, ImageNet 256: 37.7 dB. The SIREN's sizes and the rate are our own.",
    _imagenet, "spatial-functa-imagenet-256-fine", (32, 32), 64)

Published(
    follows=("Functa's size, rate (3e-6) and half a million steps; Spatial Functa's grids of latents",),
    departs=("CelebA for CelebA-HQ, so that one data set serves all systems",
             "Spatial Functa's SIREN, rate and epochs are LAINR's run or our own: it publishes no code"),
).document(globals(), "photos")
