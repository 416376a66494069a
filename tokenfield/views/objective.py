"""What a step minimises on posed views: errors of the colours of rays through a view that is not encoded.

Light fields take all pixels of the target or some; radiance fields, whose every ray costs many points, a few, half of
them at first on the object: most of a rendering is empty, and a field that learned that everything is white has no
gradient to learn otherwise (docs/papers.md, "Protocols" and "Released code").

Rays of different instances are drawn independently of each other, as a function of the sample's own seed. The step's
generator, which all processes share, gives one number per pixel; an instance turns all of them by its own offset
modulo 1 (Cranley and Patterson, 1976) and takes the pixels with the smallest ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.metrics import mse, psnr
from tokenfield.models.base import Model
from tokenfield.training.journal import PSNR, Measure
from tokenfield.training.objective import Average, mean_of
from tokenfield.training.validation import mean_over
from tokenfield.views.data import ViewSet, ViewsSource
from tokenfield.views.light_field import LightField, render_from
from tokenfield.views.models.base import LightFieldModel, RadianceModel, ViewsModel, views_model
from tokenfield.views.radiance_field import PUBLISHED, Integral

WHITE = 1 - 0.5 / 255
"""Pixels with a channel below this show the object."""


@dataclass(frozen=True)
class RayConfig(Sizes):
    """Which rays a training step takes."""

    may_be_zero = frozenset({"rays", "foreground_steps"})
    trains: ClassVar[type[ViewsModel]]
    """The kind of model."""
    integral: ClassVar[Integral] = PUBLISHED
    measure: ClassVar[Measure] = PSNR

    rays: int = 0
    """Rays of a target view; 0: all of them."""
    foreground_steps: int = 0
    """For so many steps from the beginning half of the rays show the object, where `rays` leaves a choice."""
    average: Average = "errors"
    """Over the targets of a batch: the mean of their errors (Eq. 1), or of their PSNR, in which a thin object on white
    counts as much as one that fills the picture."""
    evaluate_views: int = 4
    """Held-out views of an object that an evaluation during training renders."""

    def build(self, model: Model, *, bf16: bool = False) -> "RayObjective":
        """The loss as a module."""
        return RayObjective(views_model(model), self, bf16=bf16)

    def check(self, model: Model, source: object, held_out: object, seed: int) -> None:
        """Raises UserError where the model and the views do not fit."""
        model = views_model(model)
        if not isinstance(model, self.trains):
            raise UserError(f"{type(self).__name__} trains a {self.trains.kind}, and {model.name} is a {model.kind}; "
                            "change objective or model")
        if not isinstance(source, ViewsSource):
            raise UserError("these are no posed views; give data of kind views")
        height, width = source.sample(seed, 0, 0)["targets"].shape[-2:]
        if self.rays > height * width:
            raise UserError(f"objective.rays {self.rays} of {height * width} pixels; give at most these, or 0")
        if tuple(model.input_size) != (height, width):
            raise UserError(f"the views are {height}x{width}, the model takes {'x'.join(map(str, model.input_size))}; "
                            "make data.size and the model's size agree")
        config = source.config
        if config.support not in model.support_numbers(config.support):
            raise UserError(f"data.support {config.support}, and the model takes {model.views} views; make them agree")
        if config.fewest and not model.fewer_views:
            raise UserError("data.fewest draws the number of views, which this model takes as one number; set it to 0")

    def evaluate(self, model: Model, source: ViewsSource, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool]) -> tuple[float, int]:
        """Mean PSNR in dB of target views of held-out objects, and their number; see `held_out_views`, `mean_over`."""
        system, number = views_model(model), source.config.support

        def score(views: ViewSet) -> Tensor:
            support, targets = held_out_views(views, number, number, self.evaluate_views)
            camera = LightField.at(views.poses[0], views.angle_x, views.size, self.integral)
            field = Field(system, encode_views(system, views, support)[0], camera)
            return psnr(render_from(field, views.poses[targets]), views.images[targets].to(accelerator.device)).mean()

        return mean_over(source.objects(), score, model, count, accelerator, halted)


@dataclass(frozen=True)
class LightFieldRays(RayConfig):
    """Which rays of a light field a training step takes."""

    trains = LightFieldModel


@dataclass(frozen=True)
class RadianceRays(Integral, RayConfig):
    """Which rays of a radiance field a training step takes, and how they are integrated."""

    trains = RadianceModel

    rays: int = 128
    """Rays of a target view; 128 in the code of IPC and TransINR, 512 in ANR's. 0: all of them."""
    foreground_steps: int = 1000
    """For so many steps from the beginning half of the rays show the object."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 2 or not 0 < self.near < self.far:
            raise UserError(f"{self.points} points from {self.near} to {self.far}; give 2 or more, and 0 < near < far")

    @property
    def integral(self) -> Integral:  # type: ignore[override]  # of a light field it is one for all
        """How rays are integrated."""
        return Integral(self.near, self.far, self.points)


class RayObjective(nn.Module):
    """The loss on a batch of posed views; under bfloat16 autocast rays, depths and the integral stay in float32."""

    def __init__(self, model: ViewsModel, config: RayConfig, *, bf16: bool = False):
        super().__init__()
        self.model, self.config, self.bf16 = model, config, bf16

    def forward(self, batch: dict[str, Tensor],
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss and errors of the targets; `batch` is what `ViewsSource.sample` gives, stacked."""
        target, config, count = batch["targets"].flatten(0, 1), self.config, batch["targets"].shape[1]
        height, width = target.shape[-2:]
        with torch.autocast(target.device.type, torch.bfloat16, enabled=self.bf16):
            tokens = self.model.encode(self.model.inputs(batch["support"], batch["support_poses"], batch["angle_x"]))
            grid, truth = Grid.cells(height, width, device=target.device), target.flatten(2)  # (B, 3, H W)
            coords: Coordinates = grid
            if config.rays:
                biased = (batch["step"] < config.foreground_steps).repeat_interleave(count)
                pixels = pick(target, config.rays, batch["seeds"].flatten(), biased, generator)
                coords = grid.coords()[pixels]  # (B, n, 2)
                truth = truth.gather(2, pixels[:, None].expand(-1, 3, -1))
            tokens, angles = (part.repeat_interleave(count, 0) for part in (tokens, batch["angle_x"]))
            colours = self.model.see(tokens, batch["target_poses"].flatten(0, 1), angles, coords, (height, width),
                                     integral=config.integral, generator=generator)
        errors = mse(colours.float(), truth.mT)
        return mean_of(errors, config.average), errors.detach()


def pick(target: Float[Tensor, "b 3 h w"], count: int, seed: Int[Tensor, " b"], biased: Bool[Tensor, " b"],
         generator: torch.Generator) -> Int[Tensor, "b n"]:
    """`count` different pixels of every instance's target, as indices into its rows, ascending.

    `seed` is from 0 to 2^31 - 1; `biased` instances take half of their pixels from the object, or all that it has if
    these are fewer; the generator is that of the step.
    """
    shared = torch.rand(target.shape[-2:].numel(), generator=generator).to(target.device)
    draws = (shared + (seed.double() / 2**31)[:, None]) % 1.0  # (B, H W), every row a uniform draw by itself
    on_object = (target.amin(1).flatten(1) < WHITE) & biased[:, None]
    first = (draws + (~on_object).double()).argsort(1)[:, : count // 2]  # the object's pixels come first
    rest = draws.scatter(1, first, 2.0).argsort(1)[:, : count - count // 2]
    return torch.cat([first, rest], 1).sort(1).values


def held_out_views(views: ViewSet, support: int, reserved: int, most: int = 0) -> tuple[list[int], list[int]]:
    """The support views and the target views of an object, by their numbers. Raises UserError if no target is left.

    Args:
        support: how many are encoded: the first ones, so that three support views are two and one more.
        reserved: the first so many are never targets; a comparison over numbers of views reserves the most of them.
        most: target views, evenly over those that are left; 0 for all.
    """
    rest = range(max(reserved, support), len(views))
    if not rest:
        raise UserError(f"{views.name} has {len(views)} views; {support} support views leave no target")
    count = min(most or len(rest), len(rest))
    return list(range(support)), [rest[i * len(rest) // count] for i in range(count)]


@torch.no_grad()
def encode_views(model: ViewsModel, views: ViewSet, support: list[int]) -> Float[Tensor, "1 r d"]:
    """The tokens of an object from some of its views."""
    device = next(model.parameters()).device
    images, poses = (part[support][None].to(device) for part in (views.images, views.poses))
    return model.encode(model.inputs(images, poses, torch.tensor([views.angle_x], device=device)))

