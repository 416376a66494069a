"""In-filling: keep the tokens of a picture that lie outside a mask, and draw the others to fit.

Before every evaluation the known tokens are put back at the noise level of the moment, x_t = alpha x_0 + sigma e; the
denoiser sees them and draws the rest to go with them. Once is not enough: what was drawn before the known tokens were
put back does not know of them yet. So every step is taken several times, with noise added again in between (RePaint,
Lugmayr et al., CVPR 2022):

    x_t = (alpha_t / alpha_t') x_t' + sqrt(sigma_t^2 - (alpha_t / alpha_t')^2 sigma_t'^2) e,   t' the step after t.

The step itself is DDIM's, which on the path of flow matching is Euler's: x_t' = alpha_t' x_0 + sigma_t' e with the x_0
and the e that the prediction amounts to.
"""

from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.fields.locality import difference
from tokenfield.generation.paths import clean_and_noise, level
from tokenfield.generation.sampling import Predictor, Progress, generators, guide, noise
from tokenfield.generation.schedulers import STRAIGHT, Sampler, build
from tokenfield.models import folder
from tokenfield.nn.defaults import usual_defaults


def inside(field: Field, mask: Float[Tensor, "h w"],
           progress: Progress = lambda count, total: None) -> Float[Tensor, "*lattice"]:
    """How much of what each token governs lies inside a mask (1 inside, 0 outside), in [0, 1]; a number per token.

    What a token governs is measured: the change of the picture without it (`fields.locality`), rendered at the size
    of the mask. Where tokens govern the whole picture, as those of weight modulation do, every share is that of the
    mask itself, and a part cannot be filled in. A token that changes nothing has 0. `progress` counts tokens.
    """
    whole = field.render(*mask.shape)
    out = torch.zeros(field.tokens.shape[:-1])
    for count, place in enumerate(product(*map(range, out.shape)), 1):
        change = difference(field, place, whole).cpu()
        out[place] = (change * mask).sum() / change.sum().clamp(min=1e-12)
        progress(count, out.numel())
    return out


@dataclass(frozen=True)
class Gap:
    """A picture's standardised tokens, and which of them are drawn anew; the others stay, to the bit."""

    tokens: Float[Tensor, "*r d"]
    redrawn: Bool[Tensor, "*r"]


@torch.no_grad()
@usual_defaults()
def fill(denoiser: Predictor | nn.Module, gap: Gap, labels: Int[Tensor, " n"], sampler: Sampler, *,
         repeats: int = 5, seed: int = 0, first: int = 0,
         progress: Progress = lambda count, total: None) -> Float[Tensor, "n *s"]:
    """Draws the tokens of a gap, given the others; one result per label, as `sample` does.

    A scheduler other than DDIM, or Euler for flow, raises UserError. Every step is taken `repeats` times; 1 is quick
    and fits worse.
    """
    config, device = folder.inside(denoiser).config, next(denoiser.parameters()).device
    sampler = sampler.resolved(config.prediction, config.steps)
    if sampler.scheduler not in STRAIGHT or repeats < 1:
        raise UserError(f"in-filling with {sampler.scheduler} and {repeats} repeats; leave --scheduler out (DDIM, or "
                        "Euler for flow) and give at least 1 repeat")
    times = build(sampler, config.prediction, config.steps).timesteps.tolist()
    levels = [level(config.prediction, config.steps, time) for time in times] + [(1.0, 0.0)]
    sources = generators(seed, range(first, first + len(labels)))

    def fresh() -> Tensor:
        return noise(folder.inside(denoiser).shape, sources).to(device)

    original, redrawn, labels = gap.tokens.to(device), gap.redrawn.to(device)[..., None], labels.to(device)
    tokens = fresh()
    for step, time in enumerate(times):
        (alpha, sigma), (alpha_after, sigma_after) = levels[step : step + 2]
        for remaining in reversed(range(repeats if sigma_after > 0 else 1)):  # nothing is put back after the last step
            tokens = torch.where(redrawn, tokens, alpha * original + sigma * fresh())
            predicted = guide(denoiser, tokens, time, labels, sampler.guidance)
            clean, e = clean_and_noise(config.prediction, predicted, tokens, alpha, sigma)
            tokens = alpha_after * clean + sigma_after * e
            if remaining:
                back = alpha / alpha_after
                tokens = back * tokens + (sigma**2 - back**2 * sigma_after**2) ** 0.5 * fresh()
        progress(step + 1, len(times))
    return torch.where(redrawn, tokens, original).cpu()


def describe(redrawn: Bool[Tensor, "*lattice"], most: int = 12) -> str:
    """Which tokens are drawn, in words: their numbers, or their rows and columns."""
    places = redrawn.nonzero().tolist()
    names = [str(place[-1]) if redrawn.ndim == 1 else str(tuple(place)) for place in places[:most]]
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return f"{len(places)} of {redrawn.numel()} tokens: {', '.join(names)}{more}"
