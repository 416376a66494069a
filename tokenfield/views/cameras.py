"""Pinhole cameras as data sets write them down, and the one camera per object that models take.

A model of views knows one horizontal field of view per object, square pixels and an optical axis through the middle of
the picture. A pinhole camera of any focal lengths and principal point becomes such a one without any loss but of its
border: the picture is cut to a rectangle around its principal point, as wide as high in angle, and brought to a square.
All views of an object share the largest angle that every one of them holds.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from tokenfield.io.atomic import shown

DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
PINHOLES = ("", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE")
"""Camera models that are a pinhole where nothing is distorted."""
NEGLIGIBLE = 1e-6
"""Distortion coefficients below this move no pixel of any picture."""
WORTH_A_LINE = 0.02
"""Shares of a picture below which cutting it away is not worth a line."""

Boxes = Float64[np.ndarray, "n 4"]
"""(left, top, right, bottom) of each view that is used, as shares of its width and height."""


@dataclass(frozen=True)
class Pinhole:
    """Focal lengths and principal point of a picture of `width` x `height`, all in pixels of one size."""

    focal: tuple[float, float]
    centre: tuple[float, float]
    width: float | int
    height: float | int

    def __post_init__(self) -> None:
        numbers = (*self.focal, *self.centre, self.width, self.height)
        if not all(map(math.isfinite, numbers)) or min(*self.focal, self.width, self.height) <= 0:
            raise ValueError(f"a camera of focal lengths {self.focal[0]:g}, {self.focal[1]:g} and {self.width:g} x "
                             f"{self.height:g} pixels")
        if not (0 < self.centre[0] < self.width and 0 < self.centre[1] < self.height):
            raise ValueError(f"a principal point {self.centre[0]:g}, {self.centre[1]:g} outside the picture of "
                             f"{self.width:g} x {self.height:g} pixels")

    @property
    def reach(self) -> float:
        """Tangent of the largest angle from the axis that the picture holds to all four sides."""
        across, down = (min(c, n - c) / f for c, n, f in zip(self.centre, (self.width, self.height), self.focal,
                                                              strict=True))
        return min(across, down)

    def box(self, reach: float) -> tuple[float, float, float, float]:
        """What is within an angle's tangent from the axis along either axis, as shares of the picture."""
        (fx, fy), (cx, cy) = self.focal, self.centre
        return ((cx - reach * fx) / self.width, (cy - reach * fy) / self.height,
                (cx + reach * fx) / self.width, (cy + reach * fy) / self.height)


def pinhole_of(meta: Mapping[str, object]) -> Pinhole | None:
    """The camera that fields of a `transforms.json` describe; None where they give a field of view alone.

    Raises ValueError, in words that follow the object's name, for what is no pinhole or makes no sense.
    """
    if meta.get("is_fisheye") or str(meta.get("camera_model", "")).upper() not in PINHOLES:
        raise ValueError(f"camera_model {str(meta.get('camera_model', 'fisheye'))[:30]} is not supported; pinhole "
                         "cameras are: undistort the pictures first")
    numbers = {key: number(meta, key) for key in ("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_angle_x",
                                                  "camera_angle_y", *DISTORTION)}
    bent = [f"{key} {value:g}" for key in DISTORTION if abs(value := numbers[key] or 0.0) > NEGLIGIBLE]
    if bent:
        raise ValueError(f"lens distortion ({', '.join(bent)}) is not supported; undistort the pictures first, such as "
                         "with colmap image_undistorter")
    width, height, fl_x, fl_y = (numbers[key] for key in ("w", "h", "fl_x", "fl_y"))
    if width is None:
        if fl_x is not None and numbers["camera_angle_x"] is None:
            raise ValueError("fl_x is given in pixels and w, the width of the pictures, is not; add it")
        return None
    height = width if height is None else height
    if fl_x is None and numbers["camera_angle_x"] is not None:
        fl_x = width / 2 / math.tan(angle("camera_angle_x", numbers["camera_angle_x"]) / 2)
    if fl_y is None and numbers["camera_angle_y"] is not None:
        fl_y = height / 2 / math.tan(angle("camera_angle_y", numbers["camera_angle_y"]) / 2)
    focal = fl_x or fl_y
    if focal is None:
        raise ValueError("lacks camera_angle_x or fl_x")
    cx, cy = numbers["cx"], numbers["cy"]
    return Pinhole((fl_x or focal, fl_y or focal), (width / 2 if cx is None else cx, height / 2 if cy is None else cy),
                   width, height)


def number(meta: Mapping[str, object], key: str) -> float | None:
    """A number of a JSON object; None where it is not there. Raises ValueError for another thing."""
    value = meta.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{key} is {str(value)[:30]!r}, not a number")
    return None if value is None else float(value)


def angle(name: str, value: float) -> float:
    """A field of view in radians. Raises ValueError for none."""
    if not 0 < value < math.pi:
        raise ValueError(f"{name} is {value:g}, not between 0 and pi")
    return value


def common(cameras: Sequence[Pinhole], where: object) -> tuple[float, Boxes]:
    """The horizontal field of view that all views of an object have, radians, and what of each picture shows it.

    Warns where much of a picture is cut away.
    """
    reach = min(camera.reach for camera in cameras)
    boxes = np.array([camera.box(reach) for camera in cameras]).clip(0, 1)
    share = float(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).min())
    if share < 1 - WORTH_A_LINE:
        warnings.warn(f"{shown(where)}: views are cut to the square around their principal point that all of them "
                      f"hold; of one {share:.0%} is left", stacklevel=2)
    return 2 * math.atan(reach), boxes
