"""How well models see objects from where nobody stood: PSNR and SSIM per object and per number of support views.

The protocol: the first V views of an object are given, and views after the largest V that is compared are asked for, so
that every number of views answers the same questions and three given views are two and one more. PSNR is the papers',
per view, unclamped, then the mean over views and over objects; Fig. 4(a) of LAINR shows it against V.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.evaluation.figures import COLOURS, Panel, plot, sheet
from tokenfield.fields.field import Field
from tokenfield.metrics import mse, psnr, ssim
from tokenfield.training.seeding import generator
from tokenfield.views.data import ViewSet
from tokenfield.views.light_field import Integral, LightField, see, sight_of
from tokenfield.views.objective import encode_views, held_out_views

RATE = 1e-2
"""Adam's rate in `fitted`: latents are of about unit variance."""
FITTING = 21
"""Stream of the draws of `fitted` (`tokenfield.training.seeding`)."""


@dataclass(frozen=True)
class ViewScore:
    """What was measured of one object with one number of support views.

    Attributes:
        name: of the object.
        support: V, views that were given.
        asked: views that were asked for.
        psnr, ssim: means over them; dB, unclamped, and in [-1, 1].
        values_stored: numbers that the tokens hold.
        encode_seconds: for the V views together, and their fitting if there was one.
        render_seconds: for one view, the median.
    """

    name: str
    support: int
    asked: int
    psnr: float
    ssim: float
    values_stored: int
    encode_seconds: float
    render_seconds: float


@dataclass(frozen=True)
class Fitting:
    """Test-time optimisation of the tokens on the support views.

    Attributes:
        steps: of Adam; 0 leaves the tokens as they were predicted.
        rays: per step, over all support views.
        rate: of Adam.
        seed: decides the rays.
    """

    steps: int = 0
    rays: int = 1024
    rate: float = RATE
    seed: int = 0


def numbers_for(model: Any, most: int = 5) -> list[int]:
    """The numbers of support views that a model takes, up to `most`."""
    views = getattr(model.config, "views", None)
    if views is None or model.name.startswith("lainr-"):
        return list(range(1, min(most, views or most) + 1))
    return [views]  # every place in the order of the views has positions of its own


def check_number(model: Any, support: int) -> None:
    """Raises UserError for a number of support views that the model does not take."""
    if support < 1 or support not in numbers_for(model, support):
        taken = numbers_for(model, 99)
        words = f"{taken[0]} to {taken[-1]}" if len(taken) > 1 else str(taken[0])
        raise UserError(f"{support} support views, and this {model.name} takes {words}; give such a number")


def check_size(model: Any, views: ViewSet) -> None:
    """Raises UserError for views of another size than the model takes."""
    size = tuple(views.images.shape[-2:])
    if tuple(model.input_size) != size:
        raise UserError(f"the views of {views.name} are {size[0]}x{size[1]}, the model takes "
                        f"{model.input_size[0]}x{model.input_size[1]}")


def field_of_views(
    model: Any, views: ViewSet, support: Sequence[int], integral: Integral | None = None, fitting: Fitting | None = None
) -> Field:
    """An object as a field, from some of its views; it is seen from the first of them until the camera moves.

    Args:
        model: of views.
        views: the object.
        support: numbers of the views that are given.
        integral: how a radiance field is rendered.
        fitting: optimise the tokens on the given views as well.
    """
    check_number(model, len(support))
    check_size(model, views)
    given = list(support)
    tokens = encode_views(model, views, given)[0]
    size = (views.images.shape[-2], views.images.shape[-1])
    field = Field(model, tokens, LightField.at(views.poses[given[0]], views.angle_x, size, integral))
    return field if fitting is None or not fitting.steps else fitted(field, views, given, fitting)


def fitted(field: Field, views: ViewSet, support: Sequence[int], fitting: Fitting) -> Field:
    """The field with its tokens optimised so that the given views come out as they are.

    Random rays of all given views per step, the mean squared error of their colours, Adam with a rate that falls to
    zero as a cosine. What is optimised is the tokens alone (4.5); the decoder knows what objects look like.
    """
    domain, device = field.domain, field.tokens.device
    assert isinstance(domain, LightField), "made by field_of_views"
    given = list(support)
    height, width = domain.size
    pixels = Grid.cells(height, width, device=device).coords()
    colours = views.images[given].to(device).flatten(2).mT  # (V, H W, 3)
    poses, angles = views.poses[given].to(device), torch.full((len(given),), views.angle_x, device=device)
    each = min(len(pixels), -(-fitting.rays // len(given)))
    with torch.enable_grad():
        tokens = field.tokens.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([tokens], fitting.rate)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, fitting.steps)
        for step in range(fitting.steps):
            chosen = torch.randperm(len(pixels), generator=generator(fitting.seed, step, FITTING))[:each].to(device)
            seen = see(field.model, tokens.expand(len(given), -1, -1), poses, angles, pixels[chosen], domain.size,
                       integral=domain.integral)
            (gradient,) = torch.autograd.grad(mse(seen, colours[:, chosen]).mean(), tokens)
            tokens.grad = gradient
            optimizer.step()
            falling.step()
    return replace(field, tokens=tokens.detach())


def seen_from(field: Field, pose: Float[Tensor, "4 4"]) -> Field:
    """The same object from elsewhere."""
    assert isinstance(field.domain, LightField), "made by field_of_views"
    return replace(field, domain=field.domain.seen_from(pose))


def rendered(field: Field, poses: Float[Tensor, "n 4 4"], size: tuple[int, int] | None = None) -> Tensor:
    """Views (N, 3, H, W) from poses, neither clamped nor rounded, at the object's own size or another."""
    height, width = size or field.native_size
    return torch.stack([seen_from(field, pose).render(height, width) for pose in poses])


def measure(
    model: Any,
    objects: Iterable[ViewSet],
    numbers: Sequence[int],
    *,
    integral: Integral | None = None,
    asked: int = 0,
    reserved: int = 0,
    fitting: Fitting | None = None,
    before: Callable[[int, str], None] = lambda index, name: None,
) -> list[ViewScore]:
    """Scores of every object with every number of support views.

    Args:
        model: of views.
        objects: with their real views.
        numbers: V, one after the other.
        integral: how a radiance field is rendered.
        asked: views to ask for per object, evenly spread over those that are left; 0 for all.
        reserved: views that are never asked for, beside those that are given; at least the largest number.
        fitting: test-time optimisation on the support views.
        before: told the number and the name of the object that comes next.
    """
    scores = []
    reserved = max(reserved, *numbers)
    for index, views in enumerate(objects):
        before(index, views.name)
        for number in numbers:
            support, targets = held_out_views(views, number, reserved, asked)
            begun = time.perf_counter()
            field = field_of_views(model, views, support, integral, fitting)
            encoding, times, seen = time.perf_counter() - begun, [], []
            for target in targets:
                begun = time.perf_counter()
                seen.append(rendered(field, views.poses[target : target + 1])[0].cpu())
                times.append(time.perf_counter() - begun)
            pictures, real = torch.stack(seen), views.images[targets]
            scores.append(
                ViewScore(
                    views.name,
                    number,
                    len(targets),
                    psnr(pictures, real).mean().item(),
                    ssim(pictures, real).mean().item(),
                    field.values_stored,
                    encoding,
                    statistics.median(times),
                )
            )
    return scores


def means(scores: Sequence[ViewScore]) -> list[dict[str, Any]]:
    """One line per number of support views: means over the objects, medians of seconds."""
    lines = []
    for number in sorted({score.support for score in scores}):
        chosen = [score for score in scores if score.support == number]
        line: dict[str, Any] = {"support": number, "objects": len(chosen)}
        line |= {key: statistics.fmean(getattr(score, key) for score in chosen) for key in ("psnr", "ssim")}
        line |= {"values_stored": chosen[0].values_stored}
        line |= {
            key: statistics.median(getattr(score, key) for score in chosen)
            for key in ("encode_seconds", "render_seconds")
        }
        lines.append(line)
    return lines


def as_json(scores: Sequence[ViewScore]) -> dict[str, Any]:
    """The means, and every object's scores."""
    return {"means": means(scores), "objects": [asdict(score) for score in scores]}


def figure_4a(path: Path, curves: dict[str, list[tuple[int, float]]], title: str) -> Path:
    """PSNR against the number of support views, a line per model or category (Fig. 4(a) of LAINR)."""
    with plot(path, title=title, xlabel="support views", ylabel="PSNR / dB") as axes:
        for number, (name, points) in enumerate(curves.items()):
            axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[number % len(COLOURS)], label=name)
        axes.set_xticks(sorted({x for points in curves.values() for x, _ in points}))
        axes.legend(frameon=False)
    return path


def comparison(
    field: Field, views: ViewSet, support: Sequence[int], targets: Sequence[int], side: int = 128
) -> Image.Image:
    """A sheet: the given views above; below them real views and what the model says from there, with PSNR."""

    def large(image: Tensor) -> Tensor:
        times = max(1, side // image.shape[-1])
        return image.clamp(0, 1).repeat_interleave(times, 1).repeat_interleave(times, 2)

    seen = rendered(field, views.poses[list(targets)]).cpu()
    real = views.images[list(targets)]
    decibels = psnr(seen, real).tolist()
    return sheet([
        [Panel(large(views.images[i]), "given" if i == support[0] else "") for i in support],
        [Panel(large(image), "real" if i == 0 else "") for i, image in enumerate(real)],
        [Panel(large(image), "model" if i == 0 else "", f"{db:.1f} dB")
         for i, (image, db) in enumerate(zip(seen, decibels, strict=True))],
    ])  # fmt: skip


def describe(model: Any) -> str:
    """What kind of field a model makes of views."""
    return sight_of(model).name
