"""What a published run follows and where it departs, in its docstring and on the card of a model trained by it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast, get_type_hints

from tokenfield._version import __version__
from tokenfield.registry import RECIPES
from tokenfield.training.recipe import Recipe, differences


@dataclass(frozen=True)
class Published:
    """How runs that are called after a paper's tables were set where the paper is silent, and where they depart."""

    follows: tuple[str, ...]
    departs: tuple[str, ...]
    """Each with its reason."""

    def document(self, module: Mapping[str, object], *own: str) -> None:
        """Say it in the docstring of every run of a module, but those whose names hold one of `own`.

        A run that says already what it follows, such as one of another module, stays as it is.
        """
        for name, make in module.items():
            if not inspect.isfunction(make) or name.startswith("_") or inspect.signature(make).parameters:
                continue
            runs = get_type_hints(make).get("return") is Recipe
            if runs and not any(part in name for part in own) and "\nFollows:" not in (make.__doc__ or ""):
                make.__doc__ = f"{inspect.getdoc(make)}\n\n{self.text()}"

    def text(self) -> str:
        """Two lists, as Markdown."""
        parts = (("Follows", self.follows), ("Departs", self.departs))
        return "\n\n".join("\n".join([f"{title}:", *(f"- {line};" for line in lines)]) for title, lines in parts)


def card(recipe: Recipe) -> str:
    """The model card of a run: its recipe's docstring, and what of it was changed."""
    lines = [f"# {recipe.name}", ""]
    if recipe.name in RECIPES:
        make = cast(Callable[[], Recipe], RECIPES[recipe.name])
        lines += [inspect.getdoc(make) or "", ""]
        changes = differences(replace(make(), steps=recipe.steps), recipe)
        if (length := make().steps) != recipe.steps:
            changes.append(f"steps: {length} became {recipe.steps}")
        if changes:
            lines += ["Changed from that run:", *(f"- `{change}`;" for change in changes), ""]
    lines.append(f"Trained by tokenfield {__version__}; `recipe.json` holds all that decides the weights.\n")
    return "\n".join(lines)
