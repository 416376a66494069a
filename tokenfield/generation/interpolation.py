"""Between two samples, or between two photographs.

Noise lies on a sphere: a standard normal draw in N dimensions has a length of sqrt(N), give or take one. A straight
line between two draws passes at 0.7 of that length, where no draw ever is, so samples are joined along the great
circle (Shoemake, 1985), and every frame is the denoiser's answer to noise as it knows it. Tokens of photographs are no
sphere; they are joined by a straight line, and the frames show what the field model makes of the tokens in between.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.evaluation.animations import save_animation
from tokenfield.evaluation.figures import to_pil
from tokenfield.fields.field import Field
from tokenfield.generation.sampling import Predictor, Progress, generators, noise, solve
from tokenfield.generation.schedulers import STOCHASTIC, Sampler
from tokenfield.models.folder import inside
from tokenfield.nn.defaults import usual_defaults

FRAME_MILLISECONDS = 80


def spherical(a: Float[Tensor, "*n"], b: Float[Tensor, "*n"], share: float | int) -> Float[Tensor, "*n"]:
    """(sin((1 - t) w) a + sin(t w) b) / sin w, w the angle between a and b as vectors and t, in [0, 1], the share.

    0 gives a and 1 gives b, to the bit; a straight line where the two coincide.
    """
    cosine = (a * b).sum() / (a.norm() * b.norm())
    angle = cosine.clamp(-1, 1).acos()
    if share in (0, 1) or angle.sin() < 1e-4:  # also the opposite of a: no great circle that leads there is shortest
        return torch.lerp(a, b, share)
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


def shares(frames: int) -> list[float]:
    """`frames` numbers from 0 to 1, both included. Raises UserError for fewer than two."""
    if frames < 2:
        raise UserError(f"{frames} frames; an animation between two pictures has at least 2")
    return [k / (frames - 1) for k in range(frames)]


@usual_defaults()
def between_samples(denoiser: Predictor | nn.Module, numbers: tuple[int, int], labels: Int[Tensor, "2"],
                    sampler: Sampler, frames: int, *, seed: int = 0, batch: int = 16,
                    progress: Progress = lambda count, total: None) -> Float[Tensor, "f *s"]:
    """Standardised tokens on the way from one sample to another; the first and the last are those samples.

    `numbers` are theirs in `sample(seed=..., first=...)`, `labels` their classes, each for half of the frames. Raises
    UserError for a stochastic sampler, whose frames would not hang together. `progress` counts frames.
    """
    config = inside(denoiser).config
    sampler = sampler.resolved(config.prediction, config.steps)
    if sampler.scheduler in STOCHASTIC:
        raise UserError(f"scheduler {sampler.scheduler} adds noise of its own, so that frames do not hang together; "
                        "give one that does not, such as DDIM")
    a, b = noise(inside(denoiser).shape, generators(seed, numbers))
    starts = torch.stack([spherical(a, b, share) for share in shares(frames)])
    frame_labels = torch.stack([labels[0] if 2 * k < frames else labels[1] for k in range(frames)])
    parts = []
    for start, label in zip(starts.split(batch), frame_labels.split(batch), strict=True):
        parts.append(solve(denoiser, start, label, sampler, ()).cpu())
        progress(sum(map(len, parts)), frames)
    return torch.cat(parts)


def between_fields(a: Field, b: Field, frames: int) -> list[Field]:
    """Fields whose tokens lie on the straight line from one to the other, of one model and one size."""
    if a.tokens.shape != b.tokens.shape or a.model is not b.model:
        raise UserError(f"tokens {tuple(a.tokens.shape)} and {tuple(b.tokens.shape)}; give two pictures of one size")
    return [Field(a.model, torch.lerp(a.tokens, b.tokens, share), a.domain) for share in shares(frames)]


def write_animation(path: Path, pictures: Sequence[Float[Tensor, "3 h w"]]) -> None:
    """An animated WebP, there and back for ever; whole or not at all."""
    frames = [to_pil(picture.cpu()) for picture in pictures]
    save_animation(path, frames + frames[-2:0:-1], FRAME_MILLISECONDS)
