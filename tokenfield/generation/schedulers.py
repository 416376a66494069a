"""Noise schedules and their solvers: those of `diffusers`, by name, on the schedule the denoiser was trained on.

Two families. Diffusion (A.3): x_t = alpha_t x_0 + sigma_t e with alpha_t^2 = abar_t, the product of 1 - beta, beta
linear from 1e-4 to 0.02 over T steps; whole timesteps T - 1, ..., 0. Flow: x_s = (1 - s) x_0 + s e, s from 1 to 0; a
scheduler counts it as a time s T, a denoiser is told s. A scheduler of one family is never given a denoiser of the
other: it would integrate another equation and give pictures all the same.
"""

import inspect
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError

BETA = (1e-4, 0.02)
"""First and last beta of the linear schedule (Ho et al., 2020; A.3 of the LAINR paper)."""

DIFFUSION = {
    "DDIM": "DDIMScheduler",
    "DDPM": "DDPMScheduler",
    "DPMSolverMultistep": "DPMSolverMultistepScheduler",
    "DPMSolverSinglestep": "DPMSolverSinglestepScheduler",
    "DEISMultistep": "DEISMultistepScheduler",
    "UniPCMultistep": "UniPCMultistepScheduler",
    "SASolver": "SASolverScheduler",
    "Euler": "EulerDiscreteScheduler",
    "EulerAncestral": "EulerAncestralDiscreteScheduler",
    "Heun": "HeunDiscreteScheduler",
    "LMS": "LMSDiscreteScheduler",
    "PNDM": "PNDMScheduler",
}
"""Name -> class of `diffusers`, for denoisers that predict the sample, the noise or v. Left out are schedulers that ask
between the timesteps of training (KDPM2) and those that belong to distilled models (LCM, TCD, ...)."""

FLOW = {
    "Euler": "FlowMatchEulerDiscreteScheduler",
    "Heun": "FlowMatchHeunDiscreteScheduler",
    "DPMSolverMultistep": "DPMSolverMultistepScheduler",
    "UniPCMultistep": "UniPCMultistepScheduler",
}
"""Name -> class of `diffusers`, for denoisers that predict the velocity."""

ONLY_NOISE = ("EulerAncestral", "PNDM")
"""These are told the noise, whatever the denoiser predicts: they do not take a sample, or average v over timesteps."""
STOCHASTIC = ("DDPM", "EulerAncestral", "SASolver")
"""These draw noise while they solve; the others are functions of the first noise alone."""
STRAIGHT = ("DDIM", "Euler")
"""One step of these is x_t' = alpha_t' x_0 + sigma_t' e, DDIM's own and, on the path of flow, Euler's (in-filling)."""

DEFAULT_STEPS = {"DDIM": 250, "Euler": 50}
"""Steps where none are given: the recipe of A.3 for diffusion, a usual number for flow (whose path is straighter)."""


@dataclass(frozen=True)
class Sampler:
    """How tokens are drawn from a denoiser; the defaults are the recipe of A.3."""

    scheduler: str = "auto"
    """A name of `DIFFUSION` or `FLOW`, as the denoiser predicts; auto is DDIM or Euler."""
    steps: int | None = None
    """Steps of the solver; None is 250 for diffusion, 50 for flow."""
    guidance: float = 2.5
    """Classifier-free guidance: 0 ignores the class, 1 is the class as it was trained, more exaggerates it."""

    def resolved(self, denoiser: Any) -> "Sampler":
        """The same with a scheduler and a number of steps that fit the denoiser.

        Raises:
            UserError: a scheduler of the other family or of none, or numbers out of range.
        """
        flow = denoiser.config.prediction == "velocity"
        known = FLOW if flow else DIFFUSION
        short = self.scheduler.lower().removesuffix("scheduler").removesuffix("discrete").removeprefix("flowmatch")
        name = ("Euler" if flow else "DDIM") if short == "auto" else {n.lower(): n for n in known}.get(short)
        if name is None:
            near = get_close_matches(short, {n.lower(): n for n in known}, 1)
            hint = f"did you mean {next(n for n in known if n.lower() == near[0])}? " if near else ""
            raise UserError(f"scheduler {self.scheduler!r} is none for a denoiser that predicts the "
                            f"{denoiser.config.prediction}; {hint}give one of {', '.join(known)}")
        steps = self.steps if self.steps is not None else DEFAULT_STEPS["Euler" if flow else "DDIM"]
        most = denoiser.config.steps
        if not 1 <= steps <= most:
            raise UserError(f"{steps} steps; give 1 to {most}, the timesteps that the denoiser was trained on")
        if not 0 <= self.guidance < float("inf"):
            raise UserError(f"guidance {self.guidance}; give a number of at least 0 (1 is none, 2.5 the paper's)")
        return Sampler(name, steps, float(self.guidance))


def build(sampler: Sampler, prediction: str, train_steps: int) -> Any:
    """The scheduler of `diffusers`, its timesteps set.

    Args:
        sampler: resolved.
        prediction: what the denoiser predicts.
        train_steps: T of its training.
    """
    import diffusers

    assert sampler.steps is not None, "a resolved sampler has steps"
    flow = prediction == "velocity"
    kind = getattr(diffusers, (FLOW if flow else DIFFUSION)[sampler.scheduler])
    taken = inspect.signature(kind.__init__).parameters
    options: dict[str, Any] = {"num_train_timesteps": train_steps}
    if flow:
        options |= {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    else:
        options |= {"prediction_type": "epsilon" if sampler.scheduler in ONLY_NOISE else prediction}
        options |= {"beta_schedule": "linear", "beta_start": BETA[0], "beta_end": BETA[1]}
        # Latents are no pictures in [-1, 1]: nothing is clipped. "trailing" begins at the timestep that is pure noise,
        # whatever the number of steps; "leading", the default, would begin at 900 with ten of them.
        options |= {"clip_sample": False, "timestep_spacing": "trailing", "lower_order_final": True}
    scheduler = kind(**{name: value for name, value in options.items() if name in taken})
    if flow and "sigmas" in inspect.signature(kind.set_timesteps).parameters and sampler.scheduler == "Euler":
        scheduler.set_timesteps(sigmas=[1 - i / sampler.steps for i in range(sampler.steps)])  # equal steps to 0
    else:
        scheduler.set_timesteps(sampler.steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # timesteps can repeat, and are otherwise looked up by value
    return scheduler


def level(prediction: str, train_steps: int, time: float | int) -> tuple[float, float]:
    """(alpha, sigma) of the path at a time: x = alpha x_0 + sigma e. A time below 0 is the end, (1, 0).

    Args:
        time: the timestep for diffusion, s T for flow.
    """
    if prediction == "velocity":
        s = max(0.0, time / train_steps)
        return 1 - s, s
    if time < 0:
        return 1.0, 0.0
    kept = alphas_cumprod(train_steps)[round(time)].item()  # abar_t
    return kept**0.5, (1 - kept) ** 0.5


def alphas_cumprod(train_steps: int) -> Float[Tensor, " t"]:
    """abar_t of the linear schedule, float32 as `diffusers` computes it."""
    return (1 - torch.linspace(*BETA, train_steps)).cumprod(0)


def draws_noise(scheduler: Any) -> bool:
    """Whether a step takes a generator."""
    return "generator" in inspect.signature(scheduler.step).parameters
