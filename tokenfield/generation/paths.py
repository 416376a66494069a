"""The path between data and noise, and what a network can be asked about a place on it.

Diffusion (*Denoising Diffusion Probabilistic Models*, Ho et al., 2020): whole steps t = 0 .. T-1 of a linear schedule,

    x_t = alpha_t x_0 + sigma_t e,    alpha_t = sqrt(abar_t),    sigma_t = sqrt(1 - abar_t)

Flow matching (Lipman et al., 2023; rectified flow, Liu et al., 2023): the linear path, t in [0, 1],

    x_t = (1 - t) x_0 + t e,    dx_t / dt = e - x_0

Any one of x_0, e, v and the velocity, with x_t, determines the others; which one a network predicts decides how its
errors at different t count. Schedules are `diffusers`' own (schedulers.py), to which tests compare what is here.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.generation.schedulers import alphas_cumprod


class Place(NamedTuple):
    """Where on the path instances are.

    Attributes:
        time: what a denoiser is told: t, (B,).
        alpha, sigma: (B,) factors of data and of noise.
    """

    time: Tensor
    alpha: Tensor
    sigma: Tensor

    def mix(self, clean: Float[Tensor, "b *s"], noise: Float[Tensor, "b *s"]) -> Float[Tensor, "b *s"]:
        """x_t."""
        return each(self.alpha, clean) * clean + each(self.sigma, noise) * noise


def each(factor: Float[Tensor, " b"], tokens: Float[Tensor, "b *s"]) -> Float[Tensor, "b *one"]:
    """One factor per instance, with axes of 1 where the tokens have theirs: sets and lattices alike."""
    return factor.view(-1, *(1 for _ in tokens.shape[1:]))


def diffusion_place(uniform: Float[Tensor, " b"], steps: int) -> Place:
    """Whole steps of the schedule of `steps` steps from draws in [0, 1)."""
    step = (uniform * steps).long()  # 0 .. T-1
    kept = alphas_cumprod(steps).to(uniform.device)[step]  # abar_t
    return Place(step.float(), kept.sqrt(), (1 - kept).sqrt())


def flow_place(uniform: Float[Tensor, " b"], steps: int) -> Place:
    """Places on the linear path from draws in [0, 1); it has no steps."""
    return Place(uniform, 1 - uniform, uniform)


PLACES: dict[str, Callable[[Tensor, int], Place]] = {
    "sample": diffusion_place,
    "epsilon": diffusion_place,
    "v_prediction": diffusion_place,
    "velocity": flow_place,
}
"""Prediction -> where draws in [0, 1) fall on its path."""

TARGETS: dict[str, Callable[[Place, Tensor, Tensor], Tensor]] = {
    "sample": lambda place, clean, noise: clean,
    "epsilon": lambda place, clean, noise: noise,
    # Salimans and Ho, 2022
    "v_prediction": lambda place, clean, noise: each(place.alpha, noise) * noise - each(place.sigma, clean) * clean,
    "velocity": lambda place, clean, noise: noise - clean,
}
"""Prediction -> what a network is asked, from (place, clean, noise)."""


def place(prediction: str, uniform: Float[Tensor, " b"], steps: int) -> Place:
    """Where draws in [0, 1) fall on the path of a prediction."""
    with torch.autocast(uniform.device.type, enabled=False):
        return PLACES[prediction](uniform.float(), steps)
