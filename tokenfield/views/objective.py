"""What a step minimises on posed views: the colours of rays through a view that was not given (A.2).

Support views are encoded; rays through pixels of the target are asked; the error is the mean squared one of their
colours. Light fields ask for all pixels of the target or for some; radiance fields, whose every ray costs many points,
for a few, half of them at first on the object: most of a rendering is empty, and a field that learned that everything
is white has no gradient to learn otherwise.

Rays of different instances are drawn independently of each other, as a function of the sample's own seed. The step's
generator, which all processes share, gives one number per pixel; an instance turns all of them by its own offset
modulo 1 (Cranley and Patterson, 1976) and takes the pixels with the smallest ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.metrics import mse, psnr
from tokenfield.models.base import FieldModel
from tokenfield.views.data import ViewSet, ViewsSource
from tokenfield.views.light_field import LIGHT_FIELD, RADIANCE, Integral, Sight, see, sight_of

WHITE = 1 - 0.5 / 255
"""Pixels with a channel below this show the object."""


@dataclass(frozen=True)
class LightFieldRays:
    """Which rays a training step asks a light field for."""

    sight: ClassVar[Sight] = LIGHT_FIELD
    """What such an objective trains."""
    jittered: ClassVar[bool] = False
    """Whether a step draws the depths of its points."""

    rays: int = 0
    """Rays of the target view per instance; 0: all of them."""
    foreground_steps: int = 0
    """For so many steps from the beginning half of the rays show the object, where `rays` leaves a choice."""
    evaluate_views: int = 4
    """Held-out views of an object that an evaluation during training renders."""

    @property
    def integral(self) -> Integral:
        """Of no consequence to a light field."""
        return Integral()

    def __post_init__(self):
        for name, least in (("rays", 0), ("foreground_steps", 0), ("evaluate_views", 1)):
            if getattr(self, name) < least:
                raise UserError(f"objective.{name} is {getattr(self, name)}; give at least {least}")

    def build(self, model: FieldModel, *, bf16: bool) -> nn.Module:
        """The loss as a module."""
        return RayObjective(model, self, bf16=bf16)

    def check(self, model: FieldModel, source: ViewsSource, held_out: ViewsSource | None, seed: int) -> None:
        """Raises UserError where the model and the views do not fit."""
        if sight_of(model) is not self.sight:
            raise UserError(
                f"{type(self).__name__} trains a {self.sight.name}, and {model.name} is a {sight_of(model).name}; "
                "change coordinates or model"
            )
        if not isinstance(source, ViewsSource):
            raise UserError("these are no posed views; give data of kind views")
        sample = source.sample(seed, 0, 0)
        height, width = sample["target"].shape[-2:]
        if self.rays > height * width:
            raise UserError(f"objective.rays {self.rays} of {height * width} pixels; give at most these, or 0")
        if tuple(model.input_size or ()) != (height, width):
            raise UserError(
                f"the views are {height}x{width}, the model takes {'x'.join(map(str, model.input_size or ()))}; "
                "make data.size and the model's size agree"
            )
        config, views = source.config, getattr(model.config, "views", math.inf)
        if config.support > views or (self.sight is RADIANCE and views not in (config.support, math.inf)):
            raise UserError(f"data.support {config.support}, and the model takes {views} views; make them agree")
        if config.fewest and self.sight is RADIANCE and views != math.inf:
            raise UserError("data.fewest draws the number of views, which this model takes as one number; set it to 0")

    def evaluate(
        self,
        model: FieldModel,
        source: ViewsSource,
        count: int,
        accelerator: Accelerator,
        halted: Callable[[], bool],
    ) -> tuple[float, int]:
        """Mean PSNR over held-out objects, of views that were not given; see `held_out_views`.

        Returns:
            dB and the number of objects; (nan, 0) without any, or if a process gave up.
        """
        was_training = model.training
        model.eval()
        rank, world = accelerator.process_index, accelerator.num_processes
        total = torch.zeros(3, device=accelerator.device)
        for views in islice(source.objects(), rank, count, world):
            if halted():
                total[2] = 1
                break
            support, targets = held_out_views(views, source.config.support, source.config.support, self.evaluate_views)
            tokens = encode_views(model, views, support)
            seen = torch.stack([render_view(model, tokens, views, i, self.integral) for i in targets])
            total[0] += psnr(seen, views.images[targets].to(total.device)).mean()
            total[1] += 1
        model.train(was_training)
        decibels, objects, gave_up = accelerator.reduce(total, "sum").tolist()
        return (math.nan, 0) if gave_up or not objects else (decibels / objects, int(objects))


@dataclass(frozen=True)
class RadianceRays(LightFieldRays):
    """Which rays a training step asks a radiance field for, and how they are integrated."""

    sight: ClassVar[Sight] = RADIANCE
    jittered: ClassVar[bool] = True

    rays: int = 128
    """Rays of the target view per instance; 128 in the code of IPC and TransINR, 512 in ANR's. 0: all of them."""
    foreground_steps: int = 1000
    """For so many steps from the beginning half of the rays show the object."""
    near: float = 2.0
    """Distance along the optical axis where rays begin, world units."""
    far: float = 6.0
    """Where they end."""
    points: int = 128
    """Evaluations per ray."""

    @property
    def integral(self) -> Integral:
        """How rays are integrated."""
        return Integral(self.near, self.far, self.points)

    def __post_init__(self):
        super().__post_init__()
        if self.points < 2 or not 0 < self.near < self.far:
            raise UserError(f"{self.points} points from {self.near} to {self.far}; give 2 or more, and 0 < near < far")


class RayObjective(nn.Module):
    """The loss on a batch of posed views.

    Args:
        model: what is trained.
        config: which rays.
        bf16: run under bfloat16 autocast; rays, depths and the integral stay in float32.
    """

    def __init__(self, model: FieldModel, config: LightFieldRays, *, bf16: bool = False):
        super().__init__()
        self.model, self.config, self.bf16 = model, config, bf16

    def forward(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss and errors of the instances; `batch` is what `ViewsSource.sample` gives, stacked."""
        target, config = batch["target"], self.config
        height, width = target.shape[-2:]
        with torch.autocast(target.device.type, torch.bfloat16, enabled=self.bf16):
            views = config.sight.inputs(batch["support"], batch["support_poses"], batch["angle_x"])
            tokens = self.model.encode(views)
            coords: Any = Grid.cells(height, width, device=target.device)
            asked = target.flatten(2)  # (B, 3, H W)
            if config.rays:
                chosen = pick(target, config.rays, batch["seed"], batch["step"] < config.foreground_steps, generator)
                coords = coords.coords()[chosen]  # (B, n, 2)
                asked = asked.gather(2, chosen[:, None].expand(-1, 3, -1))
            colours = see(
                self.model,
                tokens,
                batch["target_pose"],
                batch["angle_x"],
                coords,
                (height, width),
                integral=config.integral,
                generator=generator if config.jittered else None,
            )
        errors = mse(colours.float(), asked.mT)
        return errors.mean(), errors.detach()


def pick(
    target: Float[Tensor, "b 3 h w"],
    count: int,
    seed: Int[Tensor, " b"],
    biased: Bool[Tensor, " b"],
    generator: torch.Generator,
) -> Int[Tensor, "b n"]:
    """Different pixels of every instance's target, as indices into its rows, ascending.

    Args:
        count: n.
        seed: of the instances, from 0 to 2^31 - 1.
        biased: which instances take half of their pixels from the object, or all that it has if these are fewer.
        generator: of the step.
    """
    shared = torch.rand(target.shape[-2:].numel(), generator=generator).to(target.device)
    drawn = (shared + (seed.double() / 2**31)[:, None]) % 1.0  # (B, H W), every row a uniform draw by itself
    shown = (target.amin(1).flatten(1) < WHITE) & biased[:, None]
    first = (drawn + (~shown).double()).argsort(1)[:, : count // 2]  # the object's pixels come first
    rest = drawn.scatter(1, first, 2.0).argsort(1)[:, : count - count // 2]
    return torch.cat([first, rest], 1).sort(1).values


def held_out_views(views: ViewSet, support: int, reserved: int, most: int = 0) -> tuple[list[int], list[int]]:
    """The views that are given and those that are asked for, by their numbers.

    Args:
        views: an object.
        support: how many are given: the first ones, so that three given views are two and one more.
        reserved: the first so many are never asked for; a comparison over numbers of views reserves the most of them.
        most: views to ask for, evenly over those that are left; 0 for all.
    Raises:
        UserError: no view is left.
    """
    left = range(max(reserved, support), len(views))
    if not left:
        raise UserError(f"{views.name} has {len(views)} views; {support} given ones leave none to ask for")
    taken = min(most or len(left), len(left))
    return list(range(support)), [left[i * len(left) // taken] for i in range(taken)]


@torch.no_grad()
def encode_views(model: FieldModel, views: ViewSet, support: list[int]) -> Float[Tensor, "1 r d"]:
    """The tokens of an object from some of its views."""
    device = next(model.parameters()).device
    images, poses = (part[support][None].to(device) for part in (views.images, views.poses))
    return model.encode(sight_of(model).inputs(images, poses, torch.tensor([views.angle_x], device=device)))


@torch.no_grad()
def render_view(
    model: FieldModel, tokens: Float[Tensor, "1 r d"], views: ViewSet, number: int, integral: Integral
) -> Float[Tensor, "3 h w"]:
    """One of an object's views as the model sees it, neither clamped nor rounded."""
    size = (views.images.shape[-2], views.images.shape[-1])
    angle = torch.tensor([views.angle_x], device=tokens.device)
    pose = views.poses[number : number + 1].to(tokens.device)
    rows = see(model, tokens, pose, angle, Grid.cells(*size, device=tokens.device), size, integral=integral)
    return rows[0].T.unflatten(-1, size)

