"""How data sets of posed views lie on disk, and which objects are for training and which for testing.

Both layouts describe an object by a list of frames, each a picture file and a 4 x 4 camera-to-world matrix with OpenGL
axes, and one horizontal field of view:

    learnit   the ShapeNet renderings of *Learned Initializations* (Tancik et al., 2021), as trans-inr and ginr-ipc read
              them: ROOT/chairs/OBJECT/transforms.json and its PNGs, ROOT/chair_splits.json naming the objects of
              "train", "val" and "test". Training takes the first 25 views of an object, testing all (A.2).
    nerf      NeRF-synthetic: ROOT/SCENE/transforms_train.json, transforms_test.json. Every scene is in both splits,
              with other views; ROOT may itself be one scene.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from tokenfield.data.decoding import PictureError
from tokenfield.data.listings import folders_in
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.record import Record

TOLERANCE = 1e-2
"""How far the axes of a pose may be from orthonormal: files carry six digits, a scaled matrix is far beyond."""

Place = tuple[str, Path]
"""An object's name, unique in its data set, and its `transforms*.json`."""


@dataclass(frozen=True)
class PosedFrames:
    """What a `transforms*.json` says of N views."""

    pictures: tuple[Path, ...]
    poses: Float64[np.ndarray, "n 4 4"]  # camera-to-world
    angle_x: float  # horizontal field of view, radians


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
    scenes = [scene for scene in folders_in(root) if (root / scene / name).is_file() and category in ("", scene)]
    if not scenes:
        raise UserError(f"{shown(root)}: no {category or 'SCENE'}/{name} in it; give the folder of scenes, or of one")
    return [(scene, root / scene / name) for scene in scenes]


LAYOUTS: dict[str, Callable[[Path, str, str], list[Place]]] = {"learnit": list_learnit, "nerf": list_nerf}
"""(root, category or "", split) -> the objects."""


def load_json(file: Path) -> object:
    """A JSON file. Raises PictureError where there is none or it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PictureError(file, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise PictureError(file, f"is no JSON file ({' '.join(str(error).split())[:80]})") from error


def read_object(transforms: Path, first: int | None = None) -> PosedFrames:
    """The frames of one object, the `first` ones or all. Raises PictureError for what describes no posed views."""
    folder = transforms.parent
    if not transforms.is_file():
        raise PictureError(folder, f"has no {transforms.name}" if folder.is_dir() else "is listed and missing")
    try:
        meta: Record = dict(load_json(transforms))  # type: ignore[call-overload]  # of anything else it is a TypeError
        angle, frames = float(meta["camera_angle_x"]), list(meta["frames"])[:first]
        names = [str(frame["file_path"]) for frame in frames]
        poses = np.array([frame["transform_matrix"] for frame in frames], np.float64)
    except PictureError as error:
        raise PictureError(folder, error.reason) from error
    except (KeyError, TypeError, ValueError) as error:
        what = f"{transforms.name} lacks camera_angle_x, or a frame its file_path or 4x4 transform_matrix"
        raise PictureError(folder, f"{what} ({' '.join(str(error).split())[:60]})") from error
    if not 0 < angle < math.pi:
        raise PictureError(folder, f"camera_angle_x is {angle:g}, not between 0 and pi")
    if poses.shape != (len(frames), 4, 4) or not np.isfinite(poses).all():
        raise PictureError(folder, f"its {len(frames)} transform_matrix are no finite 4x4 matrices")
    turns = poses[:, :3, :3]
    skew = abs(turns.transpose(0, 2, 1) @ turns - np.eye(3)).max(initial=0)
    if skew > TOLERANCE or (np.linalg.det(turns) < 0).any():
        raise PictureError(folder, "the axes of a transform_matrix are no rotation")
    return PosedFrames(tuple(picture_file(folder, name) for name in names), poses, angle)


def picture_file(folder: Path, name: str) -> Path:
    """The file that a frame means: names have no suffix in NeRF's files, and in learnit's may carry a lost folder."""
    file = name if name.lower().endswith((".png", ".jpg", ".jpeg", ".webp")) else f"{name}.png"
    return next((at for at in (folder / file, folder / Path(file).name) if at.is_file()), folder / file)


def transforms_text(angle_x: float, frames: Sequence[tuple[str, Float64[np.ndarray, "4 4"]]]) -> str:
    """The text of a `transforms.json` that `read_object` reads, from names without suffix and poses of the views."""
    plain = [{"file_path": f"./{name}", "transform_matrix": pose.tolist()} for name, pose in frames]
    return json.dumps({"camera_angle_x": angle_x, "frames": plain}, indent=1) + "\n"
