"""Training runs on the sphere: ANR's ERA5, and small models of the climatologies of public packages.

They train on every file of a folder, one's own too; `--data.files '*.nc'` leaves some out. The climatologies
(`experiments/pools/climate.py`) are 576 fields of ten variables: twelve months of seven variables at
the sea's surface (COADS), twelve months of ocean temperature at nineteen depths (World Ocean Atlas), eleven years of
monthly winds (FNOC). Every fourth step is held out with all its variables and levels, but its neighbours in time are
trained on: these runs measure how well a field is represented, not how well one is predicted.
"""

from dataclasses import replace

from tokenfield.earth.data import GriddedConfig
from tokenfield.earth.harmonic_field import GriddedHarmonicConfig
from tokenfield.earth.models import GriddedAnchoredConfig, GriddedAnrConfig, GriddedLainrConfig, Variable
from tokenfield.earth.objective import AreaConfig
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.recipes.anr import anr_celeba_128
from tokenfield.training.card import Published
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

TEMPERATURE = Variable("t2m", units="K", offset=260.0, scale=0.01)
"""0.01 (x - 260), as in ANR's reader: the Earth's surface lies in about [-0.6, 0.6]."""
ERA5_SIZE = (180, 360)
"""Of 721 x 1440 cells; the authors' reader resizes, to a size that they do not publish."""


def anr_era5() -> Recipe:
    """ERA5 temperature, D5, in ANR's layout: a folder of `.npy` arrays (721, 1440) in kelvin, one per step.

    Standardised as 0.01 (x - 260), files split 0.85 / 0.10 / 0.05, the plain grid, every cell at each step: as in the
    authors' reader. They publish no configuration; sizes and optimiser are those of their other runs.
    """
    sizes = AnrConfig(size=ERA5_SIZE, patch=20, padding=0)
    return replace(
        anr_celeba_128(),
        name="anr-era5",
        model=GriddedAnrConfig(anr=sizes, variables=(TEMPERATURE,), coordinates="plane", masked=False),
        data=GriddedConfig(size=ERA5_SIZE, files=("*.npy",), variables=("t2m",), units=("K",), points=0),
        objective=AreaConfig(),
        clip_norm=1.0,  # their own: these values are not rescaled to [0, 1]
    )


def lainr_era5() -> Recipe:
    """ERA5 temperature with LAINR on the sphere: unit vectors, places drawn by area, the split of `anr-era5`.

    The paper's sizes and optimiser (its FFHQ model at 256 pixels); no number is published for it.
    """
    sizes = LainrConfig(size=ERA5_SIZE, patch=20, padding=0)
    tenth = ERA5_SIZE[0] * ERA5_SIZE[1] // 10  # of the cells at each step, as at 256 pixels
    return Recipe(name="lainr-era5", model=GriddedLainrConfig(lainr=sizes, variables=(TEMPERATURE,), masked=False),
                  data=GriddedConfig(size=ERA5_SIZE, files=("*.npy",), variables=("t2m",), units=("K",), points=tenth),
                  optim=OptimConfig(name="adam", rate=1e-4), objective=AreaConfig(), steps=200_000, batch_size=16,
                  log_every=50, evaluate_every=10_000, evaluate_pictures=200, checkpoint_every=2000)


def lainr_climatology() -> Recipe:
    """Climatologies with LAINR on the sphere: one model for ten variables, 1024 values a field, minutes on a core."""
    sizes = LainrConfig(size=(90, 180), patch=10, padding=0, num_latents=32, latent_dim=32, encoder_dim=128,
                        encoder_depth=2, encoder_heads=4, dim=128, feature_dim=128,
                        sigmas=(32.0, 8.0), sigma_q=4.0,  # half-turns per unit: 32 are 5.6 degrees a period
                        start="local")
    return Recipe(name="lainr-climatology", model=GriddedLainrConfig(lainr=sizes),
                  data=GriddedConfig(size=(90, 180), holdout="spread", every=4, points=512),
                  optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.01, schedule="cosine",
                                    warmup=10),
                  objective=AreaConfig(), steps=300, batch_size=8, clip_norm=1.0, ema_decay=0.98, evaluate_every=150,
                  evaluate_pictures=24, checkpoint_every=50)


def anr_climatology() -> Recipe:
    """Climatologies with ANR on the sphere: 16 tokens of 64 are the 1024 values of `lainr-climatology`."""
    sizes = AnrConfig(size=(90, 180), patch=10, padding=0, num_latents=16, dim=64, encoder_dim=128, encoder_depth=2,
                      decoder_depth=2, encoder_heads=4, encoder_head_dim=32, encoder_hidden=512, heads=4, head_dim=32,
                      sigma=32.0, depth=3, start="local")
    return replace(lainr_climatology(), name="anr-climatology", model=GriddedAnrConfig(anr=sizes))


def anchored_climatology() -> Recipe:
    """Climatologies with anchored tokens, one per 10 x 10 cells of the plain grid: 972 values a field."""
    sizes = AnchoredConfig(cell=10, latent_dim=6, encoder_dim=96, decoder_dim=96)
    model = GriddedAnchoredConfig(anchored=sizes, size=(90, 180), coordinates="plane")
    return replace(lainr_climatology(), name="anchored-climatology", model=model)


def harmonic_climatology() -> Recipe:
    """Climatologies with harmonic tokens: spherical harmonics and 63 learned patterns, 1024 values a field.

    The start in closed form is nearly all of the training; steps after it move the patterns a little.
    """
    return replace(lainr_climatology(), name="harmonic-climatology", model=GriddedHarmonicConfig(),
                   optim=OptimConfig(name="adam", rate=1e-4), steps=1, ema_decay=0.0)


Published(
    follows=("the split 0.85 / 0.10 / 0.05 and the scale 0.01 (x - 260) of ANR's reader; sizes and optimiser of the "
             "papers' pictures, for neither paper publishes a configuration",),
    departs=("files are sorted before they are split, so that the split is the same on every machine",
             "LAINR reads unit vectors and draws places by area, so that poles count as much as they are wide"),
).document(globals(), "climatology")
