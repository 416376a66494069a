"""Runs on any folder of photographs: random crops at many scales, in eight orientations.

None of these numbers is published; what each run gave is in docs/log.md.
"""

from dataclasses import replace

from tokenfield.data import DataConfig
from tokenfield.io.record import Record
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import SMALL, LainrConfig
from tokenfield.models.liif import LiifConfig
from tokenfield.models.pca_mixture import PcaMixtureConfig
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe, usual_recipe
from tokenfield.training.zoom import ZoomConfig


def anchored_photos_s() -> Recipe:
    """The packaged `photos-s`: one stored value per two pixel values, any picture size (results: README).

    Anchored tokens from a linear code of the training pictures; Muon for matrices; PSNR averaged rather than errors;
    pictures twice the encoded size, so that the field is also right in between the pixels it saw.
    """
    return Recipe(
        name="anchored-photos-s",
        model=AnchoredConfig(),
        data=DataConfig(layout="folder", size=192),
        optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=5e-3, schedule="cosine", warmup=30),
        objective=ReconstructionConfig(jitter="none", average="decibels", zoom=2),
        steps=10_000,
        batch_size=8,
        clip_norm=1.0,
        evaluate_every=1000,
        checkpoint_every=500,
    )


def lainr_photos() -> Recipe:
    """The packaged `lainr-photos`: the paper's equations on 64-pixel tiles, one stored value per two pixel values.

    Every token serves a place from the first step on, and sixteen heads share out its surroundings
    (docs/local_start.md); Muon for matrices, a cosine to zero, clipping, a moving average. PSNR is averaged rather than
    errors, and coordinates are noisy, by little: uniform noise over a pixel asks for a field that is flat there, which
    is expected to cost sharpness. Neither was tried alone.
    """
    base = usual_recipe("lainr-photos", LainrConfig(**SMALL, heads=16, start="local"))
    return replace(base, steps=18_000, ema_decay=0.99, evaluate_pictures=200)


def lainr_photos_64() -> Recipe:
    """LAINR on 64-pixel crops, small enough for two cores, trained as the paper trains: Adam, constant 1e-4."""
    decoder: Record = {"dim": 128, "feature_dim": 128, "sigmas": (64.0, 16.0), "sigma_q": 8.0}
    return replace(
        usual_recipe("lainr-photos-64", LainrConfig(**SMALL | {"encoder_depth": 3} | decoder)),
        optim=OptimConfig(name="adam", rate=1e-4),
        objective=ReconstructionConfig(jitter="axis", fraction=0.25, subset="grid"),  # 32 x 32 of 64 x 64
        clip_norm=0.0,
        checkpoint_every=500,
    )


def lainr_photos_178() -> Recipe:
    """LAINR on 178-pixel crops: the paper's model (43 M parameters) and optimiser; for an accelerator."""
    return Recipe(name="lainr-photos-178", model=LainrConfig(),
                  data=DataConfig(layout="folder", size=178, crop="pyramid"), optim=OptimConfig(name="adam", rate=1e-4),
                  objective=ReconstructionConfig(jitter="axis"), steps=100_000, batch_size=16, log_every=50,
                  evaluate_every=5000, checkpoint_every=2000)


def switched_photos_ladder() -> Recipe:
    """The packaged `photos-ladder`: 1/2 to 1/32 stored values per pixel value from one model (results: README).

    256 linear codes are fitted first, in minutes. All that is trained afterwards is how sharply neighbours are told
    apart, one number per rate: the pictures of a batch take turns in being cut to one of the prefixes.
    """
    model = PcaMixtureConfig()
    return Recipe(name="switched-photos-ladder", model=model, data=DataConfig(layout="folder", size=96, levels=2),
                  optim=OptimConfig(name="adam", rate=0.03, schedule="cosine"),
                  objective=ReconstructionConfig(jitter="none", average="decibels", prefixes=model.prefixes), steps=150,
                  batch_size=10, evaluate_every=150, checkpoint_every=50)


def liif_photos_zoom() -> Recipe:
    """The packaged `photos-zoom`: pictures that are sharper between their pixels, at 1 to 4 times their size.

    LIIF's training on a smaller network that begins as bicubic interpolation: the picture itself is added, and the
    network makes what that lacks. Adam falls to zero as a cosine in place of four halvings in a million steps.
    """
    return Recipe(name="liif-photos-zoom", model=LiifConfig(dim=32, depth=8, hidden=(64, 64, 64), skip="bicubic"),
                  data=DataConfig(layout="folder", size=192),
                  optim=OptimConfig(name="adam", rate=1e-3, betas=(0.9, 0.99), schedule="cosine", warmup=50),
                  objective=ZoomConfig(), steps=3600, batch_size=8, clip_norm=1.0, ema_decay=0.999, evaluate_every=600,
                  evaluate_pictures=40, checkpoint_every=300)
