"""From noise to tokens: a denoiser, a scheduler of `diffusers`, guidance, and a seed for every sample.

Sample i of a seed is a function of (seed, i) alone: its first noise and whatever noise a stochastic solver adds come
from a generator of its own. How many samples are drawn at once, and which others, therefore changes nothing but the
rounding of the matrix products (float32: some 1e-6 of a token). Sample 7 can be drawn again alone, and several
processes can share the work by numbers (`--first`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.generation.guidance import guided
from tokenfield.generation.schedulers import ONLY_NOISE, Sampler, build, draws_noise, level
from tokenfield.training import seeding

NOISE = 21
"""Stream of the samples' noise among the streams of `training.seeding`."""

Progress = Callable[[int, int], None]
"""Told (evaluations done, evaluations in all) after every step of a batch."""
Constrain = Callable[[Tensor, float], Tensor]
"""(tokens (B, ...), time) -> tokens, before every evaluation: how in-filling holds on to what is known."""


def generators(seed: int, numbers: Sequence[int]) -> list[torch.Generator]:
    """One generator per sample, on the CPU whatever the device: accelerators see the noise a CPU would have seen."""
    return [seeding.generator(seed, number, NOISE) for number in numbers]


def noise(shape: tuple[int, ...], sources: Sequence[torch.Generator]) -> Float[Tensor, "b *s"]:
    """Standard normal tokens, sample by sample."""
    return torch.stack([torch.randn(shape, generator=source) for source in sources])


def sample(
    denoiser: Any,
    labels: Int[Tensor, " n"],
    sampler: Sampler = Sampler(),  # noqa: B008, frozen
    *,
    seed: int = 0,
    first: int = 0,
    batch: int = 16,
    progress: Progress | None = None,
) -> Float[Tensor, "n *s"]:
    """Draws standardised tokens.

    Args:
        denoiser: in evaluation mode, on the device to work on.
        labels: class of each sample; `denoiser.config.classes` for none.
        sampler: scheduler, steps, guidance.
        seed: of all samples.
        first: number of the first sample.
        batch: samples that are drawn at once.
        progress: told after every step.
    Returns:
        (N, *denoiser.shape), a set (N, R, D) or lattices (N, rows, columns, D), on the CPU, float32; sample k is a
        function of (seed, first + k) and its label.
    Raises:
        UserError: a sampler or a label that the denoiser does not have, or tokens that are not finite.
    """
    sampler = sampler.resolved(denoiser)
    check_labels(denoiser, labels)
    parts = []
    for start in range(0, len(labels), batch):
        chosen = labels[start : start + batch]
        sources = generators(seed, range(first + start, first + start + len(chosen)))

        def told(done: int, total: int, start: int = start) -> None:
            if progress is not None:
                progress(start * total + done * min(batch, len(labels) - start), len(labels) * total)

        parts.append(solve(denoiser, noise(denoiser.shape, sources), chosen, sampler, sources, progress=told).cpu())
    return torch.cat(parts) if parts else torch.zeros(0, *denoiser.shape)


@torch.no_grad()
def solve(
    denoiser: Any,
    start: Float[Tensor, "b *s"],
    labels: Int[Tensor, " b"],
    sampler: Sampler,
    sources: Sequence[torch.Generator],
    *,
    constrain: Constrain | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "b *s"]:
    """One batch, from standard normal tokens to clean ones.

    Args:
        denoiser: predicts `config.prediction` at times of `config.steps`.
        start: the first noise, unit variance; schedulers that think of larger noise scale it themselves.
        labels: class of each sample.
        sampler: resolved (`Sampler.resolved`).
        sources: a generator per sample for the noise of stochastic schedulers.
        constrain: changes the tokens before each evaluation.
        progress: told after every evaluation.
    """
    config = denoiser.config
    device = next(denoiser.parameters()).device
    scheduler = build(sampler, config.prediction, config.steps)
    stochastic: dict[str, Any] = {"generator": list(sources)} if draws_noise(scheduler) else {}
    labels = labels.to(device)
    tokens = start.to(device) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    times = scheduler.timesteps
    for done, exact in enumerate(times, 1):
        time = float(exact)
        if constrain is not None:
            tokens = constrain(tokens, time)
        scaled = scheduler.scale_model_input(tokens, exact) if hasattr(scheduler, "scale_model_input") else tokens
        at = torch.full((len(tokens),), time * denoiser.horizon / config.steps, device=device)
        predicted = guided(denoiser, scaled, at, labels, sampler.guidance)
        if sampler.scheduler in ONLY_NOISE:
            predicted = as_noise(config.prediction, predicted, scaled, *level(config.prediction, config.steps, time))
        tokens = scheduler.step(predicted, exact, tokens, **stochastic).prev_sample
        if progress is not None:
            progress(done, len(times))
    if not tokens.isfinite().all():
        raise UserError(f"the {sampler.scheduler} sampler gave tokens that are not finite; give more --steps or less "
                        "--guidance, or train the denoiser further")
    return tokens


def as_noise(
    prediction: str, predicted: Float[Tensor, "b *s"], noisy: Float[Tensor, "b *s"], alpha: float, sigma: float
) -> Float[Tensor, "b *s"]:
    """The noise that a prediction of a diffusion model amounts to, at the level (alpha, sigma)."""
    if prediction == "sample":
        return (noisy - alpha * predicted) / sigma                                # x_t = alpha x_0 + sigma e
    return predicted if prediction == "epsilon" else alpha * predicted + sigma * noisy  # v = alpha e - sigma x_0


def check_labels(denoiser: Any, labels: Int[Tensor, " n"]) -> None:
    """Raises UserError for a label that the denoiser does not have."""
    classes = denoiser.config.classes
    if ((labels < 0) | (labels > classes)).any():
        raise UserError(f"labels {int(labels.min())} to {int(labels.max())} of a denoiser with {classes} classes; give "
                        f"0 to {classes}, the last for no class")
