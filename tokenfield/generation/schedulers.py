"""The solvers of `diffusers`, by name, on the schedule that a denoiser was trained on.

Two families, one per path (paths.py). A solver of diffusion counts whole timesteps T - 1, ..., 0; one of flow counts a
share s of noise as a time s T. A solver of one family is never given a denoiser of the other: it would integrate
another equation and give pictures all the same.
"""

import inspect
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tokenfield.errors import UserError

if TYPE_CHECKING:  # `Sampler` is also options of a command, whose help loads no torch
    from torch import Tensor

BETA = (1e-4, 0.02)
"""First and last beta of the linear schedule (Ho et al., 2020; A.3 of the LAINR paper)."""

DIFFUSION = {
    name: f"{name}Scheduler"
    for name in ("DDIM", "DDPM", "DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep",
                 "SASolver", "PNDM")
} | {name: f"{name}DiscreteScheduler" for name in ("Euler", "EulerAncestral", "Heun", "LMS")}  # fmt: skip
"""Name -> class of `diffusers`, for denoisers that predict the sample, the noise or v. Left out are schedulers that ask
between the timesteps of training (KDPM2) and those that belong to distilled models (LCM, TCD, ...)."""

FLOW = {"Euler": "FlowMatchEulerDiscreteScheduler", "Heun": "FlowMatchHeunDiscreteScheduler",
        "DPMSolverMultistep": "DPMSolverMultistepScheduler", "UniPCMultistep": "UniPCMultistepScheduler"}
"""Name -> class of `diffusers`, for denoisers that predict the velocity."""

ONLY_NOISE = ("EulerAncestral", "PNDM")
"""These take the noise, whatever the denoiser predicts: they do not take a sample, or average v over timesteps."""
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
    """A solver of diffusers: DDIM, DDPM, DPMSolverMultistep, Euler, Heun, ...; auto is DDIM, and Euler for flow
    matching."""
    steps: int | None = None
    """Steps of the solver; 250 for diffusion and 50 for flow, unless given."""
    guidance: float = 2.5
    """How much the class is exaggerated: 0 ignores it, 1 is the class as it was trained, 2.5 the paper's."""

    def resolved(self, prediction: str, train_steps: int) -> "Sampler":
        """The same with a scheduler and a number of steps that fit a denoiser: what it predicts, T of its training.

        Raises:
            UserError: a scheduler of the other family or of none, or numbers out of range.
        """
        flow = prediction == "velocity"
        names = {name.lower(): name for name in (FLOW if flow else DIFFUSION)}
        default = "Euler" if flow else "DDIM"
        short = self.scheduler.lower().removesuffix("scheduler").removesuffix("discrete").removeprefix("flowmatch")
        name = default if short == "auto" else names.get(short)
        if name is None:
            near = get_close_matches(short, names, 1)
            hint = f"did you mean {names[near[0]]}? " if near else ""
            raise UserError(f"scheduler {self.scheduler!r} is none for a denoiser that predicts the {prediction}; "
                            f"{hint}give one of {', '.join(names.values())}")
        steps = self.steps if self.steps is not None else DEFAULT_STEPS[default]
        if not 1 <= steps <= train_steps:
            raise UserError(f"{steps} steps; give 1 to {train_steps}, the timesteps that the denoiser was trained on")
        if not 0 <= self.guidance < float("inf"):
            raise UserError(f"guidance {self.guidance}; give a number of at least 0 (1 is none, 2.5 the paper's)")
        return Sampler(name, steps, float(self.guidance))


@runtime_checkable
class Scheduler(Protocol):
    """What all solvers of `diffusers` have; `step` gives the tokens at the next timestep first, then perhaps more."""

    timesteps: "Tensor"

    def set_timesteps(self, num_inference_steps: int | None = None, *, sigmas: list[float] = ...) -> None: ...

    def step(self, predicted: "Tensor", timestep: "Tensor", tokens: "Tensor", /,
             **options: object) -> tuple["Tensor", ...]: ...


def build(sampler: Sampler, prediction: str, train_steps: int) -> Scheduler:
    """The scheduler of `diffusers` for a resolved sampler, its timesteps set."""
    import diffusers

    assert sampler.steps is not None, "a resolved sampler has steps"
    flow = prediction == "velocity"
    kind = getattr(diffusers, (FLOW if flow else DIFFUSION)[sampler.scheduler])
    options: dict[str, object] = {"num_train_timesteps": train_steps}
    if flow:
        options |= {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    else:
        options |= {"prediction_type": "epsilon" if sampler.scheduler in ONLY_NOISE else prediction}
        options |= {"beta_schedule": "linear", "beta_start": BETA[0], "beta_end": BETA[1]}
        # Latents are no pictures in [-1, 1]: nothing is clipped. "trailing" begins at the timestep that is pure noise,
        # whatever the number of steps; "leading", the default, would begin at 900 with ten of them.
        options |= {"clip_sample": False, "timestep_spacing": "trailing", "lower_order_final": True}
    accepted = inspect.signature(kind.__init__).parameters
    scheduler: Scheduler = kind(**{name: value for name, value in options.items() if name in accepted})
    if flow and sampler.scheduler == "Euler":
        scheduler.set_timesteps(sigmas=[1 - i / sampler.steps for i in range(sampler.steps)])  # equal steps to 0
    else:
        scheduler.set_timesteps(sampler.steps)
    if hasattr(scheduler, "set_begin_index"):  # else it finds its step by the value of a timestep, which may repeat
        scheduler.set_begin_index(0)
    return scheduler
