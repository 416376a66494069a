"""Any recipe, small enough to take its steps in a second: what the tests run of every recipe."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.functa import FunctaConfig
from tokenfield.models.ipc import IpcConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.models.lainr_anchored import AnchoredLainrConfig
from tokenfield.models.lainr_composed import ComposedLainrConfig
from tokenfield.models.lainr_localized import LocalizedLainrConfig
from tokenfield.models.learned_init import LearnedInitConfig
from tokenfield.models.spatial_functa import SpatialFunctaConfig
from tokenfield.models.switched import SwitchedConfig
from tokenfield.models.trans_inr import TransInrConfig
from tokenfield.models.weight_space import WeightConfig
from tokenfield.training.recipe import Recipe


def small_lainr(config: LainrConfig) -> tuple[LainrConfig, int]:
    """3 x 3 patches, widths of 16; bands, heads and what is left out stay as they are."""
    padding = min(config.padding, 1)
    side = 15 - 2 * padding
    small = replace(
        config,
        size=(side, side),
        patch=5,
        padding=padding,
        num_latents=7,
        latent_dim=11,
        encoder_dim=32,
        encoder_depth=2,
        encoder_heads=2,
        dim=16,
        feature_dim=16,
    )
    return small, side


def small_anchored(config: AnchoredConfig) -> tuple[AnchoredConfig, int]:
    """3 x 3 cells of 4 pixels, widths of 16, at most one block on each side."""
    small = replace(
        config,
        cell=4,
        latent_dim=5,
        encoder_dim=16,
        encoder_depth=min(config.encoder_depth, 1),
        decoder_dim=16,
        decoder_depth=min(config.decoder_depth, 1),
        head_dim=8,
        harmonics=min(config.harmonics, 8),
    )
    return small, 12


def small_switched(config: SwitchedConfig) -> tuple[SwitchedConfig, int]:
    """3 x 3 cells of 4 pixels in 3 subspaces."""
    return replace(config, cell=4, codes=3, prefixes=(2, 5), harmonics=8, rounds=3), 12


def small_anr(config: AnrConfig) -> tuple[AnrConfig, int]:
    """3 x 3 patches, widths of 16; depth, threshold and head stay as they are."""
    padding = min(config.padding, 1)
    side = 15 - 2 * padding
    small = replace(
        config,
        size=(side, side),
        patch=5,
        padding=padding,
        num_latents=7,
        dim=16,
        encoder_dim=16,
        encoder_depth=1,
        decoder_depth=1,
        encoder_heads=2,
        encoder_head_dim=8,
        encoder_hidden=32,
        heads=2,
        head_dim=8,
    )
    return small, side


def small_localized(config: LocalizedLainrConfig) -> tuple[LocalizedLainrConfig, int]:
    """A small LAINR; the threshold stays as it is."""
    lainr, side = small_lainr(config.lainr)
    return replace(config, lainr=lainr), side


def small_anchored_lainr(config: AnchoredLainrConfig) -> tuple[AnchoredLainrConfig, int]:
    """A small LAINR with a token for each of its 3 x 3 patches; the changes stay as they are."""
    lainr, side = small_lainr(config.lainr)
    return replace(config, lainr=replace(lainr, num_latents=9)), side


def small_composed(config: ComposedLainrConfig) -> tuple[ComposedLainrConfig, int]:
    """A small LAINR with tokens as wide as its decoder."""
    lainr, side = small_lainr(config.lainr)
    return replace(config, lainr=replace(lainr, latent_dim=lainr.dim)), side


def small_weights(config: WeightConfig) -> tuple[WeightConfig, int]:
    """3 x 3 patches and an MLP 16 wide; which layers are modulated stays as it is."""
    padding = min(config.padding, 1)
    side = 15 - 2 * padding
    rows: dict[str, Any] = {"num_latents": 7} if isinstance(config, IpcConfig) else {"groups": 8}
    small = replace(
        config,
        size=(side, side),
        patch=5,
        padding=padding,
        encoder_dim=32,
        encoder_depth=2,
        encoder_heads=2,
        dim=16,
        feature_dim=16,
        **rows,
    )
    return small, side


def small_learned_init(config: LearnedInitConfig) -> tuple[LearnedInitConfig, int]:
    """An MLP 16 wide; depth and inner steps stay as they are."""
    return replace(config, size=(13, 13), dim=16, feature_dim=16), 13


def small_functa(config: FunctaConfig) -> tuple[FunctaConfig, int]:
    """A SIREN of 3 layers, 8 wide; inner steps stay as they are."""
    return replace(config, size=(13, 13), dim=8, depth=3, latent_dim=5), 13


def small_spatial_functa(config: SpatialFunctaConfig) -> tuple[SpatialFunctaConfig, int]:
    """The same with 3 x 2 latents; kernel and interpolation stay as they are."""
    return replace(config, size=(13, 13), grid=(3, 2), dim=8, depth=3, latent_dim=5), 13


SMALL: dict[type, Callable[[Any], tuple[Any, int]]] = {
    LainrConfig: small_lainr,
    AnchoredConfig: small_anchored,
    SwitchedConfig: small_switched,
    AnrConfig: small_anr,
    LocalizedLainrConfig: small_localized,
    AnchoredLainrConfig: small_anchored_lainr,
    ComposedLainrConfig: small_composed,
    IpcConfig: small_weights,
    TransInrConfig: small_weights,
    LearnedInitConfig: small_learned_init,
    FunctaConfig: small_functa,
    SpatialFunctaConfig: small_spatial_functa,
}
"""How to shrink each kind of model, and the side of the pictures that it then takes."""


def miniature(recipe: Recipe, *, steps: int = 2) -> Recipe:
    """The recipe with a small model, small pictures and few of them; what kind of run it is stays.

    Args:
        recipe: any recipe whose model is in `SMALL`.
        steps: how many.
    """
    model, side = SMALL[type(recipe.model)](recipe.model)
    prefixes = model.prefixes if isinstance(model, SwitchedConfig) else ()
    return replace(
        recipe,
        model=model,
        objective=replace(recipe.objective, prefixes=prefixes),
        data=replace(recipe.data, size=side * recipe.objective.zoom),
        optim=replace(recipe.optim, warmup=min(recipe.optim.warmup, steps // 2)),
        steps=steps,
        batch_size=2 * recipe.accumulate,
        log_every=1,
        evaluate_every=steps if recipe.evaluate_every else 0,
        evaluate_pictures=2,
        checkpoint_every=steps,
    )
