"""Classifier-free guidance (Ho and Salimans, 2022): exaggerate what a class changes in the prediction.

    prediction = without + w (with - without)

The sample, the noise, v and the velocity are affine in each other at a given x_t, with coefficients that sum to one
over both terms, so guiding any of them is guiding all of them.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def guided(
    denoiser: Any,
    noisy: Float[Tensor, "b *s"],
    time: Float[Tensor, " b"],
    labels: Int[Tensor, " b"],
    weight: float | int,
) -> Float[Tensor, "b *s"]:
    """The denoiser's prediction under guidance.

    Args:
        denoiser: `forward(noisy, time, label)`; the label `config.classes` stands for none.
        labels: class of each sample, or `config.classes`.
        weight: w; 0 and 1 cost one evaluation, as do samples that all have no class; everything else two, in one batch.
    """
    none = torch.full_like(labels, denoiser.config.classes)
    if weight == 1 or torch.equal(labels, none):
        return denoiser(noisy, time, labels).float()
    if weight == 0:
        return denoiser(noisy, time, none).float()
    both = denoiser(torch.cat([noisy, noisy]), time.repeat(2), torch.cat([labels, none])).float()
    with_class, without = both.chunk(2)
    return without + weight * (with_class - without)
