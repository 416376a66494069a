"""Orbits: an object from all around, as numbered PNG frames, an animated WebP and, where ffmpeg is at hand, an MP4."""

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.evaluation.animations import has_ffmpeg, save_animation, save_movie
from tokenfield.evaluation.figures import save_png, to_pil
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
    if has_ffmpeg():
        files.append(save_movie(path.with_name(f"{path.name}.mp4"), pictures, 1000 / MILLISECONDS))
    return files


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
