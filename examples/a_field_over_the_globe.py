"""
A field over the globe
======================

A map of temperatures is a function on the sphere: give it a latitude and a longitude, it answers in kelvin. This page
writes a small netCDF file, trains a LAINR on the sphere for seconds, and asks the resulting field for values that are
on no grid. Your own netCDF, Zarr and NPY files take the same way; it needs the extra ``earth``: ``pip install
'tokenfield[earth]'``.
"""

# %%
# Data
# ----
#
# Forty-eight months of a smooth, invented temperature on 60 x 120 cells, with a continent missing. Any order of
# latitudes and any range of longitudes will do. Units are kept, and missing cells take no part.

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

work = tempfile.TemporaryDirectory()
path = Path(work.name, "sea.nc")
lat, lon = np.linspace(-88.5, 88.5, 60), np.arange(1.5, 360, 3.0)
month = np.arange(48)[:, None, None]
y, x = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None]
temperature = (
    300
    - 32 * np.sin(y) ** 2
    + 4 * np.cos(2 * np.pi * month / 12) * np.sin(y)
    + 3 * np.sin(3 * x + 0.2 * month) * np.cos(y) ** 2
)
land = (np.abs(lat)[:, None] < 35) & (np.abs(lon - 20)[None] < 18)
temperature[:, land] = np.nan
xr.Dataset(
    {"sst": (("time", "lat", "lon"), temperature.astype("float32"), {"units": "K"})},
    coords={
        "time": np.arange(48.0),
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    },
).to_netcdf(path, engine="h5netcdf")
xr.open_dataset(path, engine="h5netcdf")

# %%
# Train
# -----
#
# The encoder reads a global grid of 30 x 60 cells and what share of each has a value; a step compares the field with
# the data at 256 places drawn by area, so poles do not count more than they should. Every fourth month is held out.

from tokenfield.earth.data import GriddedConfig
from tokenfield.earth.models import GriddedLainrConfig
from tokenfield.earth.recipes import lainr_climatology
from tokenfield.models.lainr import LainrConfig
from tokenfield.training import Session, train

sizes = LainrConfig(
    size=(30, 60),
    patch=5,
    padding=0,
    num_latents=16,
    latent_dim=32,
    encoder_dim=96,
    encoder_depth=1,
    encoder_heads=2,
    dim=64,
    feature_dim=60,
    sigmas=(8.0, 2.0),
    sigma_q=4.0,
    start="local",
)
recipe = replace(
    lainr_climatology(),
    name="sea",
    model=GriddedLainrConfig(lainr=sizes),
    steps=150,
    evaluate_every=0,
    checkpoint_every=150,
    data=GriddedConfig(size=(30, 60), holdout="spread", every=4, points=256),
)
train(recipe, path, Path(work.name, "run"), session=Session(device="cpu", workers=0, quiet=True))

# %%
# A held-out month
# ----------------
#
# 512 numbers stand for the 7200 of the grid. The error is area-weighted, in kelvin.

import tokenfield as tf
from tokenfield.earth.globe import encode_field, score

model = tf.load(Path(work.name, "run"))
source = recipe.data.open(path, "test")
sample = source.load(source.layers[0])
field = encode_field(model, sample)
print(f"{sample.snapshot.name}: RMSE {score(field, sample.snapshot).rmse[0]:.2f} K from {field.values_stored} values")

# %%
# Anywhere
# --------
#
# Places are (latitude, longitude) in degrees. Where the data had no value a field still answers; ``had_value`` says
# that it is a guess.

places = torch.tensor([[48.1, -11.6], [-33.9, 151.2], [0.0, 20.0]], dtype=torch.float64)
for (latitude, longitude), value, known in zip(
    places.tolist(), field.domain.at(field, places), field.domain.had_value(places), strict=True
):
    print(
        f"{latitude:6.1f} {longitude:6.1f}: {value.item():.2f} K"
        + ("" if known.all() else "  (a guess: there was no value)")
    )

# %%
# As a map
# --------

import matplotlib.pyplot as plt

from tokenfield.earth.maps import draw_maps

draw_maps(field, sample.snapshot, Path(work.name, "map.png"), "mollweide", height=220)
picture = plt.imread(Path(work.name, "map.png"))
figure = plt.figure(figsize=(11, 11 * len(picture) / len(picture[0])), dpi=150)
figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[]).imshow(picture)
plt.show()

# %%
# Without Python
# --------------
#
# .. code-block:: sh
#
#    tokenfield train lainr-climatology --data sea.nc
#    tokenfield climate encode sea.nc --model runs/lainr-climatology -o fields
#    tokenfield climate query fields/FILE.field --at 48.1 -11.6
#    tokenfield climate map fields/FILE.field --data sea.nc

work.cleanup()
