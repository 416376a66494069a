"""Views of objects as a table: Table 3's lamps as light fields, and the radiance fields of the others beside them.

Rows train on posed views like any other run. What is measured is what objects of the test split look like from where
no view was given, with the number of support views that the row was trained for.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from experiments import recipes as studies
from experiments.tables import measuring
from experiments.tables.measuring import count_macs
from experiments.tables.rows import Row, Table
from tokenfield.comparison.running import Deadline
from tokenfield.comparison.setting import Setting
from tokenfield.comparison.systems import curve
from tokenfield.errors import UserError
from tokenfield.evaluation.environment import machine, versions
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.training.recipe import Recipe
from tokenfield.views import recipes as recipes
from tokenfield.views import scores as protocol
from tokenfield.views.light_field import render_from
from tokenfield.views.objective import encode_views

SUPPORT, TARGETS, CATEGORY = 3, 6, "lamps"
"""Views that are given of an object, views that are asked for, and which objects."""
OBJECTS = 8
"""Held-out objects that are measured unless more are asked for."""
SHAPES = {
    "miniature": "64-pixel views, networks that two cores train (tokenfield/views/recipes.py)",
    "published": "the recipes as they are, on learnit's ShapeNet lamps; ANR's cars",
}
SMALL: dict[str, Callable[[], Recipe]] = {
    "views-ablation": recipes.views_lainr_64,
    "views-ablation-without-attention": studies.views_lainr_64_composed,
    "views-ablation-without-multiband": studies.views_lainr_64_plain,
    "views-ablation-without-both": studies.views_lainr_64_ipc,
    "views-ipc-lamps": recipes.views_ipc_64,
    "views-trans-inr-lamps": studies.views_trans_inr_64,
    "views-anr-cars": studies.views_anr_64,
}
"""The miniature of every published run."""


@dataclass(frozen=True)
class ViewsRow(Row):
    """A system that sees objects."""

    def at(self, scale: str, seed: int) -> Recipe:
        """The run of this row at a scale; all miniatures are given `SUPPORT` views of lamps."""
        if scale not in SHAPES:
            raise UserError(f"row {self.label} is of posed views; give --scale {' or '.join(SHAPES)}")
        if scale == "published":
            return super().at(scale, seed)
        recipe = SMALL[self.recipe]()
        data = replace(recipe.data, support=SUPPORT, fewest=0, category=CATEGORY)
        model = replace(recipe.model, views=SUPPORT) if hasattr(recipe.model, "views") else recipe.model
        rays = replace(recipe.objective, evaluate_views=1)
        return replace(recipe, name="miniature", model=model, data=data, objective=rays, seed=seed)

    def run(self, scale: str, seed: int, setting: Setting, deadline: Deadline) -> Record | None:
        """Make the run of this row, or read what it came to."""
        setting = replace(setting, pictures=setting.pictures or OBJECTS)
        return measuring.run(self.at(scale, seed), setting, deadline, measurement=describe_views)


def describe_views(recipe: Recipe, setting: Setting, folder: Path) -> Record:
    """Everything about a trained run of views but how long it took. Per pixel: of one view that is rendered."""
    model = pretrained.load(folder).eval().to(setting.place)
    support, integral = recipe.data.support, recipe.objective.integral
    objects = list(islice(recipe.data.open(setting.data, "test").objects(), setting.pictures))
    scores = protocol.score_objects(model, objects, [support], integral=integral, targets=TARGETS)
    first, inputs = objects[0], list(range(support))
    field, pixels = protocol.field_of_views(model, first, inputs, integral), first.images[0, 0].numel()
    encode = count_macs(lambda: encode_views(model, first, inputs)) / pixels
    decode = count_macs(lambda: render_from(field, first.poses[:1])) / pixels
    return {
        "psnr": statistics.fmean(score.psnr for score in scores),
        "ssim": statistics.fmean(score.ssim for score in scores),
        "pictures": {score.name: round(score.psnr, 3) for score in scores},
        "size": list(first.images.shape[-2:]),
        "values_stored": scores[0].values_stored,
        "values_per_pixel_value": scores[0].values_stored / first.images[:support].numel(),
        "parameters": model.num_parameters,
        "macs_per_pixel": {"encode": round(encode, 1), "decode": round(decode, 1)},
        "locality": None,
        "curve": curve(folder),
        "machine": machine(next(model.parameters()).device),
        "versions": versions(),
    }


def lamps_table() -> Table:
    """Table 3, lamps."""
    return Table(
        "Views of lamps that were not given",
        (
            ViewsRow("LAINR", "views-ablation", 26.00),
            ViewsRow("w/o STA", "views-ablation-without-attention", 25.31),
            ViewsRow("w/o multiFM", "views-ablation-without-multiband", 25.78),
            ViewsRow("w/o both", "views-ablation-without-both", 25.09),
            ViewsRow("IPC, radiance field", "views-ipc-lamps", extra=True),
            ViewsRow("TransINR, radiance field", "views-trans-inr-lamps", extra=True),
            ViewsRow("ANR, radiance field", "views-anr-cars", extra=True),
        ),
        "Table 3, ShapeNet lamps, 3 support views",
        expected="LAINR above w/o multiFM above w/o STA above w/o both",
        shapes=SHAPES,
        data="OBJECTS",
        reference="LAINR",
        measured_on=f"{TARGETS} views that were not given of up to {OBJECTS} held-out objects or --pictures, "
        "unclamped; values per pixel value: of the support views; MACs per pixel: of one rendered view",
    )
