"""What the sub-commands of `views` with a model share: options, and how models, objects and recipes are opened."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli.console import Folder, Int
from tokenfield.cli.options import Device, check_at_least, load_model
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.views.data import ViewSet, ViewsSource
    from tokenfield.views.models.base import ViewsModel
    from tokenfield.views.radiance_field import Integral
    from tokenfield.views.scores import Fitting

FEW = 24
"""Objects that the page offers at most, and objects that the table lists one by one."""


@dataclass(frozen=True)
class Objects:
    """Posed views of objects."""

    data: Folder = None
    """Posed views in learnit's layout or in that of NeRF-synthetic; or an object of your own, a folder with
    transforms.json, which names pictures and camera-to-world poses."""
    category: str = ""
    """Of the data, such as chairs; empty: all."""
    split: Annotated[str, tyro.conf.arg(metavar="test|train")] = "test"
    """Of the data, which objects to take."""

    def open(self, model: "ViewsModel", support: int) -> "ViewsSource":
        """The objects at the model's size. Raises UserError without data, and for a split that there is not."""
        if self.split not in ("test", "train"):
            raise UserError(f"--split {self.split}; give test or train")
        if self.data is None:
            raise UserError("give --data FOLDER with posed views of objects")
        if self.data.suffix == ".json" or (self.data / "transforms.json").is_file():
            return open_object(model, self.data, support)
        return open_views(model, self.data, self.category, self.split, support)


@dataclass
class ModelOptions:
    """Options of every sub-command with a model."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """views-lamps, a folder that holds a model of views, a training run, or hf:owner/name."""
    objects: tyro.conf.OmitArgPrefixes[Objects] = Objects()
    """Of which objects."""
    support: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="INT [INT ...]")] = None
    """Numbers of support views, the first ones of every object; default: measure takes all that the model encodes, up
    to 5, and the others the largest."""
    points: Int = None
    """Evaluations per ray of a radiance field; default: as it was trained."""
    optimize: Annotated[int, tyro.conf.arg(metavar="STEPS")] = 0
    """Steps of test-time optimisation of the tokens on the support views."""
    device: Device = "auto"

    def open(self) -> "tuple[ViewsModel, list[int], tuple[Integral, Fitting], ViewsSource]":
        """The model, numbers of support views, how objects are rendered and fitted, and those of --data.

        Raises UserError for a model that knows no views, and for options that mean nothing.
        """
        from tokenfield.views.models.base import views_model
        from tokenfield.views.scores import Fitting

        check_at_least(0, optimize=self.optimize)
        model = views_model(load_model(self.model, self.device))
        numbers = list(self.support or model.support_numbers(5))
        for number in numbers:
            model.check_support(number)
        rendering = integral_of(self.model, self.points), Fitting(steps=self.optimize)
        return model, numbers, rendering, self.objects.open(model, max(numbers))


@dataclass
class ObjectOptions(ModelOptions):
    """Options of sub-commands that show single objects."""

    object: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Only this object of --data; the end of a name is enough; default: the first."""

    def open_objects(self, count: int) -> "tuple[ViewsModel, int, tuple[Integral, Fitting], list[ViewSet]]":
        """As `open`, with the largest number of support views and at most `count` objects, at least one."""
        model, numbers, rendering, source = self.open()
        names = {name for name in source.names if self.object is None or name.endswith(self.object)}
        if not names:
            raise UserError(f"no object {self.object!r}; there are {', '.join(source.names[:8])}"
                            f"{', ...' if len(source) > 8 else ''}")
        objects = (item for item in source.objects() if item.name in names)
        return model, max(numbers), rendering, list(islice(objects, count))


def integral_of(model: str, points: int | None) -> "Integral":
    """How a radiance field is integrated: as the run trained it, where the model is a run, with so many `points`."""
    from tokenfield.training.recipe import read
    from tokenfield.views.objective import RayConfig
    from tokenfield.views.radiance_field import PUBLISHED

    check_at_least(2, points=points)
    recipe = Path(model) / "recipe.json"
    objective = read(recipe).objective if recipe.is_file() else None
    integral = objective.integral if isinstance(objective, RayConfig) else PUBLISHED
    return integral if points is None else replace(integral, points=points)


def open_views(model: "ViewsModel", data: Path, category: str, split: str, support: int) -> "ViewsSource":
    """The objects of a split of a data set in any layout, at the model's size."""
    from tokenfield.views.data import ViewLayout, ViewsConfig

    patterns: dict[ViewLayout, tuple[str, ...]] = {
        "learnit": ("*_splits.json",), "nerf": ("transforms*.json", "*/transforms*.json"),
        "colmap": ("sparse", "*/sparse")}
    matches = (layout for layout in patterns if any(any(data.glob(pattern)) for pattern in patterns[layout]))
    config = ViewsConfig(category=category, layout=next(matches, "learnit"), size=model.input_size[0],
                         support=support, first_views=0)
    return config.open(data, "train" if split == "train" else "test")


def open_object(model: "ViewsModel", path: Path, support: int) -> "ViewsSource":
    """The one object of a transforms.json, or of a folder that holds one, at the model's size."""
    from tokenfield.views.data import ViewsConfig, ViewsSource

    transforms = path if path.suffix == ".json" else path / "transforms.json"
    config = ViewsConfig(size=model.input_size[0], support=support, first_views=0)
    return ViewsSource(config, [(transforms.parent.resolve().name, transforms)])
