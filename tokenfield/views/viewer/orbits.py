"""Orbits: an object from all around, as numbered PNG frames, an animated WebP and, where ffmpeg is at hand, an MP4."""

import math
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.evaluation.figures import save_png, to_pil
from tokenfield.fields.field import Field
from tokenfield.io.atomic import written_aside
from tokenfield.views.data import ViewSet
from tokenfield.views.light_field import move_camera, render_from
from tokenfield.views.rays import look_at, on_sphere, orbit

MILLISECONDS = 60
"""A frame's time on the screen."""


def distance_of(poses: Float[Tensor, "n 4 4"]) -> float:
    """How far the cameras stand from the origin: the median."""
    return poses[:, :3, 3].norm(dim=-1).median().item()


def elevation_of(poses: Float[Tensor, "n 4 4"]) -> float:
    """How high they stand: the median angle above the plane z = 0, radians."""
    return torch.asin(poses[:, 2, 3] / poses[:, :3, 3].norm(dim=-1)).median().item()


def pose_at(azimuth: float | int, elevation: float | int, distance: float) -> Float[Tensor, "4 4"]:
    """The upright camera that looks at the origin from (degrees, degrees, world units)."""
    around, above = (torch.tensor(math.radians(angle)) for angle in (azimuth, elevation))
    return look_at(on_sphere(around, above, distance))


def orbit_frames(
    field: Field, poses: Float[Tensor, "n 4 4"], frames: int, size: tuple[int, int],
    progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Image.Image]:
    """The object from all around, at the distance and the height of the cameras of `poses`."""
    pictures = []
    for done, pose in enumerate(orbit(frames, elevation=elevation_of(poses), radius=distance_of(poses)), 1):
        pictures.append(to_pil(move_camera(field, pose).render(*size).cpu()))
        progress(done, frames)
    return pictures


def beside(field: Field, views: ViewSet, targets: Sequence[int]) -> list[Image.Image]:
    """Real views, in the order of their azimuth, and to the right of each the model's from the same camera."""
    azimuth = torch.atan2(views.poses[:, 1, 3], views.poses[:, 0, 3])
    ordered = sorted(targets, key=lambda i: azimuth[i].item())
    pairs = zip(views.images[ordered], render_from(field, views.poses[ordered]).cpu(), strict=True)
    return [to_pil(torch.cat(pair, -1)) for pair in pairs]


def write_frames(folder: Path, name: str, frames: Sequence[Image.Image]) -> list[Path]:
    """`NAME-000.png`, `NAME-001.png`, ..."""
    return [save_png(folder / f"{name}-{i:03}.png", frame) for i, frame in enumerate(frames)]


def write_animation(path: Path, frames: Sequence[Image.Image], milliseconds: int = MILLISECONDS) -> Path:
    """An animated WebP that begins anew after its last frame."""
    first, *others = frames
    with written_aside(path) as file:
        first.save(file, "WEBP", save_all=True, append_images=others, duration=milliseconds, loop=0, quality=90)
    return path


def write_movie(path: Path, folder: Path, name: str, milliseconds: int = MILLISECONDS) -> Path | None:
    """An MP4 of the frames that `write_frames` wrote; None where no ffmpeg is installed.

    Raises:
        UserError: ffmpeg is there and fails.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    aside = path.with_name(f".{path.name}")
    # H.264 players want even sides and one chroma sample for four pixels.
    command = [program, "-y", "-loglevel", "error", "-framerate", f"{1000 / milliseconds:g}", "-i",
               str(folder / f"{name}-%03d.png"), "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p",
               "-f", "mp4", str(aside)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        aside.unlink(missing_ok=True)
        reason = (result.stderr.strip() or "no reason given").splitlines()[-1]
        raise UserError(f"ffmpeg could not write {path}: {reason}")
    aside.replace(path)
    return path
