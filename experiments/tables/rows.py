"""Rows of a table and how each becomes a run.

A row is made from a recipe of the library or of `experiments.recipes`, so whatever a row changes is written in one
place. At the published scale it is that recipe; at the miniature scale the recipe's model with all sizes divided
(`experiments.miniature`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import experiments.recipes  # noqa: F401 - their names
from experiments import miniature
from experiments.tables import measuring
from tokenfield.comparison.held_out import HeldOut
from tokenfield.comparison.running import Deadline
from tokenfield.comparison.setting import Setting
from tokenfield.comparison.systems import at_size, size_of
from tokenfield.errors import UserError
from tokenfield.io.record import Record
from tokenfield.recipes.photos import lainr_photos_178
from tokenfield.registry import RECIPES
from tokenfield.training.recipe import Recipe

Scale = Literal["miniature", "photos", "published"]
PHOTOGRAPHS = "PHOTOGRAPHS"
SIDE = 178
"""Pixels of Table 1's pictures."""

SCALES: dict[str, str] = {
    "miniature": "64-pixel crops of a folder of photographs (128, 256 for 512, 1024), all sizes divided; one thread",
    "photos": "published sizes, optimiser and coordinates on crops of a folder of photographs; for an accelerator",
    "published": "the recipes as they are, on the papers' data sets; for several accelerators",
}
"""At which size a table can be run."""


@dataclass(frozen=True)
class Row:
    """One system of a table."""

    label: str
    """What the table calls it."""
    recipe: str
    """Name of the published run in `RECIPES`."""
    published: float | None = None
    """Published PSNR in dB."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model that differ from that run's."""
    small: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the miniature that are not the shrunk model's."""
    extra: bool = False
    """True: not a row of the paper; put beside it for comparison."""

    def at(self, scale: str, seed: int) -> Recipe:
        """The run of this row at a scale.

        Raises:
            UserError: the row does not exist at that scale.
        """
        recipe = RECIPES[self.recipe]()
        recipe = replace(recipe, model=replace(recipe.model, **self.changes), seed=seed)
        if scale == "miniature":
            small = miniature.miniature(recipe, seed)
            return replace(small, model=replace(small.model, **self.small))
        if scale == "photos":
            return on_photographs(recipe)
        if recipe.data.layout == "folder":
            raise UserError(f"row {self.label}: recipe {self.recipe} is of a folder of photographs and has no "
                            "published data set; give --scale photos or miniature")
        return recipe

    def held_out(self, scale: str) -> HeldOut | None:
        """Pictures to measure it on at a scale; None: the held-out pictures of the recipe's own data."""
        any_size = scale == "photos" and size_of(RECIPES[self.recipe]().model) is None
        return HeldOut(lainr_photos_178().data) if any_size else None

    def run(self, scale: str, seed: int, setting: Setting, deadline: Deadline) -> Record | None:
        """Make the run of this row, or read what it came to: see `measuring.run`."""
        return measuring.run(self.at(scale, seed), setting, deadline, held_out=self.held_out(scale))

    def facts(self) -> Record:
        """What the table's JSON says of it."""
        return {"label": self.label, "recipe": self.recipe, "changes": dict(self.changes), "extra": self.extra,
                "published": self.published}


def on_photographs(recipe: Recipe) -> Recipe:
    """A published run on crops of photographs; of a system that has none at 178 pixels or more, its own enlarged.

    A model of any size learns from larger crops, of whole cells, and is measured on those of 178 (`Row.held_out`).
    """
    own = size_of(recipe.model)
    side = 192 if own is None else max(own, SIDE)
    data = replace(lainr_photos_178().data, size=side)
    return replace(recipe, model=at_size(recipe.model, side), data=data)


@dataclass(frozen=True)
class Table:
    """Rows and what to draw of them."""

    title: str
    rows: tuple[Row, ...]
    source: str
    """Where the published numbers come from."""
    figure: Literal["dots", "curves", "locality", "optimized", "race", "factorial"] = "dots"
    expected: str = ""
    """What the papers say should come out."""
    reference: str = ""
    """Label of the row that all others are compared with, seed by seed; empty: there is none."""
    measured_on: str = ""
    """What it is measured on, where that is not each recipe's own held-out pictures."""
    data: str = PHOTOGRAPHS
    """What stands for the folder of the data in the command that a result is printed with."""
    shapes: Mapping[str, str] = field(default_factory=lambda: SCALES)
    """The scales at which it can be run, and what they mean."""

    def paper_rows(self) -> list[Row]:
        """Rows that are the paper's own."""
        return [row for row in self.rows if not row.extra]
