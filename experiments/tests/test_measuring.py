"""Multiply-adds and locality, which the papers' tables measure of every run."""

import torch

from experiments.miniature import base
from experiments.tables.measuring import locality, multiply_adds
from tokenfield.models.lainr import LainrConfig


def test_multiply_adds_by_formula():
    """A LAINR with one patch and one latent token, counted by hand."""
    d, f, e = 8, 8, 8
    config = LainrConfig(size=(2, 3), patch=1, padding=0, num_latents=5, latent_dim=d, encoder_dim=e, encoder_depth=1,
                         encoder_heads=1, mlp_ratio=1.0, dim=d, feature_dim=f, sigmas=(2.0,), sigma_q=2.0, heads=1)
    encode, decode = multiply_adds(config.build(), torch.zeros(1, 3, 2, 3))
    patches, latents, pixels = 6, 5, 6
    tokens = patches + latents
    block = 2 * e * e * tokens + 2 * e * e * latents + 2 * latents * tokens * e + 2 * latents * e * e
    assert encode * pixels == patches * 3 * e + block + latents * e * d  # keys, values of all; the rest of the latents
    axes = 2 + 3  # a grid's features are mapped per axis: half of them per row, half per column
    features = 2 * axes * (f // 2) * d
    attention = pixels * d * d + 2 * latents * d * d + 2 * pixels * latents * d
    head = d * d * d + pixels * d * d + pixels * d * 3  # the output map folded in: a matrix, or a matrix and a vector
    assert decode * pixels in (features + attention + head, features + attention + head + d * d)


def test_locality_is_between_a_pixel_and_nine_tenths():
    model = base().model.build().eval()
    area = locality(model, [torch.rand(3, 16, 16)])
    assert area is not None and 1 / 256 <= area <= 0.9 + 1 / 256
    for parameter in model.parameters():
        parameter.data.zero_()
    assert locality(model, [torch.rand(3, 16, 16)]) is None  # no token does anything: no number
