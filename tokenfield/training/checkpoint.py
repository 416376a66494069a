"""Checkpoints: one directory each, complete or absent.

    step-00001000/
        model.safetensors   ema.safetensors (if there is one)   optimizer.pt   recipe.json   state.json

A checkpoint is written aside, flushed to disk, and renamed (`io.atomic.folder_aside`): a process killed at any moment
leaves the old checkpoints and at most a `.tmp-` directory, which the next save removes. `state.json` is written last
and holds the SHA-256 of every other file and of itself, so whatever disks and people do to a checkpoint
later is noticed when it is read. `optimizer.pt` is read with `weights_only=True`: no checkpoint runs code.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
from safetensors.torch import save as to_bytes
from torch import nn

from tokenfield.errors import DAMAGE, UserError
from tokenfield.io.atomic import ASIDE, folder_aside, shown
from tokenfield.io.limits import read_json, read_tensors
from tokenfield.io.record import Record
from tokenfield.training import sharding

PREFIX = "step-"
STATE = "state.json"


class DamagedError(Exception):
    """A checkpoint that is not what was written; the message says in which way."""


@dataclass
class Training:
    """Everything that changes while a run goes on, in one place: what a checkpoint saves and restores.

    `ema` is the moving average of the model; `step` counts optimiser steps; `seconds` are of all sessions of the run.
    """

    model: nn.Module
    ema: nn.Module | None
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    seconds: float = 0.0

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The model, and the moving average if there is one, by the names of their files."""
        return {"model": self.model, **({"ema": self.ema} if self.ema is not None else {})}

    def snapshot(self) -> Record:
        """All of it as it is now, without copies. Collective where processes share the weights."""
        return {
            "weights": {name: sharding.model_state(module) for name, module in self.modules.items()},
            "optimizers": [sharding.optimizer_state(optimizer) for optimizer in self.optimizers],
            "state": {"step": self.step, "seconds": self.seconds},
        }


def path_of(out: Path, step: int) -> Path:
    """The directory of the checkpoint after `step` steps."""
    return out / f"{PREFIX}{step:08d}"


def folders(out: Path) -> list[Path]:
    """Finished checkpoints, oldest first, damaged or not."""
    return sorted(p for p in out.glob(f"{PREFIX}*") if p.is_dir() and p.name.removeprefix(PREFIX).isdigit())


def save(out: Path, snapshot: Record, recipe: Record, facts: Record, keep: int) -> None:
    """Write a `Training.snapshot()`, the recipe as plain JSON, and facts to remember (seed, metrics, versions).

    Afterwards all checkpoints but the newest `keep` are removed. Raises UserError if the folder cannot be written (a
    full disk, say); earlier checkpoints are untouched then.
    """
    place = path_of(out, snapshot["state"]["step"])
    try:
        for leftover in out.glob(f"{ASIDE}*"):  # what a killed process had begun to write; the folder is locked
            shutil.rmtree(leftover)
        with folder_aside(place) as aside:
            _write(aside, snapshot, recipe)
            digests = {p.name: _digest(p) for p in sorted(aside.iterdir())}
            state = facts | snapshot["state"] | {"sha256": digests}
            (aside / STATE).write_text(json.dumps(_sealed(state), indent=1))
            for later in [p for p in folders(out) if p.name >= place.name]:  # damaged; this run stepped back from them
                shutil.rmtree(later)
    except (UserError, OSError) as error:
        good = folders(out)
        last = f"the last good checkpoint is {good[-1].name}" if good else "there is no earlier checkpoint"
        raise UserError(f"{str(error).partition(';')[0]}; {last}; make room, then resume") from error
    for old in folders(out)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _write(folder: Path, snapshot: Record, recipe: Record) -> None:
    # Through memory, since the libraries' own file writers hide an OSError (a full disk) in errors of their own.
    for name, tensors in snapshot["weights"].items():  # copies, since safetensors refuses tensors that share memory
        copies = {key: tensor.cpu().clone().contiguous() for key, tensor in tensors.items()}
        (folder / f"{name}.safetensors").write_bytes(to_bytes(copies))
    buffer = io.BytesIO()
    torch.save(snapshot["optimizers"], buffer)
    (folder / "optimizer.pt").write_bytes(buffer.getbuffer())
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1))


def last_step(out: Path) -> int:
    """Of the newest checkpoint, damaged or not; 0 without one."""
    every = folders(out)
    return int(every[-1].name.removeprefix(PREFIX)) if every else 0


def newest_recipe(out: Path) -> Record:
    """The recipe in the newest checkpoint that is whole. Raises UserError where there is none."""
    for path in reversed(folders(out)):
        try:
            verify(path)
            recipe = read_json(path / "recipe.json")
        except (DamagedError, UserError):
            continue
        if isinstance(recipe, dict):
            return recipe
    raise UserError(f"{shown(out)} holds no checkpoint that is whole")


def load_newest(out: Path, training: Training, check: Callable[[Record, int], None],
                say: Callable[[str], None]) -> Record | None:
    """Restore the newest checkpoint that is whole; damaged ones are named and stepped over.

    `check` is called with the checkpoint's recipe (plain JSON) and step before anything is changed, and raises
    UserError if the present run is another one; `say` takes a line about every damaged checkpoint.

    Returns:
        The state that was saved, or None if there is no checkpoint at all.
    Raises:
        UserError: every checkpoint is damaged, or the recipe or the shapes are those of another run.
    """
    candidates = folders(out)
    for path in reversed(candidates):
        try:
            state = verify(path)
            recipe = cast(Record, read_json(path / "recipe.json"))
        except (DamagedError, UserError) as damage:
            say(f"checkpoint {path} is damaged: {damage}; trying the one before")
            continue
        check(recipe, state["step"])
        for name, module in training.modules.items():
            _load_weights(module, path / f"{name}.safetensors")
        try:
            states = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
        except (*DAMAGE, UnpicklingError) as error:  # sealed, and yet
            raise UserError(f"{shown(path / 'optimizer.pt')} is damaged; remove this checkpoint") from error
        for optimizer, saved in zip(training.optimizers, states, strict=True):
            sharding.load_optimizer(optimizer, saved)
        training.step, training.seconds = state["step"], state["seconds"]
        return state
    if candidates:
        names = ", ".join(p.name for p in candidates)
        raise UserError(f"every checkpoint in {out} is damaged ({names}); remove them to start from the beginning")
    return None


def verify(path: Path) -> Record:
    """The state of a checkpoint after every file was compared with its digest. Raises DamagedError."""
    try:
        state = read_json(path / STATE)
    except UserError as error:
        raise DamagedError(f"{STATE} cannot be read ({error})") from error
    if not isinstance(state, dict) or _sealed(state) != state:
        raise DamagedError(f"{STATE} was changed after it was written")
    digests, step = state.get("sha256"), state.get("step")
    if not isinstance(step, int) or not isinstance(digests, dict) or any(Path(name).name != name for name in digests):
        raise DamagedError(f"{STATE} names no step, or files elsewhere")
    for name, digest in digests.items():
        try:
            actual = _digest(path / name)
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from error
        if actual != digest:
            raise DamagedError(f"{name} was changed after it was written")
    return state


def _load_weights(module: nn.Module, path: Path) -> None:
    """Strictly: every tensor by name and shape, or a line that names the first that does not fit."""
    saved, present = read_tensors(path), module.state_dict()
    for name in [*present, *saved]:
        shape = tuple(saved[name].shape) if name in saved else "absent"
        own = tuple(present[name].shape) if name in present else "absent"
        if shape != own:
            raise UserError(f"{path}: {name} is {shape}, but this model needs {own}; resume with the recipe it has")
    sharding.load_model(module, saved)


def _sealed(state: Record) -> Record:
    """The state with a digest of all its other entries."""
    rest = {key: value for key, value in state.items() if key != "seal"}
    return rest | {"seal": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
