"""The path between data and noise, and what a network predicts at a place on it.

Diffusion (*Denoising Diffusion Probabilistic Models*, Ho et al., 2020): whole steps t = 0 .. T-1 of a linear schedule,
beta from 1e-4 to 0.02, abar_t the product of 1 - beta,

    x_t = alpha_t x_0 + sigma_t e,    alpha_t = sqrt(abar_t),    sigma_t = sqrt(1 - abar_t)

Flow matching (Lipman et al., 2023; rectified flow, Liu et al., 2023): the linear path, t in [0, 1],

    x_t = (1 - t) x_0 + t e,    dx_t / dt = e - x_0

Any one of x_0, e, v and the velocity, with x_t, determines the others; which one a network predicts decides how its
errors at different t count. Schedules are those of `diffusers`, to which tests compare what is here.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.generation.schedulers import BETA

Prediction = Literal["sample", "epsilon", "v_prediction", "velocity"]
"""The clean tokens x_0; the noise e; v = alpha e - sigma x_0 (Salimans and Ho, 2022); e - x_0, of flow matching."""


def alphas_cumprod(train_steps: int) -> Float[Tensor, " t"]:
    """abar_t of the linear schedule, float32 as `diffusers` computes it."""
    return (1 - torch.linspace(*BETA, train_steps)).cumprod(0)


def level(prediction: str, train_steps: int, time: float | int) -> tuple[float, float]:
    """(alpha, sigma) of the path at a timestep, which is t T for flow. A time below 0 is the end, (1, 0)."""
    if prediction == "velocity":
        t = max(0.0, time / train_steps)
        return 1 - t, t
    if time < 0:
        return 1.0, 0.0
    abar = alphas_cumprod(train_steps)[round(time)].item()
    return abar**0.5, (1 - abar) ** 0.5


class Place(NamedTuple):
    """Where on the path instances are: t, what a denoiser takes as the time; factors of data and of noise; all (B,)."""

    time: Tensor
    alpha: Tensor
    sigma: Tensor

    def mix(self, clean: Float[Tensor, "b *s"], noise: Float[Tensor, "b *s"]) -> Float[Tensor, "b *s"]:
        """x_t."""
        return each(self.alpha, clean) * clean + each(self.sigma, noise) * noise


def each(values: Float[Tensor, "b *w"], tokens: Float[Tensor, "b *s"]) -> Float[Tensor, "b *one"]:
    """One number or vector per instance, with axes of 1 where the tokens have theirs: sets and lattices alike."""
    return values.view(len(values), *(1 for _ in range(tokens.ndim - values.ndim)), *values.shape[1:])


def place(prediction: str, uniform: Float[Tensor, " b"], steps: int) -> Place:
    """Where draws in [0, 1) fall on the path: whole steps of diffusion; any t of flow matching."""
    with torch.autocast(uniform.device.type, enabled=False):
        uniform = uniform.float()
        if prediction == "velocity":
            return Place(uniform, 1 - uniform, uniform)
        step = (uniform * steps).long()  # 0 .. T-1
        abar = alphas_cumprod(steps).to(uniform.device)[step]
        return Place(step.float(), abar.sqrt(), (1 - abar).sqrt())


TARGETS: dict[str, Callable[[Place, Tensor, Tensor], Tensor]] = {
    "sample": lambda place, clean, noise: clean,
    "epsilon": lambda place, clean, noise: noise,
    "v_prediction": lambda place, clean, noise: each(place.alpha, noise) * noise - each(place.sigma, clean) * clean,
    "velocity": lambda place, clean, noise: noise - clean,
}
"""Prediction -> what a network should answer, from (place, clean, noise)."""


def clean_and_noise(prediction: str, predicted: Tensor, noisy: Tensor, alpha: float,
                    sigma: float) -> tuple[Tensor, Tensor]:
    """The x_0 and the e of noisy = alpha x_0 + sigma e, sigma > 0, that a prediction amounts to."""
    match prediction:
        case "sample":
            return predicted, (noisy - alpha * predicted) / sigma
        case "epsilon":
            return (noisy - sigma * predicted) / alpha, predicted
        case "v_prediction":
            return alpha * noisy - sigma * predicted, alpha * predicted + sigma * noisy
    clean = noisy - sigma * predicted  # of flow, alpha = 1 - sigma
    return clean, clean + predicted
