"""Runs of the studies: systems on crops of photographs, cut-outs, views of 64 pixels, climatologies.

`python -m experiments train NAME` is `tokenfield train NAME` with these names as well. The pictures are any folder's;
what each run gave is in docs/log.md. `lainr-photos-64`, which they are measured against, is the library's.
"""

from dataclasses import replace
from typing import Any

from experiments.factorial.model import AnchoredLainrConfig
from experiments.pools.climate import CLIMATOLOGIES
from tokenfield.data import DataConfig
from tokenfield.earth.recipes import lainr_climatology
from tokenfield.generation.recipes import cutouts_32_lainr, fashion_28_lainr
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import SMALL, AnrConfig
from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.models.gb_lsr import GbLsrConfig
from tokenfield.models.hyponet_field import IpcConfig
from tokenfield.models.lainr import LocalizedLainrConfig
from tokenfield.models.liif import LiifConfig
from tokenfield.recipes import anr, baselines
from tokenfield.recipes.functa import meta_learned
from tokenfield.recipes.photos import anchored_photos_s, lainr_photos_64, lainr_photos_178
from tokenfield.recipes.published import lainr_of, variant
from tokenfield.registry import RECIPES
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe, run
from tokenfield.views import recipes as views
from tokenfield.views.models.lainr_views import ComposedLainrViewsConfig, LainrViewsConfig
from tokenfield.views.models.radiance import AnrRadianceConfig, TransInrRadianceConfig

RECIPES.add_functions(__name__, group="Studies")

MUON = OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.02, schedule="cosine", warmup=50)


def lainr_photos_64_muon() -> Recipe:
    """LAINR on 64-pixel crops, the same run with a better optimiser: Muon, warm-up, cosine to zero, clipping."""
    return replace(lainr_photos_64(), name="lainr-photos-64-muon", optim=MUON, clip_norm=1.0)


def lainr_anchored_photos_64() -> Recipe:
    """All changes but the shallow encoder at the sizes of `lainr-photos-64-muon`: the model between it and anchored."""
    base = lainr_photos_64_muon()
    model = AnchoredLainrConfig(lainr_of(base), anchors=True, distance=True, multiplicative=True, skip=True,
                                relative=True)
    return replace(base, name="lainr-anchored-photos-64", model=model)


def lainr_photos_64_localized() -> Recipe:
    """LAINR on 64-pixel crops with the localized attention of ANR as its aggregator."""
    base = lainr_photos_64()
    return replace(base, name="lainr-photos-64-localized", model=LocalizedLainrConfig(lainr_of(base)))


def anchored_photos_64() -> Recipe:
    """Anchored tokens on the pictures, the values stored and the batch of `lainr-photos-64`, for one figure of both."""
    return replace(
        anchored_photos_s(),
        name="anchored-photos-64",
        data=DataConfig(layout="folder", size=64, crop="pyramid"),
        objective=ReconstructionConfig(jitter="none", average="decibels"),
        steps=4000,
        batch_size=16,
        evaluate_every=500,
    )


def anchored_photos_64_random() -> Recipe:
    """The same from random weights: what the architecture does without the linear code it starts from."""
    recipe = anchored_photos_64()
    return replace(recipe, name="anchored-photos-64-random", model=replace(recipe.model, start="random"))


def anr_photos_64() -> Recipe:
    """ANR on 64-pixel crops, of the size of `lainr-photos-64`: 48 tokens of 128 are as many values as 64 of 96."""
    base = lainr_photos_64()
    objective = replace(base.objective, jitter="normal")
    return replace(base, name="anr-photos-64", model=AnrConfig(**SMALL), optim=anr.ADAM, objective=objective,
                   clip_norm=anr.CLIP_NORM)


def anr_photos_64_muon() -> Recipe:
    """ANR on 64-pixel crops, the same run with a better optimiser, as in `lainr-photos-64-muon`."""
    return replace(anr_photos_64(), name="anr-photos-64-muon", optim=MUON, clip_norm=1.0)


anr_photos_64_multiband = run(
    "ANR on 64-pixel crops with LAINR's multi-band head in place of the global MLP.",
    variant, anr_photos_64(), "multiband", sigmas=(64.0, 16.0))
ipc_photos_64 = run(
    "IPC on 64-pixel crops, of the size of `lainr-photos-64`: 48 tokens of 128 are as many values as 64 of 96.",
    baselines.ipc, lainr_photos_64(), num_latents=48)
trans_inr_photos_64 = run(
    "TransINR on 64-pixel crops: 16 groups per layer, 8576 values stored; 8 groups would be 4480.",
    baselines.trans_inr, lainr_photos_64(), groups=16)
learned_init_photos_64 = run(
    "Learned Init on 64-pixel crops; it stores the whole MLP, 65 920 values.",
    baselines.learned_init, lainr_photos_64())
composed_photos_64 = run(
    "LAINR w/o STA on 64-pixel crops: 48 tokens of 128.", baselines.composed, lainr_photos_64(), num_latents=48)


def functa_photos_64() -> Recipe:
    """Functa on 64-pixel crops, with the MLP of its rivals: 512 values stored, as many as that MLP has shifts.

    A longer vector could not say more: the linear map from 6144 numbers to 512 shifts has rank 512.
    """
    model = FunctaConfig(dim=128, depth=5, latent_dim=512)
    return meta_learned(lainr_photos_64(), "functa-photos-64", model, 3e-4)


def spatial_functa_photos_64() -> Recipe:
    """Spatial Functa on 64-pixel crops: 8 x 8 x 96, 6144 values stored, one vector per cell of 8 x 8 pixels."""
    model = SpatialFunctaConfig(size=(64, 64), grid=(8, 8), latent_dim=96, kernel=1, dim=64, depth=5)
    return meta_learned(lainr_photos_64(), "spatial-functa-photos-64", model, 3e-4)


def liif_photos_64() -> Recipe:
    """LIIF with EDSR-baseline on 64-pixel crops: 64 numbers for every pixel, 262 144 values stored."""
    return replace(lainr_photos_64(), name="liif-photos-64", model=LiifConfig())


def gb_lsr_photos_64() -> Recipe:
    """GB-LSR on 64-pixel crops: 8 x 8 x 96, 6144 values stored; rate and clipping are its code's."""
    model = GbLsrConfig(size=(64, 64), patch=8, dim=96)
    optim = OptimConfig(name="adamw", rate=2e-4)
    return replace(lainr_photos_64(), name="gb-lsr-photos-64", model=model, optim=optim, clip_norm=1.0)


def anr_photos_64_small() -> Recipe:
    """ANR on 64-pixel crops, small enough for three minutes on a core: what `results/superres` compares noise on.

    3072 values per picture, an eighth of the pixels per step at their centres; `--objective.jitter` adds the noise.
    The bandwidth stays at the published 1024, 32 times what 64 pixels can tell: without noise all of it is free.
    """
    base = anr_photos_64_muon()
    model = replace(
        base.model,
        dim=64,
        encoder_dim=96,
        encoder_depth=1,
        decoder_depth=1,
        encoder_head_dim=32,
        encoder_hidden=384,
        head_dim=32,
        depth=3,
    )
    return _small(base, "anr-photos-64-small", model, 1400)


def lainr_photos_64_small() -> Recipe:
    """LAINR on 64-pixel crops, small enough for three minutes on a core; see `anr-photos-64-small`."""
    base = lainr_photos_64_muon()
    model = replace(base.model, latent_dim=48, encoder_dim=96, encoder_depth=2, dim=96, feature_dim=96)
    return _small(base, "lainr-photos-64-small", model, 1000)


def _small(base: Recipe, name: str, model: Any, steps: int) -> Recipe:
    return replace(
        base,
        name=name,
        model=model,
        optim=replace(base.optim, rate=2e-3, warmup=20),
        objective=ReconstructionConfig(jitter="none", fraction=1 / 8, subset="grid"),
        steps=steps,
        batch_size=8,
        evaluate_every=steps,
        checkpoint_every=steps,
    )


def anr_photos_178() -> Recipe:
    """ANR on 178-pixel crops, in LAINR's sizes: 256 tokens of 256, 65 536 values; for an accelerator."""
    model = AnrConfig(size=(178, 178), patch=9, padding=1, dim=256)
    return replace(lainr_photos_178(), name="anr-photos-178", model=model)


def lainr_photos_178_localized() -> Recipe:
    """LAINR on 178-pixel crops with the localized attention of ANR as its aggregator."""
    base = lainr_photos_178()
    return replace(base, name="lainr-photos-178-localized", model=LocalizedLainrConfig(lainr_of(base)))


anr_photos_178_multiband = run(
    "ANR on 178-pixel crops with LAINR's multi-band head in place of the global MLP.",
    variant, anr_photos_178(), "multiband", sigmas=lainr_of(lainr_photos_178()).sigmas)
ipc_photos_178 = run(
    "IPC on 178-pixel crops: the published model and optimiser; for an accelerator.", baselines.ipc, lainr_photos_178())
trans_inr_photos_178 = run(
    "TransINR on 178-pixel crops: the published model and optimiser; for an accelerator.",
    baselines.trans_inr, lainr_photos_178())
learned_init_photos_178 = run(
    "Learned Init on 178-pixel crops; for an accelerator.", baselines.learned_init, lainr_photos_178())
composed_photos_178 = run(
    "LAINR w/o STA on 178-pixel crops; for an accelerator.", baselines.composed, lainr_photos_178())


def cutouts_32_ipc() -> Recipe:
    """IPC on 32-pixel cut-outs: 16 tokens of 64, the encoder, pictures, optimiser and steps of `cutouts-32-lainr`."""
    recipe = cutouts_32_lainr()
    model = IpcConfig(**baselines.shared(lainr_of(recipe)), num_latents=16)
    return replace(recipe, name="cutouts-32-ipc", model=model)


def fashion_28_ipc() -> Recipe:
    """IPC on garments: 6 tokens of 64, the 384 values, encoder, pictures and steps of `fashion-28-lainr`."""
    recipe = fashion_28_lainr()
    sizes = baselines.shared(lainr_of(recipe)) | {"num_latents": 6, "dim": 64, "feature_dim": 64}
    return replace(recipe, name="fashion-28-ipc", model=IpcConfig(**sizes))


def fashion_28_anchored() -> Recipe:
    """Anchored tokens on garments: 4 x 4 tokens of 24."""
    model = AnchoredConfig(cell=7, channels=1, latent_dim=24, harmonics=14)
    return replace(fashion_28_lainr(), name="fashion-28-anchored", model=model)


def fashion_28_spatial_functa() -> Recipe:
    """Spatial Functa on garments: a grid of 4 x 4 latents of 24; Adam at the rate of `spatial-functa` here."""
    model = SpatialFunctaConfig(size=(28, 28), channels=1, grid=(4, 4), latent_dim=24, dim=64, depth=5)
    return meta_learned(fashion_28_lainr(), "fashion-28-spatial-functa", model, 3e-4, parts=1)


def views_lainr_64_composed() -> Recipe:
    """LAINR w/o STA at 64 pixels: composers in place of attention; 64 tokens of 96 as there."""
    model = ComposedLainrViewsConfig(views.SMALL)
    return replace(views.views_lainr_64(), name="views-lainr-64-composed", model=model)


def views_lainr_64_plain() -> Recipe:
    """LAINR w/o multiFM at 64 pixels: a plain MLP in place of the bands."""
    model = LainrViewsConfig(replace(views.SMALL, plain_depth=views.PLAIN_DEPTH))
    return replace(views.views_lainr_64(), name="views-lainr-64-plain", model=model)


def views_lainr_64_ipc() -> Recipe:
    """LAINR w/o both at 64 pixels: IPC's MLP as a light field."""
    return replace(views.views_lainr_64(), name="views-lainr-64-ipc", model=views.ipc_over_rays(views.SMALL))


def views_trans_inr_64() -> Recipe:
    """TransINR's radiance field at 64 pixels, the encoder of `views-lainr-64`; 16 groups, 7488 values stored."""
    model = TransInrRadianceConfig(**views.RADIANCE, groups=16)
    return replace(views.views_ipc_64(), name="views-trans-inr-64", model=model)


def views_anr_64() -> Recipe:
    """ANR's radiance field at 64 pixels: blocks and values stored of `views-lainr-64`, a shallow global MLP."""
    model = AnrRadianceConfig(**views.SIZES | {"encoder_depth": 2}, decoder_depth=1, encoder_head_dim=32,
                              encoder_hidden=4 * views.SMALL.encoder_dim, num_latents=views.SMALL.num_latents, heads=1,
                              head_dim=views.SMALL.dim, sigma=32.0, depth=2)
    return replace(views.views_ipc_64(), name="views-anr-64", model=model)


def lainr_climatology_plane() -> Recipe:
    """Climatologies with LAINR on the plain grid: `lainr-climatology` but for its coordinates, to see what they do."""
    base = lainr_climatology()
    data = replace(base.data, files=CLIMATOLOGIES)
    return replace(base, name="lainr-climatology-plane", data=data, model=replace(base.model, coordinates="plane"))
