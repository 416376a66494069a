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
from typing import Protocol, runtime_checkable

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.io.atomic import ASIDE, folder_aside
from tokenfield.io.record import Record

PREFIX = "step-"
STATE = "state.json"


class DamagedError(Exception):
    """A checkpoint that is not what was written; the message says in which way."""


@runtime_checkable
class Stateful(Protocol):
    """A model or an optimiser, or what stands for it where processes share its tensors (sharding.py)."""

    def state_dict(self) -> Record:
        """Its tensors by name, whole. Collective where they are shared."""
        ...

    def load_state_dict(self, state_dict: Record, /) -> object:
        """Overwrite them."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """The content of a checkpoint."""

    model: Record
    ema: Record | None
    optimizers: list[Record]
    step: int
    seconds: float


@dataclass
class Training:
    """Everything that changes while a run goes on, in one place: what a checkpoint saves and restores.

    Attributes:
        model: being trained.
        ema: its moving average, or None.
        optimizers: in the order in which they were built.
        step: optimiser steps done.
        seconds: spent training, over all sessions of the run.
    """

    model: Stateful
    ema: Stateful | None
    optimizers: list[Stateful]
    step: int = 0
    seconds: float = 0.0

    def snapshot(self) -> Snapshot:
        """All of it as it is now, without copies. Collective where processes share the weights."""
        ema = None if self.ema is None else self.ema.state_dict()
        states = [optimizer.state_dict() for optimizer in self.optimizers]
        return Snapshot(self.model.state_dict(), ema, states, self.step, self.seconds)


def path_of(out: Path, step: int) -> Path:
    """The directory of the checkpoint after `step` steps."""
    return out / f"{PREFIX}{step:08d}"


def found(out: Path) -> list[Path]:
    """Finished checkpoints, oldest first, damaged or not."""
    return sorted(p for p in out.glob(f"{PREFIX}*") if p.is_dir() and p.name.removeprefix(PREFIX).isdigit())


def save(out: Path, snapshot: Snapshot, recipe: Record, facts: Record, keep: int) -> Path:
    """Write a checkpoint, then remove all but the newest `keep`.

    Args:
        out: folder of the run.
        snapshot: what to save.
        recipe: the recipe as plain JSON.
        facts: more to remember in state.json: seed, metrics, versions.
        keep: checkpoints to leave, this one included.
    Raises:
        UserError: the folder cannot be written (a full disk, say); earlier checkpoints are untouched.
    """
    place = path_of(out, snapshot.step)
    state = facts | {"step": snapshot.step, "seconds": snapshot.seconds}
    try:
        remove_leftovers(out)
        with folder_aside(place) as aside:
            _write(aside, snapshot, recipe)
            digests = {p.name: _digest(p) for p in sorted(aside.iterdir())}
            (aside / STATE).write_text(json.dumps(_sealed(state | {"sha256": digests}), indent=1))
            for later in [p for p in found(out) if p.name >= place.name]:  # damaged; this run stepped back from them
                shutil.rmtree(later)
    except OSError as error:
        good = [p.name for p in found(out)]
        last = f"the last good one is {good[-1]}" if good else "there is no earlier one"
        raise UserError(
            f"cannot write checkpoint {place} ({error.strerror or error}); {last}; make room, then resume"
        ) from error
    for old in found(out)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def _write(folder: Path, snapshot: Snapshot, recipe: Record) -> None:
    # Through memory, since the libraries' own file writers hide an OSError (a full disk) in errors of their own.
    (folder / "model.safetensors").write_bytes(to_bytes(_copies(snapshot.model)))
    if snapshot.ema is not None:
        (folder / "ema.safetensors").write_bytes(to_bytes(_copies(snapshot.ema)))
    buffer = io.BytesIO()
    torch.save(snapshot.optimizers, buffer)
    (folder / "optimizer.pt").write_bytes(buffer.getbuffer())
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1))


def load_newest(
    out: Path, training: Training, check: Callable[[Record], None], say: Callable[[str], None]
) -> Record | None:
    """Restore the newest checkpoint that is whole; damaged ones are named and stepped over.

    Args:
        out: folder of the run.
        training: models and optimisers of the right shapes; overwritten.
        check: called with the checkpoint's recipe (plain JSON) before anything is changed; raises UserError if the
            present run is another one.
        say: takes a line about every damaged checkpoint.
    Returns:
        The state that was saved, or None if there is no checkpoint at all.
    Raises:
        UserError: every checkpoint is damaged, or the recipe or the shapes are those of another run.
    """
    candidates = found(out)
    for path in reversed(candidates):
        try:
            state = verify(path)
            recipe = json.loads((path / "recipe.json").read_text())
        except DamagedError as damage:
            say(f"checkpoint {path} is damaged: {damage}; trying the one before")
            continue
        check(recipe)
        _restore(path, training)
        training.step, training.seconds = state["step"], state["seconds"]
        return state
    if candidates:
        names = ", ".join(p.name for p in candidates)
        raise UserError(f"every checkpoint in {out} is damaged ({names}); remove them to start from the beginning")
    return None


def verify(path: Path) -> Record:
    """The state of a checkpoint after every file was compared with its digest. Raises DamagedError."""
    try:
        state = json.loads((path / STATE).read_text())
    except (OSError, ValueError) as error:
        raise DamagedError(f"{STATE} cannot be read ({error})") from error
    if not isinstance(state, dict) or _sealed(state) != state:
        raise DamagedError(f"{STATE} was changed after it was written")
    for name, digest in state["sha256"].items():
        try:
            actual = _digest(path / name)
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from error
        if actual != digest:
            raise DamagedError(f"{name} was changed after it was written")
    return state


def remove_leftovers(out: Path) -> None:
    """Remove what a killed process had begun to write."""
    for aside in out.glob(f"{ASIDE}*"):
        shutil.rmtree(aside)


def _restore(path: Path, training: Training) -> None:
    _load_weights(training.model, path / "model.safetensors")
    if training.ema is not None:
        _load_weights(training.ema, path / "ema.safetensors")
    states = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    for optimizer, state in zip(training.optimizers, states, strict=True):
        optimizer.load_state_dict(state)


def _load_weights(module: Stateful, path: Path) -> None:
    """Strictly: every tensor by name and shape, or a line that names the first that does not fit."""
    saved, present = load_file(path), module.state_dict()
    for name in [*present, *saved]:
        given = tuple(saved[name].shape) if name in saved else "absent"
        needed = tuple(present[name].shape) if name in present else "absent"
        if given != needed:
            raise UserError(f"{path}: {name} is {given}, but this model needs {needed}; resume with the recipe it has")
    module.load_state_dict(saved)


def _copies(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU; copies, since safetensors refuses tensors that share memory."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}


def _sealed(state: Record) -> Record:
    """The state with a digest of all its other entries."""
    rest = {key: value for key, value in state.items() if key != "seal"}
    return rest | {"seal": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
