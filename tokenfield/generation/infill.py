"""In-filling: keep the tokens of a picture that lie outside a mask, and draw the others to fit.

Before every evaluation the known tokens are put back at the noise level of the moment, x_t = alpha x_0 + sigma e; the
denoiser sees them and draws the rest to go with them. Once is not enough: what was drawn before the known tokens were
put back does not know of them yet. So every step is taken several times, with noise added again in between (RePaint,
Lugmayr et al., CVPR 2022):

    x_t = (alpha_t / alpha_t') x_t' + sqrt(sigma_t^2 - (alpha_t / alpha_t')^2 sigma_t'^2) e,   t' the step after t.

The step itself is DDIM's, which on the path of flow matching is Euler's: x_t' = alpha_t' x_0 + sigma_t' e with the x_0
and the e that the prediction amounts to.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.evaluation.locality import difference
from tokenfield.fields.field import Field
from tokenfield.generation.guidance import guided
from tokenfield.generation.sampling import Progress, generators, noise
from tokenfield.generation.schedulers import STRAIGHT, Sampler, build, level


def inside(field: Field, mask: Float[Tensor, "h w"], progress: Progress | None = None) -> Float[Tensor, "*lattice"]:
    """How much of what each token governs lies inside a mask, in [0, 1].

    What a token governs is measured, not assumed: the change of the picture when the token is replaced by zero
    (`analysis.locality`), rendered at the size of the mask. Where tokens govern the whole picture, as those of weight
    modulation do, every share is that of the mask itself, and in-filling a part of the picture is not possible.

    Args:
        field: the picture.
        mask: 1 inside and 0 outside; parts in between count in part.
    Returns:
        One number per token, of the tokens' shape without the last axis; 0 for a token that changes nothing.
    """
    whole = field.render(*mask.shape)
    places = list(torch.cartesian_prod(*(torch.arange(n) for n in field.tokens.shape[:-1])).tolist())
    out = torch.zeros(field.tokens.shape[:-1])
    for done, place in enumerate(places, 1):
        change = difference(field, tuple(place), whole).cpu()
        out[tuple(place)] = (change * mask).sum() / change.sum().clamp(min=1e-12)
        if progress is not None:
            progress(done, len(places))
    return out


def clean_and_noise(
    prediction: str, predicted: Float[Tensor, "b *s"], noisy: Float[Tensor, "b *s"], alpha: float, sigma: float
) -> tuple[Float[Tensor, "b *s"], Float[Tensor, "b *s"]]:
    """The x_0 and the e, with noisy = alpha x_0 + sigma e, that a prediction amounts to."""
    if prediction == "epsilon":
        return (noisy - sigma * predicted) / alpha, predicted
    if prediction == "velocity":                                                   # u = e - x_0, alpha = 1 - sigma
        clean = noisy - sigma * predicted
        return clean, clean + predicted
    clean = predicted if prediction == "sample" else alpha * noisy - sigma * predicted  # v = alpha e - sigma x_0
    return clean, (noisy - alpha * clean) / sigma


@torch.no_grad()
def fill(
    denoiser: Any,
    known: Float[Tensor, "*r d"],
    drawn: Bool[Tensor, "*r"],
    labels: Int[Tensor, " n"],
    sampler: Sampler,
    *,
    repeats: int = 5,
    seed: int = 0,
    first: int = 0,
    progress: Progress | None = None,
) -> Float[Tensor, "n *s"]:
    """Draws some of the tokens, given the others.

    Args:
        denoiser: in evaluation mode.
        known: standardised tokens of the picture.
        drawn: which of them to draw anew; the others come back as they were, to the bit.
        labels: one class per result, `config.classes` for none.
        sampler: its steps and its guidance; the scheduler is DDIM, or Euler for flow.
        repeats: how often every step is taken. 1 is quick and fits worse.
        seed, first: result k is a function of (seed, first + k).
    Raises:
        UserError: another scheduler, fewer than one repeat.
    """
    sampler = sampler.resolved(denoiser)
    config = denoiser.config
    if sampler.scheduler not in STRAIGHT or repeats < 1:
        raise UserError(f"in-filling with {sampler.scheduler} and {repeats} repeats; leave --scheduler out (DDIM, or "
                        "Euler for flow) and give at least 1 repeat")
    device = next(denoiser.parameters()).device
    times = [float(time) for time in build(sampler, config.prediction, config.steps).timesteps]
    levels = [level(config.prediction, config.steps, time) for time in times] + [(1.0, 0.0)]
    sources = generators(seed, range(first, first + len(labels)))

    def fresh() -> Tensor:
        return noise(denoiser.shape, sources).to(device)

    held, redrawn, labels = known.to(device), drawn.to(device)[..., None], labels.to(device)
    tokens = fresh()
    for step, time in enumerate(times):
        (alpha, sigma), (following, remaining) = levels[step], levels[step + 1]
        times_taken = repeats if remaining > 0 else 1  # nothing is put back after the last step
        for again in range(times_taken):
            tokens = torch.where(redrawn, tokens, alpha * held + sigma * fresh())
            at = torch.full((len(tokens),), time * denoiser.horizon / config.steps, device=device)
            predicted = guided(denoiser, tokens, at, labels, sampler.guidance)
            clean, e = clean_and_noise(config.prediction, predicted, tokens, alpha, sigma)
            tokens = following * clean + remaining * e
            if again < times_taken - 1:
                kept = alpha / following
                tokens = kept * tokens + (sigma**2 - kept**2 * remaining**2) ** 0.5 * fresh()
        if progress is not None:
            progress(step + 1, len(times))
    return torch.where(redrawn, tokens, held).cpu()


def describe(chosen: Bool[Tensor, "*lattice"], most: int = 12) -> str:
    """Which tokens are drawn, in words: their numbers, or their rows and columns."""
    places = chosen.nonzero().tolist()
    named = [str(place[-1]) if chosen.ndim == 1 else str(tuple(place)) for place in places[:most]]
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return f"{len(places)} of {chosen.numel()} tokens: {', '.join(named)}{more}"
