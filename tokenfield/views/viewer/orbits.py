"""Orbits: an object from all around, as numbered PNG frames, an animated WebP and, where ffmpeg is at hand, an MP4."""

import math
import shutil
import subprocess
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.evaluation.figures import save_animation, save_png, to_pil
from tokenfield.fields.domain import Progress
from tokenfield.fields.field import Field
from tokenfield.views.data import ViewSet
from tokenfield.views.light_field import move_camera, render_from
from tokenfield.views.rays import look_at, on_sphere, orbit
from tokenfield.views.scores import comparison

MILLISECONDS = 60
"""A frame of an orbit stays so long on the screen."""


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


def draw_orbit(field: Field, poses: Float[Tensor, "n 4 4"], frames: int, side: int, path: Path,
               progress: Progress) -> list[Path]:
    """The object from all around, at the distance and the height of the cameras of `poses`.

    Writes `PATH-000.png`, `PATH-001.png`, ..., `PATH.webp`, and `PATH.mp4` where ffmpeg is installed.
    """
    pictures = []
    for count, pose in enumerate(orbit(frames, elevation=elevation_of(poses), radius=distance_of(poses)), 1):
        pictures.append(to_pil(move_camera(field, pose).render(side, side).cpu()))
        progress(count, frames)
    files = [save_png(path.with_name(f"{path.name}-{i:03}.png"), picture) for i, picture in enumerate(pictures)]
    files.append(save_animation(path.with_name(f"{path.name}.webp"), pictures, MILLISECONDS))
    program = shutil.which("ffmpeg")
    return files if program is None else [*files, write_movie(program, path)]


def draw_beside(field: Field, views: ViewSet, number: int, folder: Path, name: str) -> list[Path]:
    """Views that were not encoded beside the model's: a few as a sheet, all in the order of their azimuth as a film."""
    targets = range(number, len(views))
    few = targets[:: max(1, len(targets) // 6)][:6]
    sheet = save_png(folder / f"{name}-views.png", comparison(field, views, range(number), few))
    azimuth = torch.atan2(views.poses[:, 1, 3], views.poses[:, 0, 3])
    ordered = sorted(targets, key=lambda i: azimuth[i].item())
    pairs = zip(views.images[ordered], render_from(field, views.poses[ordered]).cpu(), strict=True)
    film = [to_pil(torch.cat(pair, -1)) for pair in pairs]
    return [sheet, save_animation(folder / f"{name}-beside.webp", film, 400)]


def write_movie(ffmpeg: str, path: Path) -> Path:
    """`PATH.mp4` of the frames `PATH-000.png`, ... Raises UserError where ffmpeg fails."""
    movie, aside = path.with_name(f"{path.name}.mp4"), path.with_name(f".{path.name}.mp4")
    # H.264 players want even sides and one chroma sample for four pixels.
    command = [ffmpeg, "-y", "-loglevel", "error", "-framerate", f"{1000 / MILLISECONDS:g}", "-i", f"{path}-%03d.png",
               "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-f", "mp4", str(aside)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        aside.unlink(missing_ok=True)
        reason = (result.stderr.strip() or "no reason given").splitlines()[-1]
        raise UserError(f"ffmpeg could not write {movie}: {reason}")
    return aside.replace(movie)
