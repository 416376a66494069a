"""Training runs on films, at a size that two cores train: clips of 8 frames of 32 x 32 pixels, a value for two samples.

Bandwidths are those of the 64-pixel runs on photographs, at half the side.
"""

from dataclasses import replace

from tokenfield.film.data import FilmConfig
from tokenfield.film.models import FilmIpcConfig, FilmLainrConfig, FilmTransInrConfig
from tokenfield.film.objective import FramesConfig
from tokenfield.io.record import Record
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

ENCODER: Record = {"encoder_dim": 192, "encoder_depth": 2, "encoder_heads": 3}


def lainr_film() -> Recipe:
    """Films with LAINR over time and place: 64 tokens of 192 a clip, which begin as 2 frames of 8 x 8 pixels each."""
    sizes = LainrConfig(**ENCODER, num_latents=64, latent_dim=192, dim=192, feature_dim=192, heads=4,
                        sigmas=(23.0, 5.75), sigma_q=5.75, start="local")
    return Recipe(name="lainr-film", model=FilmLainrConfig(lainr=sizes), data=FilmConfig(),
                  optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.01, schedule="cosine",
                                    warmup=10),
                  objective=FramesConfig(fraction=0.25), steps=4000, batch_size=16, clip_norm=1.0, ema_decay=0.99,
                  evaluate_every=1000, evaluate_pictures=8, checkpoint_every=200)


def ipc_film() -> Recipe:
    """Films with IPC over time and place: 48 pattern composers of 256, the values, data and steps of `lainr-film`."""
    sizes = IpcConfig(**ENCODER, num_latents=48, dim=256, feature_dim=192, sigma=23.0)
    return replace(lainr_film(), name="ipc-film", model=FilmIpcConfig(ipc=sizes))


def trans_inr_film() -> Recipe:
    """Films with TransINR over time and place: 16 rows of 256 in each of three layers, as many values again."""
    sizes = TransInrConfig(**ENCODER, groups=16, modulated=(1, 2, 3), dim=256, feature_dim=192, sigma=23.0)
    return replace(lainr_film(), name="trans-inr-film", model=FilmTransInrConfig(trans_inr=sizes))
