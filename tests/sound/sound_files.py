"""Small recordings and models for the tests of this room."""

import numpy as np
import torch
from scipy.io import wavfile

from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.sound.models import SoundIpcConfig, SoundLainrConfig, SoundTransInrConfig

RATE, LENGTH, PATCH = 1009, 77, 7
ENCODER = {"encoder_dim": 40, "encoder_depth": 1, "encoder_heads": 2}
MLP = {"dim": 12, "depth": 3, "feature_dim": 10, "sigma": 19.0}
CUT = {"rate": RATE, "length": LENGTH, "patch": PATCH}
LAINR = LainrConfig(**ENCODER, num_latents=5, latent_dim=13, dim=48, feature_dim=34, heads=2, sigmas=(23.0, 11.0),
                    sigma_q=11.0, start="local")  # fmt: skip
CONFIGS = {
    "lainr": SoundLainrConfig(**CUT, lainr=LAINR),
    "ipc": SoundIpcConfig(**CUT, ipc=IpcConfig(**ENCODER, **MLP, num_latents=5)),
    "trans-inr": SoundTransInrConfig(**CUT, trans_inr=TransInrConfig(**ENCODER, **MLP, groups=3, modulated=(0, 1))),
}


def build(name):
    """A model with fresh weights, the same every time."""
    torch.manual_seed(3)
    return CONFIGS[name].build().eval()


def tones(count, rate=RATE):
    """Three tones that swell: samples (count,) in [-1, 1], of time in seconds at the samples' middles."""
    t = (torch.arange(count, dtype=torch.float64) + 0.5) / rate
    waves = sum((2 * torch.pi * f * t).sin() / 4 for f in (31.0, 83.0, 131.0))
    return (waves * (0.5 + 0.5 * (7 * t).sin())).float()


def write(path, count=200, rate=RATE):
    """A WAV file of 16 bits; its samples."""
    samples = (tones(count, rate) * 2**15).round().clamp(-(2**15), 2**15 - 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples.short().numpy().astype(np.int16))
    return samples / 2**15
