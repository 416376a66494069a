"""Objects to folders of views in learnit's layout, several at a time, each whole or absent.

    FOLDER/chairs/OBJECT/transforms.json, view-000.png ...     RGBA, as `tokenfield.views.layouts` reads them
    FOLDER/chairs_splits.json                                   {"train": [...], "test": [...]}
    FOLDER/chairs_objects.json                                  settings, and where each object is from

An object is rendered into a hidden neighbour that is renamed when it is complete, so a run that was stopped is
continued by running it again: what is there is not rendered twice. Everything is a function of the object's name, the
settings and the mesh; nothing depends on the number of processes or the order of the files.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from glob import escape
from hashlib import sha256
from math import asin, pi, radians, sin
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from PIL import Image

from tokenfield.data.draws import Draws
from tokenfield.data.layouts import held_out_places
from tokenfield.data.skipped import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.atomic import cannot_write, shown, write_whole
from tokenfield.views.layouts import transforms_text
from tokenfield.views.meshes.catalogue import MeshEntry, mesh_file
from tokenfield.views.meshes.files import UPRIGHT, read_surface
from tokenfield.views.meshes.renderer import Camera, Renderer
from tokenfield.views.meshes.surface import MeshError, fit_sphere, rotate
from tokenfield.views.rays import look_at, on_sphere

ANGLE_X = 0.6911112070083618
"""Horizontal field of view of learnit's and NeRF-synthetic's cameras, radians."""


@dataclass(frozen=True)
class ViewSettings:
    """How meshes are rendered.

    Attributes:
        views: of every object.
        size: side in pixels.
        samples: points along each side of a pixel.
        low, high: lowest and highest elevation of the cameras, degrees, evenly over the sphere's surface.
        radius: of the sphere that bounds an object; with cameras at distance 4 it fills 88 % of the view.
        distance: of the cameras from the middle of the object.
        up: which axis of a mesh points upwards; auto decides by the kind of its file.
        seed: of the cameras' places.
    """

    views: int = 50
    size: int = 128
    samples: int = 3
    low: float = 0.0
    high: float = 70.0
    radius: float = 1.2
    distance: float = 4.0
    up: Literal["auto", "y", "z"] = "auto"
    seed: int = 0

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


def render_object(entry: MeshEntry, folder: Path, settings: ViewSettings) -> None:
    """Renders one object into `folder / entry.name`, which appears when it is complete.

    Raises:
        MeshError: no views can be made of it.
        UserError: the folder cannot be written.
    """
    with mesh_file(entry) as file:
        kind = file.suffix.lower()
        try:
            surface = read_surface(file)
            if entry.rotation:
                surface = rotate(surface, np.array(entry.rotation).reshape(3, 3))
            surface = fit_sphere(surface, UPRIGHT[kind] if settings.up == "auto" else settings.up, settings.radius)
        except MeshError as error:
            raise MeshError(entry.where, error.reason) from error
    renderer = Renderer(surface, angle_x=ANGLE_X, distance=settings.distance, size=settings.size,
                        samples=settings.samples)
    aside = folder / f".{entry.name}.{os.getpid()}.part"
    try:
        remove_leftovers(folder, entry.name)
        aside.mkdir(parents=True, exist_ok=True)
        frames = []
        for i, pose in enumerate(camera_poses(entry.name, settings)):
            picture = renderer.picture(Camera(pose, ANGLE_X, settings.size, settings.samples))
            Image.fromarray(picture).save(aside / f"view-{i:03}.png")
            frames.append((f"view-{i:03}", pose))
        (aside / "transforms.json").write_text(transforms_text(ANGLE_X, frames), encoding="utf-8")
        os.replace(aside, folder / entry.name)
    except OSError as error:
        raise cannot_write(folder / entry.name, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(folder: Path, name: str) -> None:
    """Removes what killed processes left of an object; those that live are still at work on theirs."""
    for left in folder.glob(f".{escape(name)}.*.part"):
        with suppress(ValueError, ProcessLookupError):
            os.kill(int(left.name.split(".")[-2]), 0)
            continue
        shutil.rmtree(left, ignore_errors=True)


def render_all(
    entries: Sequence[MeshEntry], folder: Path, settings: ViewSettings, skipped: SkippedFiles, *, processes: int = 0
) -> Iterator[str]:
    """Renders the objects that are not there yet; yields the names of all, in any order.

    Args:
        entries: the objects.
        folder: of the category.
        settings: how.
        skipped: objects that no views can be made of.
        processes: at once; 0 is one for every core, yet for four objects at most one: each takes seconds to start.
    Raises:
        UserError: the folder cannot be written, or a process died.
    """
    todo = []
    for entry in entries:
        if (folder / entry.name / "transforms.json").is_file():
            yield entry.name
        else:
            todo.append(entry)
    processes = min(processes, len(todo)) if processes else min(os.cpu_count() or 1, len(todo) // 4)
    if processes <= 1:
        for entry in todo:
            attempt(partial(render_object, entry, folder, settings), skipped)
            yield entry.name
        return
    with ProcessPoolExecutor(processes, fresh_processes(), ignore_interrupts) as pool:
        try:
            jobs = {pool.submit(render_object, entry, folder, settings): entry for entry in todo}
            for job in as_completed(jobs):
                attempt(job.result, skipped)
                yield jobs[job].name
        except BrokenProcessPool as error:
            raise UserError(f"a process that rendered died ({error}); run it again to continue, or with "
                            "--processes 1 to see which mesh it was") from error
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interrupted run ends after the objects in hand
            raise


def fresh_processes() -> BaseContext:
    """Processes that are no copies of this one, whose threads may hold locks that nobody would release in a copy.

    Where the system can, they are copies of one that has only imported this module.
    """
    forkserver = "forkserver" in get_all_start_methods()
    context = get_context("forkserver" if forkserver else "spawn")
    if forkserver:
        context.set_forkserver_preload([__name__])
    return context


def ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; of these one, the first, decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def attempt(work: Callable[[], None], skipped: SkippedFiles) -> None:
    """Does the work, and notes the mesh that it fails for."""
    try:
        work()
    except MeshError as error:
        skipped.catch(error)


def claim(root: Path, category: str, settings: ViewSettings) -> None:
    """Notes the settings of a category before its first object, and refuses to mix views of other settings into it.

    Raises:
        UserError: objects of other settings are there, or the folder cannot be written.
    """
    file, now = root / f"{category}_objects.json", json.loads(json.dumps(asdict(settings)))
    try:
        before = json.loads(file.read_text(encoding="utf-8"))["settings"]
        changed = [f"{key} {before.get(key)} became {value}" for key, value in now.items() if before.get(key) != value]
    except (FileNotFoundError, NotADirectoryError):  # of the latter, writing tells
        return write_whole(file, json.dumps({"settings": now, "objects": []}, indent=1) + "\n")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{shown(file)}: is no list of rendered objects; remove it or render elsewhere") from error
    if changed:
        raise UserError(f"{shown(root / category)} holds objects that were rendered otherwise: {', '.join(changed)}; "
                        "render with the same settings to continue, or into a new folder")


def write_lists(
    entries: Sequence[MeshEntry], root: Path, category: str, settings: ViewSettings, holdout: float,
    test: Sequence[str] | None = None
) -> tuple[int, int]:
    """Writes the split, and where objects are from; returns how many are trained on and how many tested.

    Args:
        entries: the objects; those without views are left out.
        root, category: where they are.
        settings: they were rendered with.
        holdout: share of the objects that is tested, chosen by a hash of each name: objects added later leave the
            split of the others as it was.
        test: names to test in place of that.
    """
    entries = [entry for entry in entries if (root / category / entry.name / "transforms.json").is_file()]
    names = tuple(entry.name for entry in entries)
    chosen = {names[i] for i in held_out_places(names, holdout)} if test is None else set(test)
    split = {"train": [n for n in names if n not in chosen], "test": [n for n in names if n in chosen]}
    facts = [{"name": e.name, "title": e.title, "author": e.author, "file": e.file.name, "member": e.member}
             for e in entries]
    lists = {"splits": split, "objects": {"settings": asdict(settings), "objects": facts}}
    for name, content in lists.items():
        write_whole(root / f"{category}_{name}.json", json.dumps(content, indent=1) + "\n")
    return len(split["train"]), len(split["test"])
