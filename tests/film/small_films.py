"""Small films and models for the tests of this room; sizes are distinct primes, or next to them."""

import torch
from PIL import Image

from tokenfield.data.pictures import to_pil
from tokenfield.film.models import FilmIpcConfig, FilmLainrConfig, FilmTransInrConfig
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import LainrConfig

FRAMES, SIZE, RATE = 4, (6, 9), 7.0
ENCODER = {"encoder_dim": 40, "encoder_depth": 1, "encoder_heads": 2}
MLP = {"dim": 12, "depth": 3, "feature_dim": 10, "sigma": 5.0}
CUT = {"frames": FRAMES, "size": SIZE, "patch_frames": 2, "patch": 3}
LAINR = LainrConfig(**ENCODER, num_latents=12, latent_dim=31, dim=48, feature_dim=34, heads=2, sigmas=(7.0, 5.0),
                    sigma_q=5.0, start="local")  # fmt: skip
CONFIGS = {
    "lainr": FilmLainrConfig(**CUT, channels=1, lainr=LAINR),
    "ipc": FilmIpcConfig(**CUT, channels=3, ipc=IpcConfig(**ENCODER, **MLP, num_latents=5)),
    "trans-inr": FilmTransInrConfig(**CUT, trans_inr=TransInrConfig(**ENCODER, **MLP, groups=3, modulated=(0, 1))),
}


def build(name):
    """A model with fresh weights, the same every time."""
    torch.manual_seed(3)
    return CONFIGS[name].build().eval()


def waves(frames=13, height=11, width=17, channels=3):
    """A wave that moves: (C, T, H, W) in [0, 1]."""
    t, y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in (frames, height, width)), indexing="ij")
    return torch.stack([0.5 + 0.4 * (0.3 * x + 0.2 * y + 0.5 * t + c).sin() for c in range(channels)])


def write(folder, film):
    """A film as a folder of frames, numbered without zeros in front; its bytes (C, T, H, W)."""
    folder.mkdir(parents=True)
    data = (film * 255).round().byte()
    for i, frame in enumerate(data.unbind(1)):
        Image.fromarray(frame.permute(1, 2, 0).squeeze(-1).numpy()).save(folder / f"f{i}.png")
    return data


def pictures(film):
    """Its frames as Pillow's images."""
    return [to_pil(frame) for frame in film.unbind(1)]
