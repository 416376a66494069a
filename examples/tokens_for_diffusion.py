"""
Tokens for your diffusion model
===============================

Latent diffusion needs an autoencoder. A field model is one whose decoder has no resolution: what is drawn from its
tokens renders at any size. This page puts a packaged model into a training loop of your own, then draws garments with a
packaged denoiser and a scheduler of ``diffusers``. It needs the extra ``generation``: ``pip install
'tokenfield[generation]'``.
"""

# %%
# An autoencoder with familiar habits
# -----------------------------------
#
# ``LatentAutoencoder`` wraps any field model of pictures: ``encode(x).latent_dist``, ``decode(z).sample``,
# ``config.scaling_factor``, pictures in [-1, 1]. It standardises the tokens by the statistics of some pictures. The
# pictures here are discs on plain ground.

import matplotlib.pyplot as plt
import torch
from diffusers import DDPMScheduler
from torch import nn

import tokenfield as tf
from tokenfield.interop.latent_autoencoder import LatentAutoencoder

torch.manual_seed(0)
axis = torch.linspace(-1, 1, 32)


def discs(count: int) -> torch.Tensor:
    """Discs of random place, size and colour: (N, 3, 32, 32) in [0, 1]."""
    centre, radius = 0.8 * torch.rand(count, 2, 1, 1) - 0.4, 0.25 + 0.25 * torch.rand(count, 1, 1)
    distance = ((axis[:, None] - centre[:, 0]) ** 2 + (axis - centre[:, 1]) ** 2).sqrt()
    inside = torch.sigmoid((radius - distance) * 24)[:, None]
    colour, ground = torch.rand(count, 3, 1, 1), 0.85 + 0.1 * torch.rand(count, 3, 1, 1)
    return inside * colour + (1 - inside) * ground


pictures = discs(512)
autoencoder = LatentAutoencoder.fit(tf.load("photos-s"), pictures.split(128))
with torch.no_grad():
    latents = torch.cat([autoencoder.encode(2 * batch - 1).latents for batch in pictures.split(128)])
    back = (autoencoder.decode(latents[:8]).sample + 1) / 2
print(autoencoder.config)
print(f"latents {tuple(latents.shape)}; there and back {tf.psnr(back, pictures[:8]).mean().item():.1f} dB")

# %%
# A denoiser
# ----------
#
# A transformer over the 4 x 4 tokens, told the time by one more token; it predicts the clean latents, as LAINR's
# authors do. Any network that takes (B, D, rows, columns) will do, a U-Net or a DiT of yours.


class Denoiser(nn.Module):
    """Clean latents from noisy ones."""

    def __init__(self, channels: int, cells: int, width: int = 128):
        super().__init__()
        self.inward, self.time = nn.Linear(channels, width), nn.Linear(1, width)
        self.place = nn.Parameter(0.02 * torch.randn(cells + 1, width))
        layer = nn.TransformerEncoderLayer(width, 4, 256, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.outward = nn.Linear(width, channels)

    def forward(self, z: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """(B, D, rows, columns) and the steps (B,) of the schedule."""
        tokens = torch.cat([self.time(step[:, None, None] / 1000), self.inward(z.flatten(2).mT)], 1)
        return self.outward(self.blocks(tokens + self.place)[:, 1:]).mT.unflatten(-1, z.shape[2:])


schedule = DDPMScheduler(prediction_type="sample")
denoiser = Denoiser(latents.shape[1], latents[0, 0].numel())
optimizer = torch.optim.AdamW(denoiser.parameters(), lr=1e-3)
losses = []
for _ in range(100):
    z = latents[torch.randint(len(latents), (64,))]
    noise, time = torch.randn_like(z), torch.randint(1000, (len(z),))
    loss = (denoiser(schedule.add_noise(z, noise, time), time.float()) - z).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(f"loss {sum(losses[:10]) / 10:.3f} -> {sum(losses[-10:]) / 10:.3f}; of guessing the mean: 1")

# %%
# What an hour of training gives
# ------------------------------
#
# A hundred steps are a start and draw no disc yet. ``generate-fashion`` has 8000 steps behind it, an hour of one core,
# on LAINR's tokens of Fashion-MNIST: 16 tokens of 24 numbers for a picture. It predicts a velocity, so a scheduler of
# flow matching turns noise into tokens, in 25 steps. Classes are exaggerated by guidance.

from diffusers import FlowMatchEulerDiscreteScheduler

from tokenfield.generation.samples_to_fields import load_denoiser, load_field_model, to_field

garments = load_denoiser("generate-fashion")
reader, names = load_field_model(garments), garments.config.names
some = torch.tensor([names.index(name) for name in ("ankle boot", "bag", "coat", "dress", "sandal", "trouser")])
nothing = torch.full_like(some, garments.config.classes)

sampler = FlowMatchEulerDiscreteScheduler()
sampler.set_timesteps(25)
z = torch.randn(len(some), *garments.shape)
with torch.no_grad():
    for time in sampler.timesteps:
        share = (time / 1000).expand(len(z))  # of noise
        with_class, without = garments(z, share, some), garments(z, share, nothing)
        z = sampler.step(without + 1.5 * (with_class - without), time, z).prev_sample

# %%
# Samples, at any size
# --------------------
#
# A sample is a field like any other: here at the 28 pixels that were encoded, and at 224.

fields = [to_field(garments, reader, tokens) for tokens in z]
figure, axes = plt.subplots(2, 6, figsize=(11, 3.9), layout="constrained")
for row, size in zip(axes, (28, 224), strict=True):
    row[0].set_title(f"{size} pixels", loc="left")
    for place, field in zip(row, fields, strict=True):
        place.imshow(field.render(size, size)[0].clamp(0, 1).numpy(), cmap="gray", interpolation="nearest")
        place.set_axis_off()
plt.show()

# %%
# Without Python
# --------------
#
# The same, and with averaged weights, DDPM, any aspect ratio, in-filling and FID: :doc:`generation <../generation>`.
#
# .. code-block:: sh
#
#    tokenfield generate samples generate-fashion --class "ankle boot" --count 16 -o boots
#    tokenfield latents photos-s DATA --layout imagenette --size 64 -o latents
#    tokenfield train ldm-photos-64-anchored --data latents --out runs/denoiser
#    tokenfield generate samples runs/denoiser --count 16 --size 512 -o samples
