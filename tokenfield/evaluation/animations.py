"""Frames that follow each other as files: animated WebP and GIF by Pillow, and MP4 where ffmpeg is installed."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tokenfield.errors import UserError
from tokenfield.io.atomic import shown, written_aside

ANIMATED = {".gif": "GIF", ".webp": "WEBP"}
"""Ending -> Pillow's format of an animated picture."""


def save_animation(path: Path, frames: Sequence[Image.Image], milliseconds: int) -> Path:
    """Writes an animation that begins anew after its last frame, whole or not at all, and returns its path.

    Every frame stays for so many milliseconds; `path` ends in one of `ANIMATED`.
    """
    with written_aside(path) as file:
        frames[0].save(file, ANIMATED[path.suffix.lower()], save_all=True, append_images=frames[1:],
                       duration=milliseconds, loop=0, quality=90)
    return path


def has_ffmpeg() -> bool:
    """Whether films can be read and written."""
    return shutil.which("ffmpeg") is not None


def save_movie(path: Path, frames: Sequence[Image.Image], rate: float) -> Path:
    """Writes an MP4 (H.264) of so many frames a second, whole or not at all, and returns its path.

    Raises UserError where ffmpeg is missing or fails.
    """
    if not has_ffmpeg():
        raise UserError(f"{shown(path)}: writing an MP4 needs ffmpeg, and there is none; give a name ending in .webp")
    width, height = frames[0].size
    # H.264 players want even sides and one chroma sample for four pixels; MP4 is written to a file that can be sought.
    command = ["ffmpeg", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r",
               f"{rate:g}", "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-f", "mp4"]
    with written_aside(path) as file:
        result = subprocess.run([*command, f"file:{file.name}"], capture_output=True,
                                input=b"".join(frame.convert("RGB").tobytes() for frame in frames))
        if result.returncode:
            said = result.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise UserError(f"{shown(path)}: ffmpeg could not write it ({said[-1][:200]})")
    return path
