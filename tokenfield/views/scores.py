"""How well models render held-out views: PSNR and SSIM per object and per number of support views.

The first V views of an object are encoded, and the targets are views after the largest V that is compared, so that
every number of views has the same targets. PSNR is the papers', per view, unclamped, then the mean over views and over
objects; Fig. 4(a) of LAINR shows it against V.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.evaluation.figures import Panel, repeat, sheet
from tokenfield.fields.field import Field
from tokenfield.io.charts import COLOURS, plot
from tokenfield.io.record import Record
from tokenfield.metrics import mse, psnr, ssim
from tokenfield.nn.defaults import gradients
from tokenfield.training.seeding import generator
from tokenfield.views.data import ViewSet
from tokenfield.views.light_field import LightField, camera_of, render_from
from tokenfield.views.models.base import ViewsModel, views_model
from tokenfield.views.objective import encode_views, held_out_views
from tokenfield.views.radiance_field import PUBLISHED, Integral

FITTING = 21
"""Stream of the draws of `fit_tokens` (`tokenfield.training.seeding`)."""


@dataclass(frozen=True)
class ViewScore:
    """What was measured of one object with one number of support views."""

    name: str
    support: int  # V, views that were encoded
    targets: int  # views that were compared
    psnr: float  # mean over them, dB, unclamped
    ssim: float
    values_stored: int
    encode_seconds: float  # for the V views together, and the fitting of their tokens if there was one
    render_seconds: float  # for one view, the median


@dataclass(frozen=True)
class Fitting:
    """Test-time optimisation of the tokens on the support views."""

    steps: int = 0  # of Adam; 0 leaves the tokens as they were predicted
    rays: int = 1024  # per step, over all support views
    rate: float = 1e-2  # of Adam; latents are of about unit variance
    seed: int = 0  # decides the rays


PREDICTED = Fitting()


def field_of_views(model: ViewsModel, views: ViewSet, support: Sequence[int], integral: Integral = PUBLISHED,
                   fitting: Fitting = PREDICTED) -> Field:
    """An object as a field, from some of its views; its camera stands at the first of them until it is moved.

    Raises UserError for a number of views, or a size, that the model does not take.
    """
    model.check_support(len(support))
    if tuple(model.input_size) != views.size:
        own_size, model_size = ("x".join(map(str, size)) for size in (views.size, model.input_size))
        raise UserError(f"the views of {views.name} are {own_size}, the model takes {model_size}")
    numbers = list(support)
    tokens = encode_views(model, views, numbers)[0]
    field = Field(model, tokens, LightField.at(views.poses[numbers[0]], views.angle_x, views.size, integral))
    return fit_tokens(field, views, numbers, fitting) if fitting.steps else field


@gradients()
def fit_tokens(field: Field, views: ViewSet, numbers: list[int], fitting: Fitting) -> Field:
    """The field with its tokens optimised so that the support views, of these numbers, come out as they are.

    Random rays of all support views per step, the mean squared error of their colours, Adam with a rate that falls to
    zero as a cosine. Only the tokens change; the decoder knows what objects look like.
    """
    model, domain, device = views_model(field.model), camera_of(field), field.tokens.device
    pixels = Grid.cells(*domain.size, device=device).coords()
    colours = views.images[numbers].to(device).flatten(2).mT  # (V, H W, 3)
    poses, angles = views.poses[numbers].to(device), torch.full((len(numbers),), views.angle_x, device=device)
    rays = min(len(pixels), -(-fitting.rays // len(numbers)))  # of each view
    tokens = field.tokens.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([tokens], fitting.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, fitting.steps)
    for step in range(fitting.steps):
        sample = torch.randperm(len(pixels), generator=generator(fitting.seed, step, FITTING))[:rays].to(device)
        values = model.see(tokens.expand(len(numbers), -1, -1), poses, angles, pixels[sample], domain.size,
                           integral=domain.integral)
        (tokens.grad,) = torch.autograd.grad(mse(values, colours[:, sample]).mean(), tokens)
        optimizer.step()
        schedule.step()
    return replace(field, tokens=tokens.detach())


def score_objects(
    model: ViewsModel, objects: Iterable[ViewSet], numbers: Sequence[int], *, integral: Integral = PUBLISHED,
    targets: int = 0, reserved: int = 0, fitting: Fitting = PREDICTED,
    before: Callable[[int, str], None] = lambda index, name: None
) -> list[ViewScore]:
    """Scores of every object with every number V of support views.

    Args:
        targets: views to compare per object, evenly spread over those that are left; 0 for all.
        reserved: views that are never targets, beside those that are encoded; at least the largest number.
        before: called with the number and the name of the object that comes next.
    """
    scores = []
    reserved = max(reserved, *numbers)
    for index, views in enumerate(objects):
        before(index, views.name)
        for number in numbers:
            support, target_views = held_out_views(views, number, reserved, targets)
            begin = time.perf_counter()
            field = field_of_views(model, views, support, integral, fitting)
            encoding, times, pictures = time.perf_counter() - begin, [], []
            for target in target_views:
                begin = time.perf_counter()
                pictures.append(render_from(field, views.poses[target : target + 1])[0].cpu())
                times.append(time.perf_counter() - begin)
            pair = torch.stack(pictures), views.images[target_views]
            scores.append(ViewScore(views.name, number, len(target_views), psnr(*pair).mean().item(),
                                    ssim(*pair).mean().item(), field.values_stored, encoding, statistics.median(times)))
    return scores


def means(scores: Sequence[ViewScore]) -> list[Record]:
    """One line per number of support views: means over the objects, medians of seconds."""
    lines: list[Record] = []
    for number in sorted({score.support for score in scores}):
        group = [score for score in scores if score.support == number]
        lines.append({
            "support": number,
            "objects": len(group),
            "psnr": statistics.fmean(score.psnr for score in group),
            "ssim": statistics.fmean(score.ssim for score in group),
            "values_stored": group[0].values_stored,
            "encode_seconds": statistics.median(score.encode_seconds for score in group),
            "render_seconds": statistics.median(score.render_seconds for score in group),
        })
    return lines


def figure_4a(path: Path, curves: dict[str, list[tuple[int, float]]], title: str) -> Path:
    """PSNR against the number of support views, a line per model or category (Fig. 4(a) of LAINR)."""
    with plot(path, title=title, xlabel="support views", ylabel="PSNR / dB") as axes:
        for number, (name, points) in enumerate(curves.items()):
            axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[number % len(COLOURS)], label=name)
        axes.set_xticks(sorted({x for points in curves.values() for x, _ in points}))
    return path


def comparison(field: Field, views: ViewSet, support: Sequence[int], targets: Sequence[int],
               side: int = 128) -> Image.Image:
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
