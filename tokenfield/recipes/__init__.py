"""Recipes: one function per run, returning everything that decides it.

    from dataclasses import replace
    from tokenfield.recipes import RECIPES
    recipe = replace(RECIPES["lainr-photos-64"](), steps=500)
"""

from collections.abc import Callable

from tokenfield.recipes import (
    ablations,
    anr,
    baselines,
    climate,
    comparison,
    factorial,
    functa,
    generation,
    photos,
    published,
    views,
)
from tokenfield.recipes.miniature import miniature as miniature
from tokenfield.training.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "anchored-photos-s": photos.anchored_photos_s,
    "switched-photos-ladder": photos.switched_photos_ladder,
    "anchored-photos-64": photos.anchored_photos_64,
    "anchored-photos-64-random": photos.anchored_photos_64_random,
    "lainr-photos-64": photos.lainr_photos_64,
    "lainr-photos-64-muon": photos.lainr_photos_64_muon,
    "lainr-photos-178": photos.lainr_photos_178,
    "lainr-celeba-178": published.lainr_celeba_178,
    "lainr-ffhq-178": published.lainr_ffhq_178,
    "lainr-imagenette-178": published.lainr_imagenette_178,
    "lainr-ffhq-256": published.lainr_ffhq_256,
    "lainr-ffhq-256-l1": published.lainr_ffhq_256_l1,
    "lainr-ffhq-256-l3": published.lainr_ffhq_256_l3,
    "lainr-ffhq-256-l4": published.lainr_ffhq_256_l4,
    "lainr-ffhq-512": published.lainr_ffhq_512,
    "lainr-ffhq-512-l1": published.lainr_ffhq_512_l1,
    "lainr-ffhq-512-l3": published.lainr_ffhq_512_l3,
    "lainr-ffhq-512-l4": published.lainr_ffhq_512_l4,
    "lainr-ffhq-1024": published.lainr_ffhq_1024,
    "lainr-ffhq-1024-l1": published.lainr_ffhq_1024_l1,
    "lainr-ffhq-1024-l3": published.lainr_ffhq_1024_l3,
    "lainr-ffhq-1024-l4": published.lainr_ffhq_1024_l4,
    "lainr-imagenet-256": published.lainr_imagenet_256,
    "anr-celeba-128": anr.anr_celeba_128,
    "anr-lsun-256": anr.anr_lsun_256,
    "anr-photos-64": anr.anr_photos_64,
    "anr-photos-64-muon": anr.anr_photos_64_muon,
    "anr-photos-64-multiband": anr.anr_photos_64_multiband,
    "lainr-photos-64-localized": anr.lainr_photos_64_localized,
    "anr-photos-64-small": anr.anr_photos_64_small,
    "lainr-photos-64-small": anr.lainr_photos_64_small,
    **{run.__name__.replace("_", "-"): run for run in (*baselines.RUNS, *functa.RUNS, *generation.RUNS)},
    **{run.__name__.replace("_", "-"): run for run in views.RUNS},
    **{run.__name__.replace("_", "-"): run for run in climate.RUNS},
    **{run.__name__.replace("_", "-"): run for run in comparison.RUNS},
    **{run.__name__.replace("_", "-"): run for run in factorial.RUNS},
    "lainr-ablation": ablations.lainr_ablation,
    "lainr-ablation-sigmas-rising": ablations.lainr_ablation_sigmas_rising,
    "lainr-ablation-sigmas-equal": ablations.lainr_ablation_sigmas_equal,
    "lainr-ablation-sigma-q-high": ablations.lainr_ablation_sigma_q_high,
    "lainr-ablation-without-multiband": ablations.lainr_ablation_without_multiband,
    "lainr-ablation-linear-frequency": ablations.lainr_ablation_linear_frequency,
    "lainr-ablation-linear-modulation": ablations.lainr_ablation_linear_modulation,
    "lainr-ablation-linear-both": ablations.lainr_ablation_linear_both,
    "lainr-ablation-ffhq-256": ablations.lainr_ablation_ffhq_256,
    "lainr-ablation-ffhq-256-without-multiband": ablations.lainr_ablation_ffhq_256_without_multiband,
}
"""Every run by the name that the command line takes, which is also the recipe's own."""
