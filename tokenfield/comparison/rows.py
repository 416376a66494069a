"""Rows of a table and how each becomes a run.

A row is made from a recipe of this package, so whatever a row changes is written in one place. At the published scale
it is that recipe; at the miniature scale the recipe's model with all sizes divided (`tokenfield.recipes.comparison`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tokenfield.comparison import memory, running
from tokenfield.comparison.held_out import HeldOut
from tokenfield.errors import UserError
from tokenfield.recipes import RECIPES, comparison
from tokenfield.recipes.photos import lainr_photos_178
from tokenfield.training.recipe import Recipe

Scale = Literal["miniature", "photos", "published"]

SCALES: dict[str, str] = {
    "miniature": "16-pixel crops of a folder of photographs (32, 64 for 512, 1024), all sizes divided; one thread",
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
            return comparison.miniature(recipe, seed)
        if scale == "photos":
            return on_photographs(recipe, self.label)
        if recipe.data.layout == "folder":
            raise UserError(f"row {self.label}: recipe {self.recipe} is of a folder of photographs and has no "
                            "published data set; give --scale photos or miniature")
        return recipe

    def held_out(self, scale: str) -> HeldOut | None:
        """Pictures to measure it on at a scale; None: the held-out pictures of the recipe's own data."""
        return None

    def run(
        self, scale: str, seed: int, told: running.Circumstances, deadline: Callable[[], float | None]
    ) -> dict[str, Any] | None:
        """Make the run of this row, or read what it came to: see `running.run`; with the memory that it takes."""
        recipe = self.at(scale, seed)
        result = running.run(recipe, told, held_out=self.held_out(scale), deadline=deadline)
        return result and result | {"peak_memory": memory.of_training(recipe, told, deadline)}


def on_photographs(recipe: Recipe, label: str) -> Recipe:
    """A published run on crops of photographs, or the run of 178 pixels of the same system."""
    size = getattr(recipe.model, "size", None) or getattr(getattr(recipe.model, "lainr", None), "size", None)
    if size is None or size[0] < 178:
        raise UserError(f"row {label} has no run at 178 pixels or more; give --scale miniature")
    data = replace(lainr_photos_178().data, size=size[0])
    return replace(recipe, data=data)


@dataclass(frozen=True)
class Table:
    """Rows and what to draw of them."""

    title: str
    rows: tuple[Row, ...]
    source: str
    """Where the published numbers come from."""
    figure: Literal["dots", "curves", "locality", "sizes", "optimized", "race", "factorial"] = "dots"
    expected: str = ""
    """What the papers say should come out."""
    measured_on: str = ""
    """What it is measured on, where that is not each recipe's own held-out pictures."""
    shapes: Mapping[str, str] = field(default_factory=lambda: SCALES)
    """The scales at which it can be run, and what they mean."""

    def paper_rows(self) -> list[Row]:
        """Rows that are the paper's own."""
        return [row for row in self.rows if not row.extra]
