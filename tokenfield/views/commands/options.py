"""What the sub-commands of `views` with a model share: options, and how models, objects and recipes are opened."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli.console import Folder
from tokenfield.cli.options import Device, load_model
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.views.data import ViewSet, ViewsSource
    from tokenfield.views.models.base import ViewsModel
    from tokenfield.views.radiance_field import Integral
    from tokenfield.views.scores import Fitting

FEW = 24
"""Objects that the page offers at most, and objects that the table lists one by one."""

Count = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Pixels = Annotated[int | None, tyro.conf.arg(metavar="PIXELS")]
Steps = Annotated[int, tyro.conf.arg(metavar="STEPS")]
Numbers = Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="INT [INT ...]")]


@dataclass
class ModelOptions:
    """Options of every sub-command with a model."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder that holds a model of views, a training run, or hf:owner/name."""
    data: Folder = None
    """Posed views in learnit's layout or in that of NeRF-synthetic."""
    category: str = ""
    """Of the data, such as chairs; empty: all."""
    split: Annotated[str, tyro.conf.arg(metavar="test|train")] = "test"
    """Of the data, which objects to take."""
    support: Numbers = None
    """Numbers of support views, the first ones of every object; default: measure takes all that the model encodes, up
    to 5, and the others the largest."""
    points: Count = None
    """Evaluations per ray of a radiance field; default: as it was trained."""
    optimize: Steps = 0
    """Steps of test-time optimisation of the tokens on the support views."""
    device: Device = "auto"

    def load(self) -> "ViewsModel":
        """The model. Raises UserError for one that knows no views, or options that mean nothing."""
        from tokenfield.views.models.base import views_model

        if self.split not in ("test", "train"):
            raise UserError(f"--split {self.split}; give test or train")
        at_least("optimize", self.optimize, 0)
        return views_model(load_model(self.model, self.device))

    def numbers(self, model: "ViewsModel") -> list[int]:
        """The numbers of support views."""
        numbers = list(self.support or model.support_numbers(5))
        for number in numbers:
            model.check_support(number)
        return numbers

    def rendering(self) -> "tuple[Integral, Fitting]":
        """How radiance fields are integrated, and how tokens are fitted."""
        from tokenfield.views.scores import Fitting

        return integral_of(self.model, self.points), Fitting(steps=self.optimize)

    def source(self, model: "ViewsModel", images: Path | None, support: int) -> "ViewsSource":
        """The objects of --data, or the one of --images."""
        if images is not None:
            return open_images(model, images, support)
        return open_views(model, self.data, self.category, self.split, support)


def at_least(name: str, value: int | None, least: int) -> None:
    """Raises UserError for an option below the least that means anything."""
    if value is not None and value < least:
        raise UserError(f"--{name} {value}; give at least {least}")


def integral_of(model: str, points: int | None) -> "Integral":
    """How a radiance field is integrated: as the run trained it, where the model is a run, with so many `points`."""
    from tokenfield.training.recipe import read
    from tokenfield.views.objective import RayConfig
    from tokenfield.views.radiance_field import PUBLISHED

    at_least("points", points, 2)
    recipe = Path(model) / "recipe.json"
    objective = read(recipe).objective if recipe.is_file() else None
    integral = objective.integral if isinstance(objective, RayConfig) else PUBLISHED
    return integral if points is None else replace(integral, points=points)


def open_views(model: "ViewsModel", data: Path | None, category: str, split: str, support: int) -> "ViewsSource":
    """The objects of a split of a data set in either layout, at the model's size."""
    from tokenfield.views.data import ViewsConfig

    if data is None or not data.is_dir():
        raise UserError(f"{data}: no such folder; give one with posed views")
    nerf = not any(data.glob("*_splits.json")) and any(
        any(data.glob(pattern)) for pattern in ("transforms_*.json", "*/transforms_*.json"))
    config = ViewsConfig(category=category, layout="nerf" if nerf else "learnit", size=model.input_size[0],
                         support=support, first_views=0)
    return config.open(data, "train" if split == "train" else "test")


def open_images(model: "ViewsModel", images: Path, support: int) -> "ViewsSource":
    """The one object in a folder of its own, at the model's size."""
    from tokenfield.views.cache import ViewCache
    from tokenfield.views.data import ViewsConfig, ViewsSource

    transforms = images if images.suffix == ".json" else images / "transforms.json"
    if not transforms.is_file():
        raise UserError(f"{images}: no transforms.json in it, which names the pictures and the camera-to-world "
                        "poses of their cameras")
    side = model.input_size[0]
    config = ViewsConfig(size=side, support=support, first_views=0)
    return ViewsSource(config, [(transforms.parent.resolve().name, transforms)], ViewCache(side))


def choose(source: "ViewsSource", name: str | None, count: int) -> "list[ViewSet]":
    """The first `count` objects whose name ends so, or of all. Raises UserError if there is none."""
    names = {each for each in source.names if name is None or each.endswith(name)}
    if not names:
        raise UserError(f"no object {name!r}; there are {', '.join(source.names[:8])}"
                        f"{', ...' if len(source) > 8 else ''}")
    return list(islice((item for item in source.objects() if item.name in names), count))
