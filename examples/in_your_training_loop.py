"""
In your training loop
=====================

A model is a ``torch.nn.Module``: ``encode``, ``decode``, and ``forward(images, coords)``, which is one after the
other. It trains in any loop, with any optimiser, under ``accelerate``, in bfloat16, compiled. Nothing of this
library's trainer is needed.
"""

# %%
# Pictures as a ``Dataset``
# -------------------------
#
# Any dataset that gives pictures (3, H, W) in [0, 1] will do; this one cuts squares out of photographs.

import matplotlib.pyplot as plt
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset

import tokenfield as tf
from tokenfield.data.demo_pictures import held_out
from tokenfield.models.lainr import LainrConfig


class Squares(Dataset):
    """Squares of photographs; number i is always the same one."""

    def __init__(self, names: list[str], count: int, size: int = 16):
        self.pictures, self.count, self.size = [held_out(name) for name in names], count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        draw = torch.Generator().manual_seed(index)
        picture = self.pictures[index % len(self.pictures)]
        top, left = (int(torch.randint(n - self.size + 1, (), generator=draw)) for n in picture.shape[1:])
        return picture[:, top : top + self.size, left : left + self.size]


loader = DataLoader(Squares(["astronaut", "coffee", "rocket"], 1600), batch_size=16, shuffle=True)

# %%
# A model with fresh weights
# --------------------------
#
# A configuration builds it. The local start looks at some training pictures before the first step.

torch.manual_seed(0)
config = LainrConfig(
    size=(16, 16),
    patch=4,
    padding=0,
    num_latents=16,
    latent_dim=24,
    encoder_dim=64,
    encoder_depth=1,
    encoder_heads=2,
    dim=64,
    feature_dim=64,
    sigma_q=4.0,
    sigmas=(16.0, 4.0),
    start="local",
)
model = config.build()
model.initialize(next(iter(loader)))
print(f"{model.num_parameters} parameters")

# %%
# The loop
# --------
#
# ``accelerate`` moves everything and sets autocast. Phases stay in float32 inside the model whatever the precision,
# since a bfloat16 phase is wrong by whole periods. ``torch.compile`` takes the model as it is; this page names the
# ``aot_eager`` backend, which traces and differentiates but needs no C++ compiler: leave it out and the default
# generates kernels.

accelerator = Accelerator(mixed_precision="bf16", cpu=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
compiled = torch.compile(model, backend="aot_eager")
coords = tf.Grid.cells(16, 16).coords().to(accelerator.device)  # (256, 2): centres of the pixels, (y, x) in [-1, 1]

losses = []
for images in loader:  # (B, 3, 16, 16)
    with accelerator.autocast():
        values = compiled(images, coords)  # (B, 256, 3)
    target = images.flatten(2).mT  # row-major, as the coordinates
    loss = (values.float() - target).square().mean()
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
print(f"{len(losses)} steps: {tf.psnr(values.detach().float(), target).mean().item():.2f} dB on the last batch")

figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
axis.plot(range(1, len(losses) + 1), losses, color="#0072B2")
axis.set(yscale="log", xlabel="step", ylabel="mean squared error", title="A loop of its own")
axis.grid(alpha=0.3)

# %%
# Gradients go everywhere
# -----------------------
#
# Into weights, tokens and coordinates; every system of pictures has second derivatives too (:doc:`derivatives
# <../calculus>`).

plain = accelerator.unwrap_model(model).eval()
tokens = plain.encode(images[:1]).detach().requires_grad_()
points = coords[:5].clone().requires_grad_()
plain.decode(tokens, points).sum().backward()
print("by tokens:", tuple(tokens.grad.shape), " by coordinates:", tuple(points.grad.shape))

# %%
# Into every other command
# ------------------------
#
# ``save`` writes a folder that ``tokenfield.load``, ``evaluate``, ``encode`` and ``explain`` take, and that
# ``push_to_hub`` uploads.

import tempfile

with tempfile.TemporaryDirectory() as folder:
    tf.save(plain, f"{folder}/mine")
    photo = held_out("chelsea")[:, 60:188, 100:260]
    field = tf.Field.of(tf.load(f"{folder}/mine"), photo)
    picture = field.render(*field.native_size)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for axis, shown, title in zip(
    axes, (photo, picture), ("photograph", f"{tf.psnr(picture[None], photo[None]).item():.1f} dB"), strict=True
):
    axis.imshow(shown.clamp(0, 1).permute(1, 2, 0).numpy())
    axis.set_title(title)
    axis.set_axis_off()
plt.show()
