"""How data sets of posed views lie on disk, and which objects are for training and which for testing.

Two of the layouts describe an object by a list of frames, each a picture file and a 4 x 4 camera-to-world matrix with
OpenGL axes, and a horizontal field of view or a pinhole camera (`cameras.py`), of all frames or of each:

    learnit   the ShapeNet renderings of *Learned Initializations* (Tancik et al., 2021), as trans-inr and ginr-ipc read
              them: ROOT/chairs/OBJECT/transforms.json and its PNGs, ROOT/chair_splits.json naming the objects of
              "train", "val" and "test". Training takes the first 25 views of an object, testing all (A.2).
    nerf      NeRF-synthetic: ROOT/SCENE/transforms_train.json, transforms_test.json. Every scene is in both splits,
              with other views; ROOT may itself be one scene. nerfstudio and instant-ngp write one transforms.json
              for all views: those that it names for a split, else every eighth view is for testing.
    colmap    ROOT/SCENE/sparse/0 (`colmap.py`) and ROOT/SCENE/images, or ROOT as one scene; split likewise.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float64

from tokenfield.data.decoding import PictureError
from tokenfield.data.listings import folders_in
from tokenfield.data.pictures import SUFFIXES
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.limits import DamagedJson, parse_json
from tokenfield.io.record import Record
from tokenfield.views.cameras import Boxes, angle, common, pinhole_of
from tokenfield.views.colmap import find_model, read_model

T = TypeVar("T")

WHOLE = "transforms.json"
"""What describes all views of a scene in one file."""

TOLERANCE = 1e-2
"""How far the axes of a pose may be from orthonormal: files carry six digits, a scaled matrix is far beyond."""

Place = tuple[str, Path]
"""An object's name, unique in its data set, and its `transforms*.json`."""


@dataclass(frozen=True)
class PosedFrames:
    """What a `transforms*.json` says of N views."""

    pictures: tuple[Path, ...]
    poses: Float64[np.ndarray, "n 4 4"]  # camera-to-world
    angle_x: float  # horizontal field of view of what is used of the pictures, radians
    boxes: Boxes | None = None  # what that is; None: all of square pictures


def list_learnit(root: Path, category: str, split: str) -> list[Place]:
    """The objects of a split, of one category or of all that have a list, in the order of the lists."""
    present = {file.name.removesuffix("_splits.json"): file for file in sorted(root.glob("*_splits.json"))}
    lists = {name: file for name, file in present.items()
             if not category or name.removesuffix("s") == category.removesuffix("s")}
    if not lists:
        raise UserError(f"{shown(root)}: no list {category or 'CATEGORY'}_splits.json beside the folder of objects "
                        f"(there are: {', '.join(present) or 'none'}); give a folder in learnit's layout, or make one: "
                        "tokenfield views render MESHES")
    objects: list[Place] = []
    for name, file in lists.items():
        folder = next((root / each for each in (category, name, f"{name}s") if each and (root / each).is_dir()), None)
        if folder is None:
            raise UserError(f"{shown(root)}: {file.name} stands there, but no folder {name} or {name}s")
        objects += [(f"{folder.name}/{each}", folder / each / "transforms.json") for each in objects_in(file, split)]
    return objects


def objects_in(file: Path, split: str) -> list[str]:
    """The names that a list has for a split; where it knows no "test", those of "val"."""
    lists = load_json(file)
    names = lists.get(split, lists.get("val") if split == "test" else None) if isinstance(lists, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{shown(file)}: no list of names for the split {split!r}; "
                        'needed is {"train": [...], "test": [...]}')
    return names


def list_nerf(root: Path, category: str, split: str) -> list[Place]:
    """The scenes of a folder, or the folder itself if it is one, sorted; `category` names one of them."""
    name = f"transforms_{split}.json"
    if (root / name).is_file():
        return [(root.resolve().name, root / name)]
    if (root / WHOLE).is_file():
        return [(root.resolve().name, root / WHOLE)]
    files = [(scene, root / scene / (name if (root / scene / name).is_file() else WHOLE))
             for scene in folders_in(root) if category in ("", scene)]
    places = [(scene, file) for scene, file in files if file.is_file()]
    if not places:
        raise UserError(f"{shown(root)}: no {category or 'SCENE'}/{name} or {WHOLE} in it; give the folder of scenes, "
                        "or of one")
    return places


def list_colmap(root: Path, category: str, split: str) -> list[Place]:
    """The scenes of a folder, or the folder itself if it is one: their sparse models."""
    if (model := find_model(root)) is not None:
        return [(root.resolve().name, model)]
    scenes = [(scene, find_model(root / scene)) for scene in folders_in(root) if category in ("", scene)]
    places = [(scene, model) for scene, model in scenes if model is not None]
    if not places:
        raise UserError(f"{shown(root)}: no {category or 'SCENE'}/sparse/0/cameras.bin and images.bin, or .txt, in it")
    return places


LAYOUTS: dict[str, Callable[[Path, str, str], list[Place]]] = {
    "learnit": list_learnit, "nerf": list_nerf, "colmap": list_colmap}
"""(root, category or "", split) -> the objects."""


def load_json(file: Path) -> object:
    """A JSON file. Raises PictureError where there is none or it is damaged."""
    try:
        return parse_json(file.read_bytes())
    except OSError as error:
        raise PictureError(file, f"cannot be read ({error.strerror})") from error
    except DamagedJson as error:
        raise PictureError(file, f"is no JSON file ({error})") from error


def read_object(transforms: Path, first: int | None = None, part: str = "") -> PosedFrames:
    """The frames of one object, the `first` ones or all; of one file for both splits, those of the `part`.

    Raises PictureError for what describes no posed views.
    """
    if transforms.is_dir() and find_model(transforms) == transforms:
        return read_colmap(transforms, first, part)
    folder = transforms.parent
    if not transforms.is_file():
        raise PictureError(folder, f"has no {transforms.name}" if folder.is_dir() else "is listed and missing")
    try:
        meta: Record = dict(load_json(transforms))  # type: ignore[call-overload]  # of anything else it is a TypeError
        frames = frames_of(meta, part if transforms.name == WHOLE else "")[:first]
        check_some(frames, folder, part)
        names = [str(frame["file_path"]) for frame in frames]
        poses = matrices([frame["transform_matrix"] for frame in frames])
        cameras = [pinhole_of({**meta, **frame}) for frame in frames]
        if None in cameras:
            angle_x, boxes = angle("camera_angle_x", float(meta["camera_angle_x"])), None
        else:
            angle_x, boxes = common([camera for camera in cameras if camera], folder)
    except PictureError as error:
        raise PictureError(folder, error.reason) from error
    except (KeyError, TypeError) as error:
        what = f"{transforms.name} lacks camera_angle_x or fl_x and w, or a frame its file_path or 4x4 transform_matrix"
        raise PictureError(folder, f"{what} ({' '.join(str(error).split())[:60]})") from error
    except (ValueError, OverflowError) as error:
        raise PictureError(folder, f"{transforms.name}: {' '.join(str(error).split())[:200]}") from error
    check_poses(folder, poses, len(frames))
    return PosedFrames(tuple(picture_file(folder, name) for name in names), poses, angle_x, boxes)


def matrices(rows: list[object]) -> np.ndarray:
    """The `transform_matrix` of frames. Raises TypeError for what are none."""
    try:
        return np.array(rows, np.float64)
    except (ValueError, OverflowError) as error:
        raise TypeError("a transform_matrix is none") from error


def frames_of(meta: Record, part: str) -> list[Record]:
    """The frames of a part of one file: those that nerfstudio's lists name, else every eighth is for testing."""
    frames = list(meta["frames"])
    if not part:
        return frames
    names = meta.get(f"{part}_filenames")
    if isinstance(names, list):
        return [frame for frame in frames if frame["file_path"] in names]
    return of_part(frames, part)


def of_part(views: list[T], part: str) -> list[T]:
    """Every eighth view, from the first, is for testing (the convention of LLFF's scenes); "" is all of them."""
    return [view for i, view in enumerate(views) if not part or (i % 8 == 0) == (part == "test")]


def read_colmap(model: Path, first: int | None, part: str) -> PosedFrames:
    """The frames of a sparse model of COLMAP."""
    inner = {"sparse": 1, "colmap": 1}
    root = model
    while root.name in inner or root.name == "0":
        root = root.parent
    try:
        views = of_part(read_model(model), part)[:first]
        check_some(views, root, part)
        angle_x, boxes = common([camera for _, _, camera in views], root)
    except PictureError:
        raise
    except (OSError, ValueError, OverflowError) as error:
        raise PictureError(root, " ".join(str(error).split())[:200]) from error
    poses = np.array([pose for _, pose, _ in views]).reshape(-1, 4, 4)
    check_poses(root, poses, len(views))
    return PosedFrames(tuple(picture_file(root / "images", name) for name, _, _ in views), poses, angle_x, boxes)


def check_some(views: Sequence[object], folder: Path, part: str) -> None:
    """Raises PictureError for an object without views; of few, all may be for testing."""
    if not views:
        raise PictureError(folder, f"has no views{f' for the split {part}' if part else ''}")


def check_poses(folder: Path, poses: np.ndarray, count: int) -> None:
    """Raises PictureError unless every view has a rotation and a place."""
    if poses.shape != (count, 4, 4) or not np.isfinite(poses).all():
        raise PictureError(folder, f"its {count} transform_matrix are no finite 4x4 matrices")
    turns = poses[:, :3, :3]
    with np.errstate(all="ignore"):
        skew = abs(turns.transpose(0, 2, 1) @ turns - np.eye(3)).max(initial=0)
    if not skew <= TOLERANCE or (np.linalg.det(turns) < 0).any():
        raise PictureError(folder, "the axes of a transform_matrix are no rotation")


def picture_file(folder: Path, name: str) -> Path:
    """The file that a frame means: names have no suffix in NeRF's files, and in learnit's may carry a lost folder.

    A file outside the folder is never meant: of such a name the last part counts.
    """
    file = name.replace("\\", "/")
    file = file if file.lower().endswith(SUFFIXES) else f"{file}.png"
    inside = folder / Path(file).name if ".." in Path(file).parts or Path(file).is_absolute() else folder / file
    try:
        if b"\0" in os.fsencode(inside):
            raise ValueError("a NUL byte")
        return next((at for at in (inside, folder / Path(file).name) if at.is_file()), inside)
    except (OSError, ValueError):  # a name that no file can have
        return folder / "a name that no file has"


def transforms_text(angle_x: float, frames: Sequence[tuple[str, Float64[np.ndarray, "4 4"]]]) -> str:
    """The text of a `transforms.json` that `read_object` reads, from names without suffix and poses of the views."""
    plain = [{"file_path": f"./{name}", "transform_matrix": pose.tolist()} for name, pose in frames]
    return json.dumps({"camera_angle_x": angle_x, "frames": plain}, indent=1) + "\n"
