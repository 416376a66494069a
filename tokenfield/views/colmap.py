"""Sparse models of COLMAP: `cameras`, `images` (.bin or .txt), and the folder of pictures beside them.

COLMAP writes world-to-camera rotations as quaternions (w, x, y, z) with translations, for cameras whose y points down
and that look along z (*Structure-from-Motion Revisited*, Schönberger & Frahm, 2016; its documentation, "Output
Format"). Here poses are camera-to-world with OpenGL's axes, as everywhere.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from tokenfield.views.cameras import NEGLIGIBLE, Pinhole

MODELS = {0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
          5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12), 7: ("FOV", 5), 8: ("SIMPLE_RADIAL_FISHEYE", 4),
          9: ("RADIAL_FISHEYE", 5), 10: ("THIN_PRISM_FISHEYE", 12)}
"""Number of a camera model in binary files -> its name, and how many parameters it has."""
ONE_FOCAL, TWO_FOCALS = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"), ("PINHOLE", "OPENCV", "FULL_OPENCV")
"""Models that are pinholes but for their distortion: f, cx, cy, ... and fx, fy, cx, cy, ..."""

View = tuple[str, Float64[np.ndarray, "4 4"], Pinhole]
"""A picture's name below the folder of pictures, its camera-to-world pose and its camera."""


def find_model(root: Path) -> Path | None:
    """The folder of the sparse model of a scene; None where there is none."""
    for folder in (root / "sparse" / "0", root / "sparse", root / "colmap" / "sparse" / "0", root):
        if any((folder / f"cameras.{kind}").is_file() and (folder / f"images.{kind}").is_file()
               for kind in ("bin", "txt")):
            return folder
    return None


def read_model(folder: Path) -> list[View]:
    """The registered views of a model, by name. Raises ValueError for a damaged one, OSError, or distorted lenses."""
    binary = (folder / "cameras.bin").is_file()
    try:
        cameras = dict(binary_cameras(folder) if binary else text_cameras(folder))
        rows = list(binary_images(folder) if binary else text_images(folder))
        return sorted(((name, pose_of(turn, shift), cameras[camera]) for name, turn, shift, camera in rows),
                      key=lambda view: view[0])
    except KeyError as error:
        raise ValueError(f"its COLMAP model has no camera {error}, or one of a kind that is not known") from error
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"its COLMAP model is damaged or cut short ({' '.join(str(error).split())})") from error


def pinhole(model: str, width: float | int, height: float | int, parameters: list[float]) -> Pinhole:
    """A camera of a model. Raises ValueError for one that is no pinhole, or is distorted."""
    count = 3 if model in ONE_FOCAL else 4
    if model not in ONE_FOCAL + TWO_FOCALS or max(map(abs, parameters[count:]), default=0.0) > NEGLIGIBLE:
        raise ValueError(f"camera model {model[:30]}, or its lens distortion, is not supported; undistort the pictures "
                         "first: colmap image_undistorter")
    focal = (parameters[0], parameters[0]) if count == 3 else (parameters[0], parameters[1])
    return Pinhole(focal, (parameters[count - 2], parameters[count - 1]), width, height)


Row = tuple[str, list[float], list[float], int]
"""A picture's name, quaternion, translation and camera."""


def text_cameras(folder: Path) -> Iterator[tuple[int, Pinhole]]:
    """`CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]`, a line each."""
    for words in lines_of(folder / "cameras.txt"):
        if words:
            yield int(words[0]), pinhole(words[1], float(words[2]), float(words[3]), [float(w) for w in words[4:]])


def text_images(folder: Path) -> Iterator[Row]:
    """`IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME`, and a line of points, perhaps empty, after each."""
    for words in list(lines_of(folder / "images.txt"))[::2]:
        if words:
            numbers = [float(word) for word in words[1:8]]
            yield " ".join(words[9:]), numbers[:4], numbers[4:], int(words[8])


def lines_of(file: Path) -> Iterator[list[str]]:
    """The words of every line that is no comment."""
    for line in file.read_text(encoding="utf-8").split("\n"):
        if not line.startswith("#"):
            yield line.split()


def binary_cameras(folder: Path) -> Iterator[tuple[int, Pinhole]]:
    """u64 count; per camera i32 id, i32 model, u64 width, u64 height, f64 parameters."""
    data, at = (folder / "cameras.bin").read_bytes(), 8
    for _ in range(struct.unpack_from("<Q", data)[0]):
        number, model, width, height = struct.unpack_from("<iiQQ", data, at)
        name, count = MODELS[model]
        parameters = list(struct.unpack_from(f"<{count}d", data, at + 24))
        yield number, pinhole(name, width, height, parameters)
        at += 24 + 8 * count
    check_end(at, data)


def binary_images(folder: Path) -> Iterator[Row]:
    """u64 count; per view i32 id, f64 q[4], f64 t[3], i32 camera, name and a zero byte, u64 points of 24 bytes each."""
    data, at = (folder / "images.bin").read_bytes(), 8
    for _ in range(struct.unpack_from("<Q", data)[0]):
        numbers = struct.unpack_from("<i7di", data, at)
        end = data.index(b"\0", at + 64)
        points = struct.unpack_from("<Q", data, end + 1)[0]
        yield data[at + 64 : end].decode(), list(numbers[1:5]), list(numbers[5:8]), numbers[8]
        at = end + 9 + 24 * points
    check_end(at, data)


def check_end(at: int, data: bytes) -> None:
    """Raises IndexError for a file that ends before what it announces."""
    if at > len(data):
        raise IndexError(f"{len(data)} bytes of {at}")


def pose_of(turn: list[float], shift: list[float]) -> Float64[np.ndarray, "4 4"]:
    """Camera-to-world with OpenGL's axes of a world-to-camera quaternion and translation."""
    if not 0 < (length := float(np.linalg.norm(turn))) < float("inf"):
        raise ValueError(f"a quaternion of length {length:g}")
    w, x, y, z = np.array(turn) / length
    rotation = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                         [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                         [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])
    pose = np.eye(4)
    pose[:3, :3] = rotation.T * [1, -1, -1]  # y down and z ahead become y up and z behind
    pose[:3, 3] = -rotation.T @ np.array(shift)
    return pose
