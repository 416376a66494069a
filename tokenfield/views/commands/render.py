"""`tokenfield views render`: meshes become posed views that models can be trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Int, Json
from tokenfield.cli.options import check_at_least
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.views.meshes.catalogue import MeshEntry


@dataclass(frozen=True)
class Cameras:
    """How every object is looked at."""

    views: int = 50
    """Of every object; training uses the first 25."""
    size: int = 128
    """Side of the views in pixels."""
    samples: int = 3
    """Points along each side of a pixel, for antialiasing."""
    elevation: Annotated[tuple[float, float], tyro.conf.arg(metavar="LOW HIGH")] = (0.0, 70.0)
    """Lowest and highest place of the cameras, in degrees."""
    seed: int = 0
    """Of the cameras' places."""


@dataclass
class Render:
    """Render meshes into posed views, as a data set with a split by object.

    Meshes are OBJ (with MTL), GLB, glTF, PLY, STL and OFF files; MESHES is one of them, a folder, a zip archive or a
    Sweet Home 3D library (.sh3f). Every object is scaled into one sphere, lit softly from all around, and rendered
    from random places on the sphere of cameras: RGBA pictures and transforms.json in the layout of the learnit ShapeNet
    renderings. Run it again to continue after Ctrl-C: what is there is not rendered again.
    """

    meshes: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MESHES")]
    """A mesh file, an archive, or a folder of these."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Where FOLDER/CATEGORY/OBJECT/ and FOLDER/CATEGORY_splits.json are written."""
    category: str = "objects"
    """What to call these objects."""
    only: Annotated[str, tyro.conf.arg(metavar="WORDS")] = ""
    """Only objects whose title, name or catalogue category holds one of these words, separated by commas."""
    cameras: tyro.conf.OmitArgPrefixes[Cameras] = Cameras()
    """How every object is looked at."""
    up: Literal["auto", "y", "z"] = "auto"
    """Which axis of the meshes points upwards; auto is y but for PLY, STL and OFF."""
    holdout: float = 0.2
    """Share of the objects that is held out for testing, chosen by their names."""
    count: Int = None
    """Render only so many objects, the first ones."""
    processes: int = 0
    """At once; 0 is one for every core."""
    json: Json = None

    def run(self) -> int:
        """Render and write the lists."""
        from tokenfield.data.pictures import SkippedFiles
        from tokenfield.io.atomic import shown, typed
        from tokenfield.io.lock import take
        from tokenfield.views.meshes.catalogue import find_meshes, slug
        from tokenfield.views.meshes.objects import ViewSettings, claim, render_all, write_lists

        if slug(self.category) != self.category:
            raise UserError(f"--category {self.category!r}: it becomes a folder's name; give letters, digits and "
                            "dashes")
        if not 0 <= self.holdout < 1:
            raise UserError(f"--holdout {self.holdout:g}: give a share of the objects from 0 up to, not including, 1")
        check_at_least(1, count=self.count)
        check_at_least(0, processes=self.processes)
        views, size, (low, high) = self.cameras.views, self.cameras.size, self.cameras.elevation
        settings = ViewSettings(views=views, size=size, samples=self.cameras.samples, low=low, high=high, up=self.up,
                                seed=self.cameras.seed)
        take(self.out)
        skipped = SkippedFiles()
        entries = select(find_meshes(self.meshes, skipped), self.only, shown(self.meshes))[: self.count]
        claim(self.out, self.category, settings)
        with console.progress("rendering", len(entries)) as bar:
            names = render_all(entries, self.out / self.category, settings, skipped, processes=self.processes)
            for i, name in enumerate(names, 1):
                bar.file(i, name)
        train, test = write_lists(entries, self.out, self.category, settings, self.holdout)
        console.say(f"{shown(self.out)}: {train} {self.category} to train on, {test} held out, {views} views of {size} "
                    f"pixels each")
        console.say("next: " + typed("tokenfield", "views", "orbit", "views-lamps", "--data", self.out, "-o", "orbit")
                    + ", or train on them: " + typed("tokenfield", "train", "views-lamps", "--data", self.out))
        console.write_json(self.json, "views render", {"out": str(self.out), "category": self.category,
                                       "train": train, "test": test, "views": views, "size": size,
                                       "skipped": skipped.as_json()})
        return console.finish(skipped, train + test + len(skipped))


def select(entries: "list[MeshEntry]", only: str, where: str) -> "list[MeshEntry]":
    """The entries whose title, name or category holds one of the words. Raises UserError if none does."""
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    if not words:
        return entries
    matches = [e for e in entries if any(word in f"{e.title} {e.name} {e.category}".lower() for word in words)]
    if not matches:
        titles = ", ".join(dict.fromkeys(entry.title for entry in entries[:12]))
        raise UserError(f"--only {only}: none of the {len(entries)} objects in {where} is called so; the first are "
                        f"{titles}")
    return matches
