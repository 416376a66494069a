"""
Concepts, with pictures
=======================

Six words carry this library: *implicit neural representation*, *token*, *field*, *locality*, *rate* and *floor*. Here
is each of them, drawn. A short definition of these and of all other words is in the :doc:`glossary <../glossary>`.
"""

# %%
# A picture as a function
# -----------------------
#
# A photograph is usually a grid of pixels. An **implicit neural representation** (INR) is the same photograph as a
# function: give it a place (y, x), it answers with a colour. There is no grid in it, so any place may be asked for,
# also between the pixels.

import matplotlib.pyplot as plt
import torch

import tokenfield as tf
from tokenfield.data.demo_pictures import held_out

torch.manual_seed(0)
photo = held_out("chelsea", size=256)  # (3, 256, 256), values in [0, 1]


def show(axes: plt.Axes, picture: torch.Tensor, title: str) -> None:
    """One picture (3, H, W) without axes."""
    axes.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


# %%
# Fitting one network to one picture takes minutes. A *generalizable* INR is trained once, on many pictures; an
# **encoder** then turns a new picture into a small set of vectors in one pass. These vectors are its **tokens**; with
# the shared **decoder** they are the function, here called a **field**:

model = tf.load("photos-s")
field = tf.Field.of(model, photo)
print(field)

# %%
# The same eighth of the picture, four times: its pixels, the field at as many points, and at sixteen times as many. A
# field is smooth between the pixels it saw. It does not invent detail.

eye = field.pixel_box(96, 88, 128, 120)
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
show(axes[0], photo, "photograph")
show(axes[1], photo[:, 96:128, 88:120], "32 x 32 of its pixels")
show(axes[2], field.crop(eye, (32, 32)), "field, 32 x 32 points")
show(axes[3], field.crop(eye, (512, 512)), "field, 512 x 512 points")

# %%
# What a token is for
# -------------------
#
# Replace one token by zero and look at what changes. If it is a small part of the picture, tokens are *local*:
# **locality** is the share of the picture that holds 90 % of the change. LAINR (*Locality-Aware Generalizable INR*)
# owes its name to that: nothing in its equations says which token belongs where, and still, after training, each has
# its place.

lainr = tf.load("lainr-photos")
tile = tf.Field.of(lainr, held_out("chelsea")[:, 96:160, 96:160])  # one tile: the 64 tokens of 64 x 64 pixels
whole = tile.render(64, 64)
figure, axes = plt.subplots(1, 6, figsize=(11, 2.2), layout="constrained")
show(axes[0], whole, "field")
for axis, number in zip(axes[1:], (3, 17, 29, 42, 60), strict=True):
    tokens = tile.tokens.clone()
    tokens[..., number, :] = 0
    change = (tf.Field(lainr, tokens, tile.domain).render(64, 64) - whole).abs().amax(0)
    axis.imshow(change.numpy(), cmap="cividis")
    axis.set_title(f"without token {number}")
    axis.set_axis_off()

# %%
# Rate, and the floor
# -------------------
#
# The **rate** is the number of stored values per value of the picture: 1/2 means that a field of a 256 x 256
# photograph with three channels holds 98 304 numbers. Quality alone says nothing; quality at a rate does. The
# **floor** is what the best *linear* code of 8 x 8 pixels (principal components, PCA) reaches with as many values. It
# needs no network, so a learned code has to clear it.

from tokenfield.evaluation.pca import Basis, reconstruct

ladder = tf.load("photos-ladder")  # one model, five rates
basis = Basis.load()
rates = [width / (3 * ladder.cell**2) for width in ladder.prefixes]
learned, linear = [], []
for width in ladder.prefixes:
    shorter = tf.Field.of(ladder.at(width), photo)
    learned.append(tf.psnr(shorter.render(256, 256)[None], photo[None]).item())
    linear.append(tf.psnr(reconstruct(basis, photo, width)[None], photo[None]).item())

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
axis.plot(rates, learned, "o-", color="#0072B2")
axis.plot(rates, linear, "s--", color="#D55E00")
axis.annotate(
    "photos-ladder", (rates[1], learned[1]), xytext=(-8, 8), textcoords="offset points", ha="right", color="#0072B2"
)
axis.annotate("floor: linear code", (rates[2], linear[2]), xytext=(8, -14), textcoords="offset points", color="#D55E00")
axis.set(
    xscale="log", xlabel="stored values per pixel value", ylabel="PSNR / dB", title="Quality at a rate, one photograph"
)
axis.set_xticks(rates, [f"1/{round(1 / rate)}" for rate in rates])
axis.minorticks_off()
axis.grid(alpha=0.3)
plt.show()

# %%
# **PSNR** measures closeness to the original in decibels; 3 dB more halve the squared error, and from 40 on a
# difference is hard to see.
