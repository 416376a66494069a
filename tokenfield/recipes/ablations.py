"""The ablations of LAINR (Tables 3, 4 and 7) that are compositions of its own modules.

All are ImageNette 178 with one head, 400 epochs, where the full model reaches 37.46 dB (and FFHQ 256 with one head in
the second column of Table 3). The rows that put instance pattern composers in place of the aggregation are among the
baselines.
"""

from dataclasses import replace

from tokenfield.recipes.published import (
    FOLLOWS,
    IMAGENETTE,
    lainr_ffhq_256,
    lainr_imagenette_178,
    lainr_of,
    steps,
    variant,
)
from tokenfield.training.recipe import Recipe, run

PLAIN_DEPTH = 4
"""Layers of the plain MLP of `w/o multiFM`, of our choosing: the paper does not say how many it has."""


def lainr_ablation() -> Recipe:
    """Tables 3, 4 and 7, ImageNette 178, one head, 400 epochs: 37.46 dB."""
    base = lainr_imagenette_178()
    model = replace(lainr_of(base), heads=1)
    return replace(base, name="lainr-ablation", model=model, steps=steps(400, IMAGENETTE))


lainr_ablation_sigmas_rising = run(
    "Table 4, bandwidths (32, 128), 16: the finest band last instead of first. 35.00 dB.",
    variant, lainr_ablation(), "sigmas-rising", sigmas=(32.0, 128.0))
lainr_ablation_sigmas_equal = run(
    "Table 4, bandwidths (128, 128), 16: 35.30 dB.",
    variant, lainr_ablation(), "sigmas-equal", sigmas=(128.0, 128.0))
lainr_ablation_sigma_q_high = run(
    "Table 4, bandwidths (128, 32), 128: queries as fine as the finest band. 35.58 dB.",
    variant, lainr_ablation(), "sigma-q-high", sigma_q=128.0)
lainr_ablation_without_multiband = run(
    "Table 3, ImageNette, w/o multiFM: aggregation, then a plain MLP. 33.90 dB.",
    variant, lainr_ablation(), "without-multiband", plain_depth=PLAIN_DEPTH)
lainr_ablation_linear_frequency = run(
    "Table 7, bands without the linear layer and the ReLU of Eq. 6: 31.95 dB. Queries (Eq. 4) keep theirs.",
    variant, lainr_ablation(), "linear-frequency", linear_frequency=False)
lainr_ablation_linear_modulation = run(
    "Table 7, modulation without the linear layer of Eq. 7: 32.07 dB.",
    variant, lainr_ablation(), "linear-modulation", linear_modulation=False)
lainr_ablation_linear_both = run(
    "Table 7, without both linear layers: 31.57 dB.",
    variant, lainr_ablation(), "linear-both", linear_frequency=False, linear_modulation=False)


def lainr_ablation_ffhq_256() -> Recipe:
    """Table 3, FFHQ 256, one head: 38.01 dB."""
    base = lainr_ffhq_256()
    return replace(base, name="lainr-ablation-ffhq-256", model=replace(base.model, heads=1))


lainr_ablation_ffhq_256_without_multiband = run(
    "Table 3, FFHQ 256, w/o multiFM: 33.65 dB.",
    variant, lainr_ablation_ffhq_256(), "without-multiband", plain_depth=PLAIN_DEPTH)

FOLLOWS.document(globals())
