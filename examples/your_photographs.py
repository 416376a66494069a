"""
Your photographs
================

A photograph becomes tokens, and comes back at any size. Everything here works on any picture that you have; to run
without one, this page takes a photograph that every installation has.
"""

# %%
# Encode
# ------
#
# Models have names; these come with the package. ``tokenfield.read_picture("photo.jpg")`` reads JPEG, PNG, WebP and
# TIFF, turned upright, as a tensor (3, H, W) with values in [0, 1].

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import tokenfield as tf
from tokenfield.data.demo_pictures import held_out

photo = held_out("coffee")[:, 60:340, 100:500]  # of any size and shape, here 280 x 400
model = tf.load("photos-s")
field = tf.Field.of(model, photo)
field

# %%
# And back
# --------
#
# The same picture from its tokens alone, and how close it is. ``psnr`` is the papers': of values that are neither
# clamped nor rounded.

height, width = field.native_size
again = field.render(height, width)
print(f"{tf.psnr(again[None], photo[None]).item():.2f} dB from {field.values_stored} values")


def show(axes: plt.Axes, picture: torch.Tensor, title: str) -> None:
    """One picture (3, H, W) without axes."""
    axes.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
show(axes[0], photo, "photograph")
show(axes[1], again, "from its tokens")
show(axes[2], 0.5 + 8 * (again - photo), "difference, 8 times")

# %%
# Ask for any part, at any size
# -----------------------------
#
# A field has no resolution. ``crop`` takes a box (top, left, bottom, right) in [-1, 1], or in pixels by
# ``pixel_box``, and costs what its own points cost, however large the picture is. Single points are rows of (y, x).

box = field.pixel_box(200, 230, 264, 294)
detail = field.crop(box, (512, 512))
points = torch.tensor([[0.0, 0.0], [-0.5, 0.25]])
print("colours at two points:\n", field(points))

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
show(axes[0], photo[:, 200:264, 230:294], "64 x 64 pixels")
show(axes[1], detail, "the field there, 512 x 512")

# %%
# Keep it
# -------
#
# A ``.field`` file holds the tokens and says which model reads them. It opens again without naming the model if that
# is packaged, or lies beside the file.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "photo.field")
    field.save(path, dtype=torch.float16)
    print(f"{path.stat().st_size} bytes for {photo.numel()} pixel values")
    print(tf.Field.load(path))

# %%
# More or less of it
# ------------------
#
# ``photos-ladder`` stores what you ask for, from 1/2 down to 1/32 values per pixel value. Of a field that was encoded
# without naming a rate, the leading numbers of every token are fields of the lower rates (``field.prefix(n)``).

ladder = tf.load("photos-ladder")
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for axis, rate in zip(axes, (1 / 2, 1 / 8, 1 / 32), strict=True):
    shorter = tf.Field.of(ladder, photo, rate=rate)
    picture = shorter.render(height, width)
    show(axis, picture, f"rate 1/{1 / rate:.0f}: {tf.psnr(picture[None], photo[None]).item():.1f} dB")
plt.show()

# %%
# Without Python
# --------------
#
# .. code-block:: sh
#
#    tokenfield encode photo.jpg -o photo.field           # or a folder of them
#    tokenfield decode photo.field -o large.png --size 4096
#    tokenfield explain photo.jpg -o explained            # which tokens a pixel reads, what a token governs
#    tokenfield info photo.field
