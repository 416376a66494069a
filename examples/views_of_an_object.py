"""
Views of an object
==================

A few posed pictures of an object become a *light field*: give it a ray, it answers with the colour that is seen along
it. There is no volume to march through, so a pixel costs one evaluation. This page renders a handful of simple
meshes, trains for seconds and turns one. It needs the extra ``meshes``: ``pip install 'tokenfield[meshes]'``.
"""

# %%
# Meshes, and pictures of them
# ----------------------------
#
# A folder of OBJ, GLB, PLY, STL or OFF files will do. Here: twenty boxes of random proportions and colours.

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh

from tokenfield.data.pictures import SkippedFiles
from tokenfield.views.meshes.catalogue import find_meshes
from tokenfield.views.meshes.objects import ViewSettings, render_all, write_lists

work = tempfile.TemporaryDirectory()
meshes, data = Path(work.name, "meshes"), Path(work.name, "data")
meshes.mkdir()
draw = np.random.default_rng(0)
for number in range(20):
    box = trimesh.creation.box(extents=draw.uniform(0.5, 1.5, 3))
    box.visual.face_colors = np.repeat(draw.integers(40, 255, (6, 3)), 2, axis=0).clip(0, 255)
    box.export(meshes / f"box-{number:02}.ply")

skipped = SkippedFiles()
entries = find_meshes(meshes, skipped)
settings = ViewSettings(views=12, size=32)
print(len(list(render_all(entries, data / "boxes", settings, skipped, processes=1))), "objects, 12 views each")
print("trained on, tested on:", write_lists(entries, data, "boxes", settings, holdout=0.2))

# %%
# Train
# -----
#
# From one to three support views of an object the encoder predicts tokens; a step asks for rays of other views.

from tokenfield.training import Session, train
from tokenfield.views.data import ViewsConfig
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.recipes import SMALL, views_lainr_64

sizes = replace(
    SMALL,
    size=(32, 32),
    patch=8,
    num_latents=24,
    latent_dim=64,
    encoder_dim=96,
    encoder_depth=2,
    dim=64,
    feature_dim=72,
)
recipe = replace(
    views_lainr_64(),
    name="boxes",
    model=LainrViewsConfig(sizes),
    steps=250,
    evaluate_every=0,
    checkpoint_every=250,
    data=ViewsConfig(category="boxes", size=32, support=3, fewest=1, first_views=0),
)
train(recipe, data, Path(work.name, "run"), session=Session(device="cpu", workers=0, quiet=True))

# %%
# Turn a held-out object
# ----------------------
#
# Three of its pictures are given; all others, and the cameras between them, are asked for. After seconds of training
# it is the right box in the right colours, blurred; hours make it sharp.

import matplotlib.pyplot as plt

import tokenfield as tf
from tokenfield.views.light_field import render_from
from tokenfield.views.rays import orbit
from tokenfield.views.scores import field_of_views

model = tf.load(Path(work.name, "run"))
views = next(iter(recipe.data.open(data, "test").objects()))
field = field_of_views(model, views, [0, 4, 8])
others = [1, 2, 3, 5]
rendered = render_from(field, views.poses[others])
print(f"{tf.psnr(rendered, views.images[others]).mean().item():.2f} dB on views that were not given")

figure, axes = plt.subplots(3, 8, figsize=(11, 4.4), layout="constrained")
for axis in axes.flat:
    axis.set_axis_off()
rows = {
    "given": views.images[[0, 4, 8]],
    "asked for: the pictures": views.images[others],
    "asked for: the field": rendered,
}
for line, (title, pictures) in zip(axes, rows.items(), strict=True):
    line[0].set_title(title, loc="left")
    for axis, picture in zip(line, pictures, strict=False):
        axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy())

# %%
# An orbit, at a size that no picture had.

figure, axes = plt.subplots(1, 8, figsize=(11, 1.6), layout="constrained")
for axis, picture in zip(axes, render_from(field, orbit(8), (96, 96)), strict=True):
    axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy())
    axis.set_axis_off()
plt.show()

# %%
# Without Python
# --------------
#
# .. code-block:: sh
#
#    tokenfield views render MESHES -o objects --size 64
#    tokenfield train views-lainr-64 --data objects
#    tokenfield views measure runs/views-lainr-64 --data objects
#    tokenfield views orbit runs/views-lainr-64 --data objects --support 3 -o orbit
#    tokenfield views serve runs/views-lainr-64 --data objects

work.cleanup()
