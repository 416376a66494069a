"""What tests of views share: recipes small enough for seconds, fields whose right answer is known, a projection."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.registry import RECIPES
from tokenfield.training.recipe import Recipe
from tokenfield.views.models.lainr_views import TokenViewsConfig
from tokenfield.views.models.radiance import AnrRadianceConfig
from tokenfield.views.objective import RadianceRays

RUNS = {name: RECIPES[name] for name in RECIPES if RECIPES.places[name].module == "tokenfield.views.recipes"}
"""Every recipe of views."""


def miniature(recipe: Recipe, *, steps: int = 2) -> Recipe:
    """A recipe of this file at 8 pixels and widths of 8, as `experiments.miniature` does for pictures."""
    config, side = recipe.model, (8, 8)
    if isinstance(config, TokenViewsConfig):
        sizes = {"num_latents": 5, "latent_dim": 8, "dim": 8, "feature_dim": 24, "heads": 1}
        if config.lainr.start == "local":  # which needs room to tell places apart
            sizes["start"] = "small"
        encoder = {"encoder_dim": 12, "encoder_depth": 1, "encoder_heads": 3}
        small = replace(config, lainr=replace(config.lainr, size=side, patch=4, **sizes, **encoder))
    elif isinstance(config, AnrRadianceConfig):
        small = replace(config, size=side, patch=4, num_latents=5, dim=12, encoder_dim=12, encoder_depth=1,
                        decoder_depth=1, encoder_heads=2, encoder_head_dim=4, encoder_hidden=16, heads=2, head_dim=4)
    else:
        rows = {"num_latents": 5} if hasattr(config, "num_latents") else {"groups": 4}
        small = replace(config, size=side, patch=4, encoder_dim=12, encoder_depth=1, encoder_heads=3, dim=8,
                        feature_dim=18, **rows)
    rays = replace(recipe.objective, rays=min(recipe.objective.rays, 6), evaluate_views=1)
    return replace(
        recipe,
        model=small,
        data=replace(recipe.data, category="", size=8),
        optim=replace(recipe.optim, warmup=0),
        objective=replace(rays, points=4) if isinstance(rays, RadianceRays) else rays,
        steps=steps,
        batch_size=2 * recipe.accumulate,
        log_every=1,
        evaluate_every=steps,
        evaluate_pictures=1,
        checkpoint_every=steps,
    )


def project(
    points: Float[Tensor, "*n 3"], pose: Float[Tensor, "4 4"], angle_x: float, height: int, width: int
) -> tuple[Float[Tensor, "*n 2"], Float[Tensor, "*n"]]:
    """Where points of the world appear in a view: the inverse of `view_rays`.

    Returns:
        (y, x) in [-1, 1] over the picture, beyond that outside of it; and the depth along the optical axis, positive
        in front of the camera. Behind it (y, x) mean nothing.
    """
    local = (points - pose[:3, 3]) @ pose[:3, :3]  # rotation: its inverse is its transpose
    depth, half = -local[..., 2], math.tan(0.5 * angle_x)
    x, y = local[..., 0] / (half * depth), -local[..., 1] / (half * (height / width) * depth)
    return torch.stack([y, x], -1), depth
