"""
Add a system
============

A system of your own is one class with four methods. Once it has a name it trains, encodes, compares and is explained
like all others. This page writes the smallest one that works; :doc:`Add a system <../add-a-system>` explains every
part and makes a package of it.
"""

# %%
# The smallest system
# -------------------
#
# A lattice of tokens, one per 8 x 8 pixels, bilinear interpolation between them, and a small MLP that also sees where
# in its cell a coordinate lies. Decoding is three parts, since they are needed a different number of times: once per
# grid (``locate``), once per picture (``prepare``), once per coordinate (``combine``).

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenfield.configs import Sizes
from tokenfield.coords import Grid
from tokenfield.models.base import FieldModel


@dataclass(frozen=True)
class TinyConfig(Sizes):
    """What decides its shape."""

    cell: int = 8
    """Side of a cell in pixels."""
    dim: int = 96
    """Width of a token."""
    hidden: int = 64
    """Width of the MLP."""

    def build(self) -> "Tiny":
        """The model with fresh weights."""
        return Tiny(self)


class Tiny(FieldModel):
    """Bilinear tokens and an MLP."""

    name, halo, reach = "tiny", 0, 1

    def __init__(self, config: TinyConfig):
        super().__init__()
        self.config, self.cell = config, config.cell
        self.encoder = nn.Conv2d(3, config.dim, config.cell, config.cell)
        self.from_place = nn.Linear(2, config.hidden)
        self.from_token = nn.Linear(config.dim, config.hidden)
        self.rest = nn.Sequential(
            nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 3)
        )

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, H / cell, W / cell, D)."""
        return self.encoder(images - 0.5).movedim(1, -1)

    def locate(self, coords: Tensor | Grid, lattice: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Points as `grid_sample` wants them, and what the MLP knows of the place in the cell."""
        points = coords.coords() if isinstance(coords, Grid) else coords
        phase = torch.pi * (points + 1) / 2 * points.new_tensor(lattice)
        return points.flip(-1), self.from_place(phase.cos())

    def prepare(self, tokens: Tensor) -> Tensor:
        """The MLP's first layer of every token."""
        return self.from_token(tokens).movedim(-1, 1)

    def combine(self, located: tuple[Tensor, Tensor], prepared: Tensor) -> Tensor:
        """Values (B, Q, 3)."""
        points, place = located
        points = points.expand(len(prepared), -1, -1)[:, None].to(prepared)
        features = F.grid_sample(prepared, points, padding_mode="border", align_corners=False)
        return self.rest(features[:, :, 0].mT + place) + 0.5


# %%
# A name
# ------
#
# A package of your own registers the class through an entry point; here one line does. From now on ``tiny`` is a
# system.

from tokenfield.registry import MODELS

MODELS.add("tiny", f"{Tiny.__module__}:Tiny")

# %%
# Train it
# --------

import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt

import tokenfield as tf
from tokenfield.data.demo_pictures import data_folder
from tokenfield.training import Session, train
from tokenfield.training.recipe import default_recipe

work = tempfile.TemporaryDirectory()
pictures = Path(work.name, "pictures")
pictures.mkdir()
for file in ("coffee.png", "rocket.jpg", "astronaut.png", "ihc.png"):
    (pictures / file).write_bytes((data_folder() / file).read_bytes())

recipe = replace(default_recipe("tiny"), steps=200, batch_size=8, evaluate_every=0, checkpoint_every=200)
train(recipe, pictures, Path(work.name, "run"), session=Session(device="cpu", workers=0, quiet=True))

# %%
# Use it
# ------
#
# As any other model: pictures of any size, any zoom, ``.field`` files, every command.

photo = tf.read_picture(data_folder() / "chelsea.png")[:, 60:220, 100:340]
field = tf.Field.of(tf.load(Path(work.name, "run")), photo)
again = field.render(*field.native_size)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for axis, picture, title in zip(
    axes, (photo, again), ("photograph", f"tiny: {tf.psnr(again[None], photo[None]).item():.1f} dB"), strict=True
):
    axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy())
    axis.set_title(title)
    axis.set_axis_off()
plt.show()
work.cleanup()
