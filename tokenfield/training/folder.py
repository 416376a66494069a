"""The folder of a run: who may write into it, and what lies there at the end."""

import json
import platform
import shlex
from pathlib import Path

import accelerate
import torch

from tokenfield._version import __version__
from tokenfield.errors import UserError
from tokenfield.io.atomic import write_whole
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.training import checkpoint
from tokenfield.training.recipe import Recipe, differences, from_json, read, recipe_hash, to_json

RECIPE = "recipe.json"


def open_folder(out: Path, recipe: Recipe | None, *, resume: bool) -> Recipe:
    """The recipe to follow in a folder, after a look at what lies there.

    `recipe` is what the user gave; None takes the stored one. `resume` says that a run must be there already; one that
    was killed before its first checkpoint counts. Raises UserError for a run where none should be, none where one
    should be, or another one.
    """
    if not resume:
        if recipe is None:
            raise UserError("no recipe was given; only a run that is resumed brings its own")
        if checkpoint.folders(out) or (out / pretrained.WEIGHTS).exists():
            raise UserError(f"{out} holds a trained run already; resume it (--resume), or train into a new folder")
        return recipe
    if not (out / RECIPE).exists():
        raise UserError(f"nothing to resume: {out / RECIPE} does not exist; leave out --resume to start a run")
    stored = read(out / RECIPE)
    if recipe is not None and (changed := differences(stored, recipe)):
        raise UserError(f"{out} holds another run: {'; '.join(changed)}; resume it unchanged, or use a new folder")
    return recipe or stored


def check_same(saved: Record, recipe: Recipe) -> None:
    """Raises UserError where a checkpoint's recipe, as plain JSON, is another one: its weights are another run's."""
    if changed := differences(from_json(saved), recipe):
        raise UserError(f"the run to resume was another one: {'; '.join(changed)}; resume without these changes, or "
                        "train into a new folder")


def store_recipe(out: Path, recipe: Recipe) -> None:
    """Make the folder and put the recipe there. Raises UserError if that cannot be done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {out}: {error.strerror}; choose another one") from error
    write_whole(out / RECIPE, json.dumps(to_json(recipe), indent=2) + "\n")


def facts(recipe: Recipe) -> Record:
    """What a checkpoint says about itself beside its tensors."""
    return {
        "recipe_sha256": recipe_hash(recipe),
        "seed": recipe.seed,
        "versions": {
            "tokenfield": __version__,
            "torch": torch.__version__,
            "accelerate": accelerate.__version__,
            "python": platform.python_version(),
        },
    }


def resume_hint(recipe: Recipe, data: Path, out: Path) -> str:
    """The command that continues a run."""
    return shlex.join(["tokenfield", "train", recipe.name, "--data", str(data), "--out", str(out), "--resume"])
