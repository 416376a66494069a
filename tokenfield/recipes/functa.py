"""Runs of Functa and Spatial Functa, the meta-learned rivals of Table 5.

Pictures, coordinates at pixel centres and batch are those of the runs they are compared with; the optimiser is theirs
(Adam, constant; functa's code has 3e-6 for half a million steps, short runs here take more).
"""

from dataclasses import replace

from tokenfield.models.functa import FunctaConfig
from tokenfield.models.spatial_functa import SpatialFunctaConfig
from tokenfield.recipes import photos, published
from tokenfield.recipes.baselines import CENTRES
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

PARTS = 4
"""Parts of a batch of 16: three steps and their second order hold some thirty activations per layer and pixel."""


def functa_celeba_64() -> Recipe:
    """Functa at its published size, rate and length: 512 wide, 15 layers. Published for CelebA-HQ, here on CelebA."""
    base = published.lainr_celeba_178()
    return replace(
        base,
        name="functa-celeba-64",
        model=FunctaConfig(),
        data=replace(base.data, size=64),
        optim=OptimConfig(name="adam", rate=3e-6),
        objective=CENTRES,
        steps=500_000,
        accumulate=PARTS,
    )


def _spatial_imagenet(name: str, grid: int, latent_dim: int) -> Recipe:
    base = published.lainr_imagenet_256()
    return replace(
        base,
        name=name,
        model=SpatialFunctaConfig(grid=(grid, grid), latent_dim=latent_dim),
        optim=OptimConfig(name="adam", rate=1e-5),
        objective=CENTRES,
        accumulate=base.batch_size,
    )


def spatial_functa_imagenet_256() -> Recipe:
    """Table 5, Spatial Functa 16 x 16 x 256, ImageNet 256: 37.2 dB. The SIREN's sizes and the rate are our own."""
    return _spatial_imagenet("spatial-functa-imagenet-256", 16, 256)


def spatial_functa_imagenet_256_fine() -> Recipe:
    """Table 5, Spatial Functa 32 x 32 x 64, ImageNet 256: 37.7 dB. The SIREN's sizes and the rate are our own."""
    return _spatial_imagenet("spatial-functa-imagenet-256-fine", 32, 64)


def functa_photos_64() -> Recipe:
    """Functa on 64-pixel crops, with the MLP of its rivals: 512 values stored, as many as that MLP has shifts.

    A longer vector could not say more: the linear map from 6144 numbers to 512 shifts has rank 512.
    """
    return replace(
        photos.lainr_photos_64(),
        name="functa-photos-64",
        model=FunctaConfig(dim=128, depth=5, latent_dim=512),
        optim=OptimConfig(name="adam", rate=3e-4),
        objective=CENTRES,
        accumulate=PARTS,
    )


def spatial_functa_photos_64() -> Recipe:
    """Spatial Functa on 64-pixel crops: 8 x 8 x 96, 6144 values stored, one vector per cell of 8 x 8 pixels."""
    return replace(
        photos.lainr_photos_64(),
        name="spatial-functa-photos-64",
        model=SpatialFunctaConfig(size=(64, 64), grid=(8, 8), latent_dim=96, kernel=1, dim=64, depth=5),
        optim=OptimConfig(name="adam", rate=3e-4),
        objective=CENTRES,
        accumulate=PARTS,
    )
