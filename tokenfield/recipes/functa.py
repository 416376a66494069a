"""Runs of Functa and Spatial Functa, the meta-learned rivals of Table 5.

Pictures, coordinates at pixel centres and batch are those of the runs they are compared with; the optimiser is theirs
(Adam, constant; functa's code has 3e-6 for half a million steps, short runs here take more). Three steps and their
second order hold some thirty activations per layer and pixel, so a batch is worked on in parts.
"""

from dataclasses import replace

from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.recipes import photos, published
from tokenfield.recipes.baselines import CENTRES
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe


def _run(base: Recipe, name: str, model: FunctaConfig | SpatialFunctaConfig, rate: float, parts: int = 4) -> Recipe:
    optim = OptimConfig(name="adam", rate=rate)
    return replace(base, name=name, model=model, optim=optim, objective=CENTRES, accumulate=parts)


def functa_celeba_64() -> Recipe:
    """Functa at its published size, rate and length: 512 wide, 15 layers. Published for CelebA-HQ, here on CelebA."""
    run = _run(published.lainr_celeba_178(), "functa-celeba-64", FunctaConfig(), 3e-6)
    return replace(run, data=replace(run.data, size=64), steps=500_000)


def spatial_functa_imagenet_256() -> Recipe:
    """Table 5, Spatial Functa 16 x 16 x 256, ImageNet 256: 37.2 dB. The SIREN's sizes and the rate are our own."""
    model = SpatialFunctaConfig(grid=(16, 16), latent_dim=256)
    return _run(published.lainr_imagenet_256(), "spatial-functa-imagenet-256", model, 1e-5, parts=16)


def spatial_functa_imagenet_256_fine() -> Recipe:
    """Table 5, Spatial Functa 32 x 32 x 64, ImageNet 256: 37.7 dB. The SIREN's sizes and the rate are our own."""
    model = SpatialFunctaConfig(grid=(32, 32), latent_dim=64)
    return _run(published.lainr_imagenet_256(), "spatial-functa-imagenet-256-fine", model, 1e-5, parts=16)


def functa_photos_64() -> Recipe:
    """Functa on 64-pixel crops, with the MLP of its rivals: 512 values stored, as many as that MLP has shifts.

    A longer vector could not say more: the linear map from 6144 numbers to 512 shifts has rank 512.
    """
    model = FunctaConfig(dim=128, depth=5, latent_dim=512)
    return _run(photos.lainr_photos_64(), "functa-photos-64", model, 3e-4)


def spatial_functa_photos_64() -> Recipe:
    """Spatial Functa on 64-pixel crops: 8 x 8 x 96, 6144 values stored, one vector per cell of 8 x 8 pixels."""
    model = SpatialFunctaConfig(size=(64, 64), grid=(8, 8), latent_dim=96, kernel=1, dim=64, depth=5)
    return _run(photos.lainr_photos_64(), "spatial-functa-photos-64", model, 3e-4)
