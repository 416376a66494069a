"""The folder of a run: who may write into it, and what lies there at the end."""

import json
import platform
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import accelerate
import torch

from tokenfield._version import __version__
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown, typed, write_whole
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.models.folder import CARD, CONFIG
from tokenfield.training import checkpoint
from tokenfield.training.optimisers import schedule
from tokenfield.training.recipe import Recipe, differences, from_json, read, recipe_hash, to_json
from tokenfield.training.session import Session

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
        if foreign := [name for name in (CARD, CONFIG) if (out / name).exists()]:
            raise UserError(f"{shown(out / foreign[0])} would be replaced; train into a new folder")
        return recipe
    stored, done = stored_recipe(out), checkpoint.last_step(out)
    if recipe is None or lengthens(stored, recipe, done):
        return recipe or stored
    if changed := differences(stored, recipe):
        raise UserError(f"{shown(out)} holds another run: {'; '.join(changed)}; resume it unchanged, or use a new "
                        "folder")
    if recipe.steps < min(done, stored.steps):
        raise UserError(f"{shown(out)} holds {done} steps already; give more --steps, or train into a new folder")
    return recipe


def stored_recipe(out: Path) -> Recipe:
    """The recipe of the run in a folder: its recipe.json or, where that is damaged, what its checkpoints hold.

    Raises UserError where no run was begun.
    """
    try:
        return read(out / RECIPE)
    except UserError as error:
        if not checkpoint.folders(out):
            if (out / RECIPE).exists():
                raise
            raise UserError(f"nothing to resume: {shown(out / RECIPE)} does not exist; leave out --resume to start a "
                            "run") from error
        return from_json(checkpoint.newest_recipe(out))


def lengthens(stored: Recipe, recipe: Recipe, step: int) -> bool:
    """Whether a recipe is a finished run's but for more steps under a falling rate, which rises again: a warm restart.

    Of a run that is not finished it would be another run, whose rate fell more slowly from the beginning.
    """
    more = recipe.steps > stored.steps and step >= stored.steps and recipe.optim.schedule != "constant"
    return more and not differences(replace(stored, steps=recipe.steps), recipe)


def restart(stored: Recipe, recipe: Recipe) -> str:
    """What a warm restart is, for the person who asked for it."""
    factor = schedule(recipe.optim, stored.steps, recipe.steps)
    return (f"a warm restart: the run of {stored.steps} steps is finished; its rate rises again to {factor:.0%} of the "
            f"highest and falls until step {recipe.steps}. The result is not that of one run of {recipe.steps} steps.")


def check_same(saved: Record, recipe: Recipe, step: int = 0) -> None:
    """Raises UserError where a checkpoint's recipe, as plain JSON, is another one: its weights are another run's."""
    stored = from_json(saved)
    if not lengthens(stored, recipe, step) and (changed := differences(stored, recipe)):
        raise UserError(f"the run to resume was another one: {'; '.join(changed)}; resume without these changes, or "
                        "train into a new folder")


def store_recipe(out: Path, recipe: Recipe) -> None:
    """Put the recipe into the folder of a run, which is made if need be."""
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


def resume_hint(data: Path, out: Path, session: Session, processes: int = 1) -> str:
    """The command that continues a run: by the recipe in its folder, which every run has, on the same kind of machine.

    Words that a shell would not take as they are, are quoted; programs that it would not find are modules of Python.
    """
    program = find_program("tokenfield", "tokenfield") if processes == 1 else [
        *find_program("torchrun", "torch.distributed.run"), "--nproc-per-node", processes, "-m", "tokenfield"]
    words = [*program, "train", out / RECIPE, "--data", data, "--out", out, "--resume"]
    words += ["--device", session.device] if session.device != "auto" else []
    return typed(*words, *(["--fsdp"] if session.fsdp else []))


def find_program(name: str, module: str) -> list[object]:
    """A program as it can be typed here: by its name, or as a module of this Python."""
    return [name] if shutil.which(name) else [sys.executable, "-m", module]
