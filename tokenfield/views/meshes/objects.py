"""Objects to folders of views in learnit's layout, several at a time, each whole or absent.

    FOLDER/chairs/OBJECT/transforms.json, view-000.png ...     RGBA, as `tokenfield.views.layouts` reads them
    FOLDER/chairs_splits.json                                   {"train": [...], "test": [...]}
    FOLDER/chairs_objects.json                                  settings, and where each object is from

A run that was stopped is continued by running it again. Pictures are functions of the object's name, the settings and
the mesh; nothing depends on the number of processes or the order of the files.
"""

import json
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import asin, pi, radians, sin
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from PIL import Image

from tokenfield.data.draws import Draws
from tokenfield.data.layouts import held_out_places
from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.atomic import folder_aside, shown, write_whole
from tokenfield.views.layouts import transforms_text
from tokenfield.views.meshes.catalogue import MeshEntry, mesh_file
from tokenfield.views.meshes.files import UPRIGHT, read_surface
from tokenfield.views.meshes.obj import MissingFile
from tokenfield.views.meshes.renderer import Renderer
from tokenfield.views.meshes.surface import MeshError, fit_sphere, rotate
from tokenfield.views.rays import RADIUS, look_at, on_sphere

ANGLE_X = 0.6911112070083618
"""Horizontal field of view of learnit's and NeRF-synthetic's cameras, radians."""


@dataclass(frozen=True)
class ViewSettings:
    """How meshes are rendered."""

    views: int = 50
    size: int = 128  # pixels of a side
    samples: int = 3  # points along each side of a pixel
    low: float = 0.0  # lowest elevation of the cameras, degrees
    high: float = 70.0
    radius: float = 1.2  # of the sphere that bounds an object, which then fills 88 % of the view
    distance: float = RADIUS  # of the cameras from the middle of the object
    up: Literal["auto", "y", "z"] = "auto"  # axis of a mesh that points upwards; auto decides by the kind of its file
    seed: int = 0  # of the cameras' places

    def __post_init__(self) -> None:
        for name in ("views", "size", "samples"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give at least 1")
        if not -90 <= self.low <= self.high <= 90:
            raise UserError(f"elevations from {self.low:g} to {self.high:g} degrees; give -90 <= low <= high <= 90")
        if not 0 < self.radius < self.distance:
            raise UserError(f"radius {self.radius:g} and distance {self.distance:g}; the cameras must be outside")
        if not 0 <= self.seed < 2**64:
            raise UserError(f"seed is {self.seed}; give 0 or more, below 2^64")


def camera_poses(name: str, settings: ViewSettings) -> Float64[np.ndarray, "n 4 4"]:
    """The cameras of an object: a function of its name and the seed.

    View i does not depend on how many there are, and the first views are as good a sample as any.
    """
    key = int.from_bytes(sha256(name.encode()).digest()[:8])
    low, high = sin(radians(settings.low)), sin(radians(settings.high))
    places = []
    for i in range(settings.views):
        draws = Draws(settings.seed, key, i)
        around, up = (draws.below(2**53) / 2**53 for _ in range(2))
        places.append((2 * pi * around, asin(low + (high - low) * up)))  # equal heights have equal areas
    azimuth, elevation = torch.tensor(places, dtype=torch.float64).unbind(1)
    return look_at(on_sphere(azimuth, elevation, settings.distance)).numpy()


Missing = list[tuple[str, str]]
"""Names of textures and material libraries that nobody has, and why they were needed."""


def render_object(entry: MeshEntry, folder: Path, settings: ViewSettings) -> Missing:
    """Renders one object into `folder / entry.name`, which appears when it is complete; returns what it lacks.

    Raises MeshError where no views can be made of it, UserError where the folder cannot be written.
    """
    with mesh_file(entry) as file, warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always", MissingFile)
        up = UPRIGHT.get(file.suffix.lower(), "y") if settings.up == "auto" else settings.up
        try:
            surface = read_surface(file, entry.read)
            if entry.rotation:
                surface = rotate(surface, np.array(entry.rotation).reshape(3, 3))
            surface = fit_sphere(surface, up, settings.radius)
        except MeshError as error:
            raise MeshError(entry.where, error.reason) from error
    missing = [(f"{entry.where}: {one.message.listed}", one.message.reason) for one in records
               if isinstance(one.message, MissingFile)]
    renderer = Renderer(surface, angle_x=ANGLE_X, size=settings.size, samples=settings.samples,
                        distance=settings.distance)
    with folder_aside(folder / entry.name) as aside:
        frames = []
        for i, pose in enumerate(camera_poses(entry.name, settings)):
            Image.fromarray(renderer.picture(pose)).save(aside / f"view-{i:03}.png")
            frames.append((f"view-{i:03}", pose))
        (aside / "transforms.json").write_text(transforms_text(ANGLE_X, frames), encoding="utf-8")
    return missing


def render_all(entries: Sequence[MeshEntry], folder: Path, settings: ViewSettings, skipped: SkippedFiles, *,
               processes: int = 0) -> Iterator[str]:
    """Renders the objects of a category that are not there yet into its folder; yields the names of all, in any order.

    Objects that no views can be made of are noted in `skipped`. 0 processes are one for every core, yet for four
    objects at most one: each takes seconds to start. Raises UserError where a process died or cannot write.
    """
    todo = []
    for entry in entries:
        if is_rendered(entry, folder):
            yield entry.name
        else:
            todo.append(entry)
    processes = min(processes, len(todo)) if processes else min(os.cpu_count() or 1, len(todo) // 4)
    if processes <= 1:
        for entry in todo:
            with note_failures(skipped):
                note_missing(skipped, render_object(entry, folder, settings))
            yield entry.name
        return
    # No copies of this process, whose threads may hold locks that nobody would release in a copy. Ctrl-C reaches every
    # process of a terminal; this one decides what it means, the others ignore it.
    fresh = get_context("spawn")
    with ProcessPoolExecutor(processes, fresh, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            jobs = {pool.submit(render_object, entry, folder, settings): entry for entry in todo}
            for job in as_completed(jobs):
                with note_failures(skipped):
                    note_missing(skipped, job.result())
                yield jobs[job].name
        except BrokenProcessPool as error:
            raise UserError(f"a process that rendered died ({error}); run it again to continue, or with "
                            "--processes 1 to see which mesh it was") from error
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interrupted run ends after the objects in hand
            raise


@contextmanager
def note_failures(skipped: SkippedFiles) -> Iterator[None]:
    """Notes the mesh that the block fails for."""
    try:
        yield
    except MeshError as error:
        skipped.catch(error)


def note_missing(skipped: SkippedFiles, missing: Missing) -> None:
    """Counts the files that an object was drawn without."""
    for name, reason in missing:
        skipped.add(name, reason)


def is_rendered(entry: MeshEntry, folder: Path) -> bool:
    """Whether the views of an object are in the folder of its category."""
    return (folder / entry.name / "transforms.json").is_file()


def claim(root: Path, category: str, settings: ViewSettings) -> None:
    """Notes the settings of a category before its first object, in place of those that no object came of.

    Raises UserError where it has objects of others.
    """
    file, now = root / f"{category}_objects.json", json.loads(json.dumps(asdict(settings)))
    try:
        before = json.loads(file.read_text(encoding="utf-8"))["settings"]
        changed = [f"{key} {before.get(key)} became {value}" for key, value in now.items() if before.get(key) != value]
    except (FileNotFoundError, NotADirectoryError):  # of the latter, writing says why
        changed = []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{shown(file)}: is no list of rendered objects; remove it or render elsewhere") from error
    if not any((root / category).glob("*/transforms.json")):
        return write_whole(file, json.dumps({"settings": now, "objects": []}, indent=1) + "\n")
    if changed:
        raise UserError(f"{shown(root / category)} holds objects that were rendered otherwise: {', '.join(changed)}; "
                        "render with the same settings to continue, or into a new folder")


def write_lists(entries: Sequence[MeshEntry], root: Path, category: str, settings: ViewSettings, holdout: float,
                test: Sequence[str] | None = None) -> tuple[int, int]:
    """Writes the split, and where objects are from; returns how many are trained on and how many tested.

    Objects without views are left out. Tested is the share `holdout`, chosen by a hash of each name, so that objects
    added later leave the split of the others as it was; or the names in `test`.
    """
    entries = [entry for entry in entries if is_rendered(entry, root / category)]
    names = tuple(entry.name for entry in entries)
    test_names = {names[i] for i in held_out_places(names, holdout)} if test is None else set(test)
    split = {"train": [n for n in names if n not in test_names], "test": [n for n in names if n in test_names]}
    facts = [{"name": e.name, "title": e.title, "author": e.author, "file": e.file.name, "member": e.member}
             for e in entries]
    for name, content in (("splits", split), ("objects", {"settings": asdict(settings), "objects": facts})):
        write_whole(root / f"{category}_{name}.json", json.dumps(content, indent=1) + "\n")
    return len(split["train"]), len(split["test"])
