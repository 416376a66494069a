"""A toy field model, toy pictures in class folders, and their latents, for the tests here and for processes."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tokenfield.generation.denoiser import DenoiserConfig
from tokenfield.generation.encoding import Processes, encode_data
from tokenfield.generation.latents import LatentsConfig
from tokenfield.generation.objective import DenoisingConfig
from tokenfield.generation.options import Encoding
from tokenfield.models import pretrained
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.training import OptimConfig, Recipe

LAINR = LainrConfig(size=(13, 13), patch=5, padding=1, num_latents=7, latent_dim=11, encoder_dim=16, encoder_depth=1,
                    encoder_heads=2, dim=16, feature_dim=16, sigma_q=2.0, sigmas=(8.0, 4.0), heads=2)  # fmt: skip
ANCHORED = AnchoredConfig(cell=4, latent_dim=5, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1,
                          head_dim=8, harmonics=8, start="random")  # fmt: skip

RECIPE = Recipe(
    name="toy",
    model=DenoiserConfig(tokens=7, latent_dim=11, width=24, depth=2, heads=2, classes=2),
    data=LatentsConfig(),
    optim=OptimConfig(rate=1e-3),
    objective=DenoisingConfig(),
    steps=8,
    batch_size=4,
    ema_decay=0.9,
    seed=5,
    log_every=2,
    evaluate_every=4,
    evaluate_pictures=3,
    checkpoint_every=4,
)


def write_pictures(root: Path) -> Path:
    """`train/cat` 3, `train/dog` 4, `test/cat` 1, `test/dog` 2 pictures of noise with a colour of its own each."""
    for split, label, count in (("train", "cat", 3), ("train", "dog", 4), ("test", "cat", 1), ("test", "dog", 2)):
        folder = root / split / label
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draws = np.random.default_rng([len(split), ord(label[0]), number])
            picture = draws.integers(0, 80, (17, 15, 3)) + draws.integers(0, 170, 3)
            Image.fromarray(np.uint8(picture)).save(folder / f"{number}.png")
    return root


def field_model(config=LAINR):
    """The same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return config.build().eval()


def save_field(folder: Path) -> Path:
    """A folder that commands take for MODEL."""
    return pretrained.save(field_model(), folder)


def encode(pictures: Path, out: Path, model=None, **changes):
    """Latents of the pictures, in shards of 5."""
    share = Processes(**{key: changes.pop(key) for key in ("rank", "world", "meet") if key in changes})
    encoding = Encoding(shard=5, batch=3, **changes)
    return encode_data(model or field_model(), "toy", pictures, out, encoding, processes=share)
