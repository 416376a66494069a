"""From noise to tokens: a denoiser, a scheduler of `diffusers`, guidance, and a seed for every sample.

Sample i of a seed is a function of (seed, i) alone: its first noise and whatever noise a stochastic solver adds come
from a generator of its own. How many samples are drawn at once, and which others, therefore changes nothing but the
rounding of the matrix products (float32: some 1e-6 of a token). Sample 7 can be drawn again alone, and several
processes can share the work by numbers (`--first`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.generation.denoiser import DenoiserSizes
from tokenfield.generation.paths import clean_and_noise, level
from tokenfield.generation.schedulers import ONLY_NOISE, STOCHASTIC, Sampler, build
from tokenfield.models.folder import inside
from tokenfield.nn.defaults import usual_defaults
from tokenfield.training import seeding

NOISE = 21
"""Stream of the samples' noise among the streams of `training.seeding`."""

Progress = Callable[[int, int], None]
"""Called with (done, in all): evaluations, unless something else is said."""


@runtime_checkable
class Predictor(Protocol):
    """What sampling needs of a denoiser, see `TokenDenoiser`, or of what is `inside` one that is compiled or parallel.

    `parameters` lie on the device to work on.
    """

    config: DenoiserSizes

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __call__(self, noisy: Tensor, time: Tensor, label: Tensor) -> Tensor: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


def generators(seed: int, numbers: Sequence[int]) -> list[torch.Generator]:
    """One generator per sample, on the CPU whatever the device: accelerators see the noise a CPU would have seen."""
    return [seeding.generator(seed, number, NOISE) for number in numbers]


def noise(shape: tuple[int, ...], sources: Sequence[torch.Generator]) -> Float[Tensor, "b *s"]:
    """Standard normal tokens, sample by sample."""
    return torch.stack([torch.randn(shape, generator=source) for source in sources])


def guide(denoiser: Predictor | nn.Module, noisy: Float[Tensor, "b *s"], timestep: float | int,
          labels: Int[Tensor, " b"], weight: float | int) -> Float[Tensor, "b *s"]:
    """The prediction at a timestep of the schedule (t T for flow), its class exaggerated: without + w (with - without).

    Classifier-free guidance (Ho and Salimans, 2022). The sample, the noise, v and the velocity are affine in each other
    at a given x_t, with coefficients that sum to one over both terms, so guiding any of them is guiding all of them.

    Labels are classes, or `config.classes` for none. A weight w of 0 or 1 costs one evaluation, as do samples that all
    have no class; everything else two, in one batch.
    """
    config = inside(denoiser).config
    time = timestep / config.steps if config.prediction == "velocity" else float(timestep)
    times, none = torch.full((len(noisy),), time, device=noisy.device), torch.full_like(labels, config.classes)
    if weight == 1 or torch.equal(labels, none):
        return denoiser(noisy, times, labels).float()
    if weight == 0:
        return denoiser(noisy, times, none).float()
    both = denoiser(torch.cat([noisy, noisy]), times.repeat(2), torch.cat([labels, none])).float()
    with_class, without = both.chunk(2)
    return without + weight * (with_class - without)


@usual_defaults()
def sample(
    denoiser: Predictor | nn.Module,
    labels: Int[Tensor, " n"],
    sampler: Sampler = Sampler(),  # noqa: B008, frozen
    *,
    seed: int = 0,
    first: int = 0,
    batch: int = 16,
    progress: Progress = lambda count, total: None,
) -> Float[Tensor, "n *s"]:
    """Draws standardised tokens: (N, R, D) of a set, (N, rows, columns, D) of a lattice, on the CPU.

    Sample k is a function of (seed, first + k) and its label, a class or `denoiser.config.classes` for none; `batch` of
    them are drawn at once. Raises UserError for a sampler or a label that the denoiser, in evaluation mode, does not
    have, or tokens that are not finite.
    """
    config, shape = inside(denoiser).config, inside(denoiser).shape
    sampler = sampler.resolved(config.prediction, config.steps)
    if ((labels < 0) | (labels > config.classes)).any():
        raise UserError(f"labels {int(labels.min())} to {int(labels.max())} of a denoiser with {config.classes} "
                        f"classes; give 0 to {config.classes}, the last for no class")
    parts = [torch.zeros(0, *shape)]
    for start in range(0, len(labels), batch):
        classes = labels[start : start + batch]
        sources = generators(seed, range(first + start, first + start + len(classes)))

        def report(count: int, total: int, start: int = start, size: int = len(classes)) -> None:
            progress(start * total + count * size, len(labels) * total)

        parts.append(solve(denoiser, noise(shape, sources), classes, sampler, sources, progress=report).cpu())
    return torch.cat(parts)


@torch.no_grad()
@usual_defaults()
def solve(denoiser: Predictor | nn.Module, start: Float[Tensor, "b *s"], labels: Int[Tensor, " b"], sampler: Sampler,
          sources: Sequence[torch.Generator], *,
          progress: Progress = lambda count, total: None) -> Float[Tensor, "b *s"]:
    """One batch, from standard normal tokens to clean ones.

    `sampler` is a resolved one; `sources` are a generator per sample, for the noise of stochastic schedulers.
    """
    config, device = inside(denoiser).config, next(denoiser.parameters()).device
    scheduler = build(sampler, config.prediction, config.steps)
    scale = getattr(scheduler, "scale_model_input", lambda tokens, timestep: tokens)  # solvers of flow have none
    options: dict[str, object] = {"generator": list(sources)} if sampler.scheduler in STOCHASTIC else {}
    labels, tokens = labels.to(device), start.to(device) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    for count, timestep in enumerate(scheduler.timesteps, 1):
        scaled, time = scale(tokens, timestep), float(timestep)
        predicted = guide(denoiser, scaled, time, labels, sampler.guidance)
        if sampler.scheduler in ONLY_NOISE:
            here = level(config.prediction, config.steps, time)
            _, predicted = clean_and_noise(config.prediction, predicted, scaled, *here)
        tokens = scheduler.step(predicted, timestep, tokens, return_dict=False, **options)[0]
        progress(count, len(scheduler.timesteps))
    if not tokens.isfinite().all():
        raise UserError(f"the {sampler.scheduler} sampler gave tokens that are not finite; give more --steps or less "
                        "--guidance, or train the denoiser further")
    return tokens
