"""Training runs on posed views: LAINR's light fields (4.2, A.2), and the radiance fields that came before.

The published runs are on the learnit renderings of ShapeNet at 128 pixels. A run is for one number of support views,
three unless `--data.support` and `--model.views` say otherwise: Fig. 4(a) has a run for every number from one to five.

Where the papers are silent, runs follow the code of IPC that LAINR is built on (docs/settings.md): learned positions of
every patch of every view, residual dropout 0.1, learnable tokens and positions from N(0, 1); ANR's runs follow ANR's
code. Three things depart: bfloat16 in place of float16, which needs no scaling of the loss; what is drawn, so that a
run resumes exactly; and objects are drawn with replacement. A light field needs no learned positions: with
`--model.positions none --data.fewest 1` one run is for every number of views.
"""

from dataclasses import replace

from tokenfield.io.record import Record
from tokenfield.models.lainr import LainrConfig
from tokenfield.recipes.ablations import PLAIN_DEPTH as PLAIN_DEPTH
from tokenfield.training.card import Published
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.protocols import ModelConfig
from tokenfield.training.recipe import Recipe, run
from tokenfield.views.data import ViewsConfig
from tokenfield.views.models.lainr_views import VIEWS_LAINR, ComposedLainrViewsConfig, LainrViewsConfig
from tokenfield.views.models.radiance import (
    AnrRadianceConfig,
    HyperIpcRadianceConfig,
    HyperTransInrRadianceConfig,
    IpcRadianceConfig,
    TransInrRadianceConfig,
)
from tokenfield.views.objective import LightFieldRays, RadianceRays

FOLLOWS = Published(
    follows=("the papers' sizes, splits, epochs and Adam at 1e-4; ANR's runs its authors' code",
             "ginr-ipc's code where the papers are silent: learned positions of every patch of every view, residual "
             "dropout 0.1, tokens and positions from N(0, 1), rays on the object in the first epoch"),
    departs=("bfloat16 for float16, which needs no scaling of the loss (ANR's: float32, as theirs)",
             "objects are drawn with replacement, so that a run resumes exactly"),
)
"""What the published ones follow, and where they depart."""

BATCH = 32
OBJECTS = {"cars": 2473, "chairs": 4745, "lamps": 1623}
"""Training objects, which the papers do not print: 70 % of ShapeNetCore's models. For another number give `--steps`."""


def steps(epochs: int, category: str) -> int:
    """Optimiser steps in which every object is seen `epochs` times."""
    return -(-epochs * OBJECTS[category] // BATCH)


RELEASED: Record = {"start": "published", "dropout": 0.1}
"""How encoders start and are trained in ginr-ipc's code."""
LAINR = replace(VIEWS_LAINR, **RELEASED)
THREE: Record = {"views": 3, "positions": "learned"}
"""Support views of the published runs."""


def _light_field(name: str, category: str, epochs: int) -> Recipe:
    return Recipe(name=name, model=LainrViewsConfig(LAINR, **THREE), data=ViewsConfig(category=category),
                  optim=OptimConfig(name="adam", rate=1e-4), objective=LightFieldRays(), steps=steps(epochs, category),
                  batch_size=BATCH, accumulate=4, log_every=50, evaluate_every=5000, checkpoint_every=2000,
                  precision="bf16")


views_lainr_cars = run("Fig. 4(a), LAINR, ShapeNet cars 128, 1000 epochs, 3 support views.",
                       _light_field, "views-lainr-cars", "cars", 1000)
views_lainr_chairs = run("Fig. 4(a), LAINR, ShapeNet chairs 128, 1000 epochs, 3 support views.",
                       _light_field, "views-lainr-chairs", "chairs", 1000)
views_lainr_lamps = run("Fig. 4(a), LAINR, ShapeNet lamps 128, 500 epochs, 3 support views.",
                       _light_field, "views-lainr-lamps", "lamps", 500)


def ipc_over_rays(sizes: LainrConfig, **views: object) -> ComposedLainrViewsConfig:
    """IPC's MLP as a light field: 2 layers are what is left of its 5; the bandwidth is the finest band's."""
    fields: Record = views
    return ComposedLainrViewsConfig(replace(sizes, sigma_q=max(sizes.sigmas), plain_depth=2), **fields)


def _ablation(name: str, model: ModelConfig) -> Recipe:
    return replace(views_lainr_lamps(), name=name, model=model)


views_ablation = run("Table 3, LAINR with one head, ShapeNet lamps, 3 support views: 26.00 dB.",
                     _ablation, "views-ablation", LainrViewsConfig(replace(LAINR, heads=1), **THREE))
views_ablation_without_attention = run(
    "Table 3, w/o STA, ShapeNet lamps, 3 support views: 25.31 dB.",
    _ablation, "views-ablation-without-attention", ComposedLainrViewsConfig(LAINR, **THREE))
views_ablation_without_multiband = run(
    "Table 3, w/o multiFM, ShapeNet lamps, 3 support views: 25.78 dB.", _ablation, "views-ablation-without-multiband",
    LainrViewsConfig(replace(LAINR, heads=1, plain_depth=PLAIN_DEPTH), **THREE))
views_ablation_without_both = run(
    "Table 3, w/o both (IPC's MLP over rays), ShapeNet lamps, 3 support views: 25.09 dB, where it stands as IPC.",
    _ablation, "views-ablation-without-both", ipc_over_rays(LAINR, **THREE))


def _radiance(name: str, model: ModelConfig, category: str, support: int, epochs: int) -> Recipe:
    rays = RadianceRays(foreground_steps=steps(1, category))  # on the object in the first epoch, as in the code of both
    return replace(_light_field(name, category, epochs), model=model, objective=rays, accumulate=1,
                   data=ViewsConfig(category=category, support=support))


views_ipc_cars = run(
    "IPC's radiance field, ShapeNet cars 128, 1000 epochs, 3 support views; the baseline of Fig. 4(a).",
    _radiance, "views-ipc-cars", IpcRadianceConfig(views=3, **RELEASED), "cars", 3, 1000)
views_ipc_chairs = run(
    "IPC's radiance field, ShapeNet chairs 128, 1000 epochs, 3 support views; the baseline of Fig. 4(a).",
    _radiance, "views-ipc-chairs", IpcRadianceConfig(views=3, **RELEASED), "chairs", 3, 1000)
views_ipc_lamps = run(
    "IPC's radiance field, ShapeNet lamps 128, 3 support views; the baseline of Fig. 4(a), 25.09 dB in Table 3.",
    _radiance, "views-ipc-lamps", IpcRadianceConfig(views=3, **RELEASED), "lamps", 3, 500)
views_trans_inr_cars = run(
    "TransINR's radiance field, ShapeNet cars 128, 1000 epochs of 2 views each, one support view; 32 groups.",
    _radiance, "views-trans-inr-cars", TransInrRadianceConfig(groups=32, **RELEASED), "cars", 1, 2000)
views_trans_inr_chairs = run(
    "TransINR's radiance field, ShapeNet chairs 128, 1000 epochs, one support view; 32 groups.",
    _radiance, "views-trans-inr-chairs", TransInrRadianceConfig(groups=32, **RELEASED), "chairs", 1, 1000)
views_trans_inr_lamps = run(
    "TransINR's radiance field, ShapeNet lamps 128, 1000 epochs of 3 views each, one support view; 32 groups.",
    _radiance, "views-trans-inr-lamps", TransInrRadianceConfig(groups=32, **RELEASED), "lamps", 1, 3000)


def _anr(name: str, model: ModelConfig) -> Recipe:
    """Average and clipping as in `recipes.anr`; colours are in [0, 1] here as there, so norms need no conversion."""
    return replace(_radiance(name, model, "cars", 3, 1), optim=OptimConfig(name="adam", rate=5e-5, betas=(0.9, 0.99)),
                   objective=RadianceRays(rays=512, foreground_steps=1000), steps=100_000, batch_size=18, accumulate=3,
                   clip_norm=1.0, ema_decay=0.995, ema_every=10, precision="fp32")


views_anr_cars = run(
    "ANR's radiance field, ShapeNet cars 128, 3 support views, 512 rays, 100k steps of 3 x 6 objects.",
    _anr, "views-anr-cars", AnrRadianceConfig())
views_anr_trans_inr_cars = run(
    "TransINR's radiance field on ANR's hyper-network, D6, mod128: ANR's rival on ShapeNet cars; shown in a figure.",
    _anr, "views-anr-trans-inr-cars", HyperTransInrRadianceConfig())
views_anr_ipc_cars = run(
    "IPC's radiance field on ANR's hyper-network, D6, mod128: ANR's rival on ShapeNet cars; shown in a figure.",
    _anr, "views-anr-ipc-cars", HyperIpcRadianceConfig())


SMALL = replace(VIEWS_LAINR, size=(64, 64), num_latents=64, latent_dim=96, encoder_dim=128, encoder_depth=3,
                encoder_heads=4, dim=96, feature_dim=96)
"""A LAINR for views that two cores can train."""

SIZES: Record = {name: getattr(SMALL, name) for name in
                 ("size", "encoder_dim", "encoder_depth", "encoder_heads", "dim")}
RADIANCE: Record = SIZES | {"feature_dim": 60, "sigma": 32.0, "views": 3}
"""Sizes of a radiance field by a modulated MLP beside it; 2^5 is a sixteenth of the object's size at 64 pixels."""


def views_lainr_64() -> Recipe:
    """LAINR's light field of any category at 64 pixels, from one to five support views, small enough for two cores."""
    return Recipe(name="views-lainr-64", model=LainrViewsConfig(SMALL), data=ViewsConfig(size=64, support=5, fewest=1),
                  optim=OptimConfig(name="adam", rate=1e-3, schedule="cosine", warmup=50),
                  objective=LightFieldRays(rays=512), steps=2000, batch_size=8, clip_norm=1.0, evaluate_every=500,
                  evaluate_pictures=16, checkpoint_every=500)


def views_ipc_64() -> Recipe:
    """IPC's radiance field at 64 pixels, the encoder and the values stored of `views-lainr-64`; three support views."""
    return replace(views_lainr_64(), name="views-ipc-64",
                   model=IpcRadianceConfig(**RADIANCE, num_latents=SMALL.num_latents),
                   data=ViewsConfig(size=64, support=3),
                   objective=RadianceRays(rays=64, points=32, foreground_steps=300))


def views_lamps() -> Recipe:
    """The packaged `views-lamps`: lamps and furniture at 64 pixels, from a few support views (results: README).

    Every token serves a place among rays from the first step on (docs/local_start.md), Muon for matrices, PSNR averaged
    rather than errors. An object is encoded once for four views, of which one is a support view; mirrored objects and
    exchanged colour channels make more of few objects.
    """
    sizes = replace(SMALL, encoder_depth=4, dim=128, feature_dim=252, sigmas=(24.0, 8.0), sigma_q=6.0, start="local")
    return replace(views_lainr_64(), name="views-lamps", model=LainrViewsConfig(sizes, line="foot"),
                   data=ViewsConfig(size=64, support=4, fewest=2, first_views=0, targets=3, again=1, balance=True,
                                    vary="mirrors"),
                   optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=5e-3, schedule="cosine",
                                     warmup=50),
                   objective=LightFieldRays(rays=512, average="decibels"), steps=1600, ema_decay=0.99, seed=1,
                   evaluate_every=800, evaluate_pictures=20, checkpoint_every=100)


FOLLOWS.document(globals(), "_64", "views_lamps")
