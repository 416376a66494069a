"""
Views of an object
==================

A few posed pictures of an object become a *light field*: give it a ray, it answers with the colour that is seen along
it. There is no volume to march through, so a pixel costs one evaluation. The packaged ``views-lamps`` was trained on
lamps, chairs and other furniture. Here it meets a lamp that was made for this page. Rendering it needs the extra
``meshes``: ``pip install 'tokenfield[meshes]'``.
"""

# %%
# A lamp, and pictures of it
# --------------------------
#
# A folder of OBJ, GLB, PLY, STL or OFF files will do. This one is turned on a lathe: a foot, a pole, a shade.

import tempfile
from pathlib import Path

import trimesh

from tokenfield.data.pictures import SkippedFiles
from tokenfield.views.meshes.catalogue import find_meshes
from tokenfield.views.meshes.objects import ViewSettings, render_all, write_lists


def turned(profile, colour):
    """What a profile of (radius, height) makes on a lathe."""
    part = trimesh.creation.revolve(profile, sections=48)
    part.visual.face_colors = colour
    return part


work = tempfile.TemporaryDirectory()
meshes, data = Path(work.name, "meshes"), Path(work.name, "data")
meshes.mkdir()
foot = turned([(0, 0), (0.45, 0), (0.42, 0.1), (0.06, 0.16), (0, 0.16)], (60, 45, 40, 255))
pole = turned([(0, 0.1), (0.06, 0.1), (0.06, 1.5), (0, 1.5)], (150, 110, 60, 255))
shade = turned([(0, 1.1), (0.6, 1.1), (0.38, 1.9), (0, 1.9)], (200, 60, 45, 255))
trimesh.util.concatenate([foot, pole, shade]).export(meshes / "lamp.ply")

skipped = SkippedFiles()
entries = find_meshes(meshes, skipped)
settings = ViewSettings(views=12, size=64, up="z")
print(list(render_all(entries, data / "lamps", settings, skipped, processes=1)), "from 12 sides")
print("trained on, tested on:", write_lists(entries, data, "lamps", settings, 0.0, ["lamp"]))

# %%
# Three of them become a field
# ----------------------------
#
# Three pictures are given; all others, and the cameras between them, are asked for. Tokens come from one pass of the
# encoder; a few steps of gradient descent on the three pictures, with the decoder as it is, bring them nearer.

import matplotlib.pyplot as plt

import tokenfield as tf
from tokenfield.views.data import ViewsConfig
from tokenfield.views.light_field import render_from
from tokenfield.views.rays import orbit
from tokenfield.views.scores import Fitting, field_of_views

model = tf.load("views-lamps")
views = next(iter(ViewsConfig(size=64, support=3).open(data, "test").objects()))
field = field_of_views(model, views, [0, 1, 2])
nearer = field_of_views(model, views, [0, 1, 2], fitting=Fitting(steps=40))
others = [3, 4, 5, 6, 7, 8]
print(f"{field.values_stored} values stored")
rendered = {name: render_from(one, views.poses[others]) for name, one in (("encoded", field), ("nearer", nearer))}
for name, pictures in rendered.items():
    print(f"{name}: {tf.psnr(pictures, views.images[others]).mean().item():.2f} dB on views that were not given")

figure, axes = plt.subplots(4, 6, figsize=(10, 7.2), layout="constrained")
for axis in axes.flat:
    axis.set_axis_off()
rows = {
    "given": views.images[:3],
    "asked for: the pictures": views.images[others],
    "asked for: the field": rendered["encoded"],
    "asked for: the field, after 40 steps": rendered["nearer"],
}
for line, (title, pictures) in zip(axes, rows.items(), strict=True):
    line[0].set_title(title, loc="left")
    for axis, picture in zip(line, pictures, strict=False):
        axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy())

# %%
# An orbit, at a size that no picture had.

figure, axes = plt.subplots(1, 8, figsize=(11, 1.6), layout="constrained")
for axis, picture in zip(axes, render_from(nearer, orbit(8), (96, 96)), strict=True):
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
#    tokenfield views orbit views-lamps --data objects --support 3 --optimize 40 -o orbit
#    tokenfield views serve views-lamps --data objects
#
# Train one on objects of your own; more of them and more hours make it sharper:
#
# .. code-block:: sh
#
#    tokenfield train views-lamps --data objects
#    tokenfield views measure runs/views-lamps --data objects

work.cleanup()
