"""Reading and writing films: folders of frames, animated pictures by Pillow, and films by ffmpeg where that is.

A film is bytes (C, frames, height, width), grey or RGB, and a rate in frames per second. What cannot be read is one
line, a `PictureError` as in every room: file and reason, which a folder lists.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageSequence
from torch import Tensor

from tokenfield.data.decoding import PictureError, open_file, open_header, read_rgb8
from tokenfield.data.pictures import SUFFIXES as PICTURES
from tokenfield.errors import DAMAGE, UserError
from tokenfield.evaluation.animations import ANIMATED, save_animation, save_movie
from tokenfield.evaluation.figures import save_png
from tokenfield.film.clips import RATES
from tokenfield.film.plugin import SUFFIXES
from tokenfield.io.atomic import shown
from tokenfield.io.walk import files_below

RATE = 25.0
"""Frames per second of what does not say: folders of frames."""
LARGEST = 1 << 31
"""Bytes of a film that is read: 2 GB, of grey 640 x 480 two minutes and more."""
FRAME = 1 << 25
"""Pixels of a frame of an animated picture, which says so before there are any: 8K and a little more."""


def frames_in(folder: Path) -> list[Path]:
    """Pictures that lie in a folder itself, by their names; numbers in these count as numbers: 9 before 10."""
    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name) if part]

    files = [path for path in folder.iterdir() if path.name.lower().endswith(PICTURES) and path.name[0] != "."]
    return sorted((path for path in files if path.is_file()), key=key)


def find_films(root: Path) -> list[Path]:
    """A film, or all below a folder, by name: films, and folders with two pictures or more, which are their frames.

    Raises UserError for none.
    """
    if not root.exists():
        raise UserError(f"{shown(root)}: no such file or folder; give a film, a folder of its frames, or a folder of "
                        "films")
    if root.is_file() or len(frames_in(root)) > 1:
        return [root]
    files = files_below(root)
    films = [path for path in files if path.suffix.lower() in SUFFIXES]
    folders = sorted({path.parent for path in files if path.name.lower().endswith(PICTURES)} - {root})
    films += [folder for folder in folders if len(frames_in(folder)) > 1]
    if not films:
        raise UserError(f"{shown(root)}: no film in it; give one with {', '.join(SUFFIXES)}, or folders of frames")
    return sorted(films)


def read_film(path: Path, channels: int) -> tuple[UInt8[Tensor, "c t h w"], float]:
    """Frames and rate. Raises PictureError for what cannot be read, or whose frames differ in size."""
    if path.is_dir():
        return stacked(path, map(read_rgb8, frames_in(path)), channels), RATE
    frames, rate = animated(path) if path.suffix.lower() in ANIMATED else by_ffmpeg(path)
    return stacked(path, frames, channels), rate


def stacked(path: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]], channels: int) -> UInt8[Tensor, "c t h w"]:
    """Frames of one size as one tensor, grey where one channel is wanted."""
    kept: list[np.ndarray] = []
    for frame in frames:
        if channels == 1:
            frame = np.array(Image.fromarray(frame).convert("L"))[..., None]
        if kept and frame.shape != kept[0].shape:
            raise PictureError(path, f"frame {len(kept)} is {frame.shape[1]} x {frame.shape[0]} pixels and the first "
                                     f"{kept[0].shape[1]} x {kept[0].shape[0]}; all must be of one size")
        kept.append(frame)
        if len(kept) * frame.size > LARGEST:
            raise too_long(path)
    if not kept:
        raise PictureError(path, "holds no frames")
    return torch.from_numpy(np.stack(kept)).permute(3, 0, 1, 2).contiguous()


def too_long(path: Path) -> PictureError:
    """The error for more frames than memory should hold."""
    return PictureError(path, f"is longer than {LARGEST >> 30} GB of frames; give a part of it")


def animated(path: Path) -> tuple[Iterator[UInt8[np.ndarray, "h w 3"]], float]:
    """Frames and rate of an animated picture; frames stay as long as they do on the average."""
    frames, length = [], 0.0
    with open_file(path) as file:
        try:
            image = open_header(file, tuple(ANIMATED.values()))
            for frame in ImageSequence.Iterator(image):
                if frame.width * frame.height > FRAME:
                    raise PictureError(path, f"has a frame of {frame.width} x {frame.height} pixels, too large a one")
                frames.append(np.array(frame.convert("RGB")))
                if len(frames) * frames[-1].nbytes > LARGEST:
                    raise too_long(path)
                length += float(frame.info.get("duration") or 1000 / RATE)
        except PictureError:
            raise
        except (*DAMAGE, MemoryError, Image.DecompressionBombError) as error:  # of a later frame
            reason = " ".join(str(error).split())
            raise PictureError(path, f"is no animated picture, or is damaged ({reason})") from error
    return iter(frames), min(max(1000 * len(frames) / length, RATES[0]), RATES[1])


def by_ffmpeg(path: Path) -> tuple[Iterator[UInt8[np.ndarray, "h w 3"]], float]:
    """Frames and rate of a film, from ffmpeg's output, which is read as it comes."""
    programs = [shutil.which(name) for name in ("ffmpeg", "ffprobe")]
    if None in programs:
        raise PictureError(path, "needs ffmpeg to be read, and there is none; install it, or give a folder of frames")
    ffmpeg, ffprobe = map(str, programs)
    source = ["-protocol_whitelist", "file,pipe", "-i", f"file:{path}"]  # a film may name addresses; none is opened
    probed = subprocess.run([ffprobe, "-v", "error", "-select_streams", "v:0", "-show_entries",
                             "stream=avg_frame_rate", "-of", "json", *source], capture_output=True)
    try:
        over, under = json.loads(probed.stdout)["streams"][0]["avg_frame_rate"].split("/")
        rate = min(max(float(over) / float(under), RATES[0]), RATES[1])
    except (ValueError, LookupError, ArithmeticError) as error:
        said = probed.stderr.decode(errors="replace").strip().splitlines() or ["no film in it"]
        raise PictureError(path, f"cannot be read by ffmpeg ({said[-1][:200]})") from error
    return ppm_frames(path, [ffmpeg, "-v", "error", "-nostdin", *source, "-map", "0:v:0", "-f", "image2pipe", "-c:v",
                             "ppm", "-"]), rate


def ppm_frames(path: Path, command: list[str]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The pictures that a program writes one behind the other, `P6 width height 255` and bytes each."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stderr is not None, "both were asked for"
        try:
            while program.stdout.readline() == b"P6\n":
                width, height = map(int, program.stdout.readline().split())
                program.stdout.readline()
                data = program.stdout.read(3 * width * height)
                if len(data) < 3 * width * height:
                    break
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
        finally:
            program.kill()
        said = program.stderr.read().decode(errors="replace").strip().splitlines()
    if said:
        raise PictureError(path, f"cannot be read by ffmpeg ({said[-1][:200]})")


WRITTEN = (*ANIMATED, ".mp4", ".png")
"""Endings of films that are written; a PNG is one frame."""


def write_film(path: Path, frames: Sequence[Image.Image], rate: float) -> None:
    """Writes an animated picture, or by ffmpeg an MP4, whole or not at all.

    Raises UserError where ffmpeg is missing or fails, or for a PNG of several frames.
    """
    kind = path.suffix.lower()
    if kind == ".mp4":
        save_movie(path, frames, rate)
    elif kind in ANIMATED:
        save_animation(path, frames, max(1, round(1000 / rate)))
    elif len(frames) > 1:
        raise UserError(f"{shown(path)}: a PNG is one frame; say which with --at SECONDS, or give a name in .webp")
    else:
        save_png(path, frames[0])
