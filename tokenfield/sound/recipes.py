"""Training runs on recordings, at a size that two cores train: a second at 8 kHz, 4096 values for its 8000 samples.

Bandwidths are in half-turns per unit of t, which on a segment of T seconds are T Hz each: 4000 is all that 8 kHz hold.
Patches are of 200 samples, as ginr-ipc's audio has them; that is LibriSpeech at 16 kHz, and its sizes take GPUs.
"""

from dataclasses import replace

from tokenfield.io.record import Record
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.sound.data import SoundConfig
from tokenfield.sound.models import SoundIpcConfig, SoundLainrConfig, SoundTransInrConfig
from tokenfield.sound.objective import WaveformConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

RATE = LENGTH = 8000
ENCODER: Record = {"encoder_dim": 192, "encoder_depth": 3, "encoder_heads": 3}


def lainr_speech() -> Recipe:
    """Speech with LAINR over time: 32 tokens of 128 a second, which begin as 31 ms of it each."""
    sizes = LainrConfig(**ENCODER, num_latents=32, latent_dim=128, dim=192, feature_dim=256, heads=3,
                        sigmas=(4000.0, 1000.0), sigma_q=128.0, start="local")
    return Recipe(name="lainr-speech", model=SoundLainrConfig(rate=RATE, length=LENGTH, lainr=sizes),
                  data=SoundConfig(rate=RATE, length=LENGTH),
                  optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.01, schedule="cosine",
                                    warmup=10),
                  objective=WaveformConfig(fraction=0.125), steps=400, batch_size=16, clip_norm=1.0, ema_decay=0.98,
                  evaluate_every=200, evaluate_pictures=20, checkpoint_every=50)


def ipc_speech() -> Recipe:
    """Speech with IPC over time: 16 pattern composers of 256, the values, data and steps of `lainr-speech`."""
    sizes = IpcConfig(**ENCODER, num_latents=16, dim=256, feature_dim=256, sigma=4000.0)
    return replace(lainr_speech(), name="ipc-speech", model=SoundIpcConfig(rate=RATE, length=LENGTH, ipc=sizes))


def trans_inr_speech() -> Recipe:
    """Speech with TransINR over time: 4 rows of 256 in each of four layers, as many values again."""
    sizes = TransInrConfig(**ENCODER, groups=4, modulated=(0, 1, 2, 3), dim=256, feature_dim=256, sigma=4000.0)
    model = SoundTransInrConfig(rate=RATE, length=LENGTH, trans_inr=sizes)
    return replace(lainr_speech(), name="trans-inr-speech", model=model)
