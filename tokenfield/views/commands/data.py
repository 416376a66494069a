"""`tokenfield data`: data sets made from what people have.

A group of sub-commands, so far one: `tokenfield data views` renders meshes into posed views.
"""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.errors import UserError


def data(
    what: Annotated[tyro.conf.Positional[Literal["views"]], tyro.conf.arg(metavar="views")],
    meshes: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MESHES")],
    *,
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")],
    category: str = "objects",
    only: Annotated[str, tyro.conf.arg(metavar="WORDS")] = "",
    views: int = 50,
    size: int = 128,
    samples: int = 3,
    elevation: Annotated[tuple[float, float], tyro.conf.arg(metavar="LOW HIGH")] = (0.0, 70.0),
    up: Literal["auto", "y", "z"] = "auto",
    holdout: float = 0.2,
    count: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    seed: int = 0,
    processes: int = 0,
    json: Json = None,
) -> int:
    """Make data sets: `data views MESHES -o FOLDER` renders meshes into posed views that models can be trained on.

    Meshes are OBJ (with MTL), GLB, glTF, PLY, STL, OFF and AC3D files; MESHES is one of them, a folder, a zip archive
    or a Sweet Home 3D library (.sh3f). Every object is scaled into one sphere, lit softly from all around, and seen
    from random places on the sphere of cameras: RGBA pictures and transforms.json in the layout of the learnit ShapeNet
    renderings, with a split by object. Run it again to continue after Ctrl-C: what is there is kept.

    Args:
        what: the kind of data set.
        meshes: a mesh file, an archive, or a folder of these.
        out: where FOLDER/CATEGORY/OBJECT/ and FOLDER/CATEGORY_splits.json are written.
        category: what to call these objects.
        only: only objects whose title, name or catalogue category holds one of these words, separated by commas.
        views: of every object; training uses the first 25.
        size: side of the views in pixels.
        samples: points along each side of a pixel, for antialiasing.
        elevation: lowest and highest place of the cameras, in degrees.
        up: which axis of the meshes points upwards; auto is y but for PLY, STL and OFF.
        holdout: share of the objects that is held out for testing, chosen by their names.
        count: render only so many objects, the first ones.
        seed: of the cameras' places.
        processes: at once; 0 is one for every core.
        json: also write the results there, for machines.
    """
    from tokenfield.data.skipped import SkippedFiles
    from tokenfield.io.atomic import shown
    from tokenfield.views.meshes.catalogue import find_meshes
    from tokenfield.views.meshes.objects import ViewSettings, claim, render_all, write_lists

    check_options(category, holdout, count, processes)
    low, high = elevation
    settings = ViewSettings(views=views, size=size, samples=samples, low=low, high=high, up=up, seed=seed)
    skipped = SkippedFiles()
    entries = chosen(find_meshes(meshes, skipped), only, shown(meshes))[:count]
    claim(out, category, settings)
    with console.progress("rendering", len(entries)) as bar:
        done = render_all(entries, out / category, settings, skipped, processes=processes)
        for i, name in enumerate(done, 1):
            bar.file(i, name)
    train, test = write_lists(entries, out, category, settings, holdout)
    console.say(f"{shown(out)}: {train} {category} to train on, {test} held out, {views} views of {size} pixels each")
    console.write_json(json, {"command": "data views", "out": str(out), "category": category, "train": train,
                              "test": test, "views": views, "size": size, "skipped": skipped.as_json()})
    return console.finish(skipped, train + test + len(skipped))


def check_options(category: str, holdout: float, count: int | None, processes: int) -> None:
    """Raises UserError for options that mean nothing."""
    from tokenfield.views.meshes.catalogue import slug

    if slug(category) != category:
        raise UserError(f"--category {category!r}: it becomes a folder's name; give letters, digits and dashes")
    if not 0 <= holdout < 1:
        raise UserError(f"--holdout {holdout:g}: give a share of the objects from 0 up to, not including, 1")
    if count is not None and count < 1:
        raise UserError(f"--count {count}: give at least 1")
    if processes < 0:
        raise UserError(f"--processes {processes}: give 0 for one per core, or how many")


def chosen(entries: list, only: str, where: str) -> list:
    """The entries whose title, name or category holds one of the words. Raises UserError if none does."""
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    if not words:
        return entries
    kept = [e for e in entries if any(word in f"{e.title} {e.name} {e.category}".lower() for word in words)]
    if not kept:
        titles = ", ".join(dict.fromkeys(entry.title for entry in entries[:12]))
        raise UserError(f"--only {only}: none of the {len(entries)} objects in {where} is called so; the first are "
                        f"{titles}")
    return kept
