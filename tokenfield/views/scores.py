"""How well models render held-out views: PSNR and SSIM per object and per number of support views.

The protocol: the first V views of an object are encoded, and the targets are views after the largest V that is
compared, so that every number of views has the same targets and three support views are two and one more. PSNR is the
papers', per view, unclamped, then the mean over views and over objects; Fig. 4(a) of LAINR shows it against V.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.evaluation.figures import COLOURS, Panel, plot, repeat, sheet
from tokenfield.fields.field import Field
from tokenfield.io.record import Record
from tokenfield.metrics import mse, psnr, ssim
from tokenfield.training.seeding import generator
from tokenfield.views.data import ViewSet
from tokenfield.views.light_field import LightField, camera_of, render_from
from tokenfield.views.models.base import ViewsModel, views_model
from tokenfield.views.objective import encode_views, held_out_views
from tokenfield.views.radiance_field import Integral

FITTING = 21
"""Stream of the draws of `fit_tokens` (`tokenfield.training.seeding`)."""


@dataclass(frozen=True)
class ViewScore:
    """What was measured of one object with one number of support views.

    Attributes:
        name: of the object.
        support: V, views that were encoded.
        targets: views that were compared.
        psnr, ssim: means over them; dB, unclamped, and in [-1, 1].
        values_stored: numbers that the tokens hold.
        encode_seconds: for the V views together, and the fitting of their tokens if there was one.
        render_seconds: for one view, the median.
    """

    name: str
    support: int
    targets: int
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
        rate: of Adam; latents are of about unit variance.
        seed: decides the rays.
    """

    steps: int = 0
    rays: int = 1024
    rate: float = 1e-2
    seed: int = 0


def field_of_views(
    model: ViewsModel, views: ViewSet, support: Sequence[int], integral: Integral | None = None,
    fitting: Fitting | None = None
) -> Field:
    """An object as a field, from some of its views; its camera stands at the first of them until it is moved.

    Args:
        model: of views.
        views: the object.
        support: numbers of the views that are encoded.
        integral: how a radiance field is rendered.
        fitting: optimise the tokens on these views as well.
    Raises:
        UserError: a number of views, or a size, that the model does not take.
    """
    model.check_support(len(support))
    size = (views.images.shape[-2], views.images.shape[-1])
    if tuple(model.input_size) != size:
        raise UserError(f"the views of {views.name} are {size[0]}x{size[1]}, the model takes "
                        f"{model.input_size[0]}x{model.input_size[1]}")
    numbers = list(support)
    tokens = encode_views(model, views, numbers)[0]
    field = Field(model, tokens, LightField.at(views.poses[numbers[0]], views.angle_x, size, integral))
    return field if fitting is None or not fitting.steps else fit_tokens(field, views, numbers, fitting)


def fit_tokens(field: Field, views: ViewSet, support: Sequence[int], fitting: Fitting) -> Field:
    """The field with its tokens optimised so that the support views come out as they are.

    Random rays of all support views per step, the mean squared error of their colours, Adam with a rate that falls to
    zero as a cosine. Only the tokens change; the decoder knows what objects look like.
    """
    model, domain, device = views_model(field.model), camera_of(field), field.tokens.device
    numbers = list(support)
    pixels = Grid.cells(*domain.size, device=device).coords()
    colours = views.images[numbers].to(device).flatten(2).mT  # (V, H W, 3)
    poses, angles = views.poses[numbers].to(device), torch.full((len(numbers),), views.angle_x, device=device)
    rays = min(len(pixels), -(-fitting.rays // len(numbers)))  # of each view
    with torch.enable_grad():
        tokens = field.tokens.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([tokens], fitting.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, fitting.steps)
        for step in range(fitting.steps):
            chosen = torch.randperm(len(pixels), generator=generator(fitting.seed, step, FITTING))[:rays].to(device)
            values = model.see(tokens.expand(len(numbers), -1, -1), poses, angles, pixels[chosen], domain.size,
                               integral=domain.integral)
            (tokens.grad,) = torch.autograd.grad(mse(values, colours[:, chosen]).mean(), tokens)
            optimizer.step()
            schedule.step()
    return replace(field, tokens=tokens.detach())


def measure(
    model: ViewsModel, objects: Iterable[ViewSet], numbers: Sequence[int], *, integral: Integral | None = None,
    targets: int = 0, reserved: int = 0, fitting: Fitting | None = None,
    before: Callable[[int, str], None] = lambda index, name: None
) -> list[ViewScore]:
    """Scores of every object with every number of support views.

    Args:
        model: of views.
        objects: with their real views.
        numbers: V, one after the other.
        integral: how a radiance field is rendered.
        targets: views to compare per object, evenly spread over those that are left; 0 for all.
        reserved: views that are never targets, beside those that are encoded; at least the largest number.
        fitting: test-time optimisation on the support views.
        before: called with the number and the name of the object that comes next.
    """
    scores = []
    reserved = max(reserved, *numbers)
    for index, views in enumerate(objects):
        before(index, views.name)
        for number in numbers:
            support, chosen = held_out_views(views, number, reserved, targets)
            begin = time.perf_counter()
            field = field_of_views(model, views, support, integral, fitting)
            encoding, times, pictures = time.perf_counter() - begin, [], []
            for target in chosen:
                begin = time.perf_counter()
                pictures.append(render_from(field, views.poses[target : target + 1])[0].cpu())
                times.append(time.perf_counter() - begin)
            pair = torch.stack(pictures), views.images[chosen]
            scores.append(ViewScore(views.name, number, len(chosen), psnr(*pair).mean().item(),
                                    ssim(*pair).mean().item(), field.values_stored, encoding, statistics.median(times)))
    return scores


def means(scores: Sequence[ViewScore]) -> list[Record]:
    """One line per number of support views: means over the objects, medians of seconds."""
    lines = []
    for number in sorted({score.support for score in scores}):
        chosen = [score for score in scores if score.support == number]
        line: Record = {"support": number, "objects": len(chosen)}
        line |= {key: statistics.fmean(getattr(score, key) for score in chosen) for key in ("psnr", "ssim")}
        line |= {"values_stored": chosen[0].values_stored}
        line |= {key: statistics.median(getattr(score, key) for score in chosen)
                 for key in ("encode_seconds", "render_seconds")}
        lines.append(line)
    return lines


def as_json(scores: Sequence[ViewScore]) -> Record:
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
    """A sheet: the support views above; below them real views and the model's from the same poses, with PSNR."""

    def large(image: Tensor) -> Tensor:
        return repeat(image.clamp(0, 1), max(1, side // image.shape[-1]))

    values, real = render_from(field, views.poses[list(targets)]).cpu(), views.images[list(targets)]
    decibels = psnr(values, real).tolist()
    return sheet([
        [Panel(large(views.images[i]), "encoded" if i == support[0] else "") for i in support],
        [Panel(large(image), "real" if i == 0 else "") for i, image in enumerate(real)],
        [Panel(large(image), "model" if i == 0 else "", f"{db:.1f} dB")
         for i, (image, db) in enumerate(zip(values, decibels, strict=True))],
    ])
