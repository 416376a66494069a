"""Surfaces: triangles with what it takes to shade them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from tokenfield.data.decoding import PictureError

CREASE = 45.0
"""Degrees between two faces up to which their common edge is shaded as round, and beyond which it is sharp."""

MOST_AROUND = 32
"""Corners at one point that are compared pair by pair; of more, every one is compared with their mean."""

MAX_TRIANGLES = 5_000_000
"""Triangles of the largest surface that is worked on: about 1 GB."""

Up = Literal["y", "z"]


class MeshError(PictureError):
    """A mesh that no views can be made of; folder runs name it and go on."""


@dataclass(frozen=True)
class Material:
    """What a triangle looks like."""

    colour: tuple[float, float, float, float] = (0.7, 0.7, 0.7, 1.0)  # RGBA as displayed; multiplies the texture
    texture: UInt8[np.ndarray, "h w 4"] | None = None  # a picture, repeated over the plane
    cutoff: float | None = None  # alpha below it is a hole and above it solid; None lets alpha blend


@dataclass(frozen=True)
class Surface:
    """Triangles. Every corner of every triangle has its own values."""

    corners: Float32[np.ndarray, "f 3 3"]
    uv: Float32[np.ndarray, "f 3 2"]  # u to the right, v upwards, the picture covers [0, 1]
    colours: UInt8[np.ndarray, "f 3 4"]  # of the vertices, multiplied by the material's; white where a file has none
    material: Int64[np.ndarray, " f"]  # of each triangle, an index into `materials`
    materials: tuple[Material, ...]

    def __len__(self) -> int:
        return len(self.corners)

    def keep(self, which: np.ndarray) -> "Surface":
        """Some of the triangles."""
        return replace(self, corners=self.corners[which], uv=self.uv[which], colours=self.colours[which],
                       material=self.material[which])


def plain(corners: np.ndarray, material: Material, uv: np.ndarray | None = None,
          colours: np.ndarray | None = None) -> Surface:
    """Triangles of one material."""
    count = len(corners)
    uv = np.zeros((count, 3, 2), np.float32) if uv is None else np.asarray(uv, np.float32)
    colours = np.full((count, 3, 4), 255, np.uint8) if colours is None else np.asarray(colours, np.uint8)
    return Surface(np.asarray(corners, np.float32), uv, colours, np.zeros(count, np.int64), (material,))


def join(parts: Sequence[Surface]) -> Surface:
    """One surface of several; at least one part."""
    starts = np.cumsum([0, *(len(part.materials) for part in parts)])
    return Surface(np.concatenate([part.corners for part in parts]), np.concatenate([part.uv for part in parts]),
                   np.concatenate([part.colours for part in parts]),
                   np.concatenate([part.material + start for part, start in zip(parts, starts, strict=False)]),
                   tuple(material for part in parts for material in part.materials))


def rotate(surface: Surface, rotation: Float64[np.ndarray, "3 3"]) -> Surface:
    """The surface with every point multiplied by a matrix."""
    return replace(surface, corners=(surface.corners.astype(np.float64) @ rotation.T).astype(np.float32))


def face_normals(corners: Float32[np.ndarray, "f 3 3"]) -> Float64[np.ndarray, "f 3"]:
    """Normals of triangles, twice their area long."""
    edges = np.diff(corners.astype(np.float64), axis=1)
    return np.cross(edges[:, 0], edges[:, 1])


STAND_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Turns y up into z up: (x, y, z) -> (x, -z, y)."""


def fit_sphere(surface: Surface, up: Up, radius: float) -> Surface:
    """The surface as the cameras expect it: z up, the middle of its bounding box at the origin, inside a sphere.

    The farthest vertex touches the sphere. Triangles without area or with a coordinate that is not finite are left out;
    raises MeshError where none is left, or too many are.
    """
    with np.errstate(all="ignore"):
        surface = surface.keep(np.isfinite(surface.corners).all((1, 2)) & np.isfinite(surface.uv).all((1, 2)))
        area = np.linalg.norm(face_normals(surface.corners), axis=1)
        surface = surface.keep(np.isfinite(area) & (area > 0))
    if not len(surface):
        raise MeshError("the mesh", "has no triangles with an area")
    if len(surface) > MAX_TRIANGLES:
        raise MeshError("the mesh", f"has {len(surface)} triangles; at most {MAX_TRIANGLES} are worked on")
    corners = surface.corners.astype(np.float64)
    if up == "y":
        corners = corners @ STAND_UP.T
    flat = corners.reshape(-1, 3)
    flat -= (flat.min(0) + flat.max(0)) / 2
    flat *= radius / np.linalg.norm(flat, axis=1).max()
    return replace(surface, corners=corners.astype(np.float32))


def smooth_normals(corners: Float32[np.ndarray, "f 3 3"]) -> Float32[np.ndarray, "f 3 3"]:
    """A unit normal for every corner: round where faces meet at less than `CREASE`, sharp elsewhere.

    A corner's normal is the mean, weighted by area, of those faces at its point that are within the crease angle of its
    own. A face turned inside out counts as if it were not: meshes of the world are not consistent about that. Normals
    in files are not used, since as many files lack them or have them wrong.
    """
    weighted = face_normals(corners)
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-30)
    extent = max(float(np.abs(corners).max()), 1e-30)
    places = np.round(corners.reshape(-1, 3) / (extent * 1e-5)).astype(np.int64)
    _, point = np.unique(places, axis=0, return_inverse=True)  # (3 F,), which corners lie at one place
    order = np.argsort(point, kind="stable")
    around = np.bincount(point)  # corners at each point
    begin = np.cumsum(around) - around
    out = np.repeat(unit, 3, 0)
    bound = np.cos(np.radians(CREASE))
    for count in np.unique(around[around > 1]):
        groups = order[begin[around == count][:, None] + np.arange(count)]  # (G, count) corners
        for part in np.array_split(groups, max(1, groups.size * min(count, MOST_AROUND) // 4_000_000)):
            own, weight = unit[part // 3], weighted[part // 3]  # (G, count, 3)
            if count <= MOST_AROUND:
                towards = np.einsum("gix,gjx->gij", own, own)
                near = np.where(np.abs(towards) >= bound, np.sign(towards), 0.0)
                mean = np.einsum("gij,gjx->gix", near, weight)
            else:
                first = np.sign(np.einsum("gjx,gx->gj", own, own[:, 0]))
                mean = np.broadcast_to((first[..., None] * weight).sum(1, keepdims=True), own.shape)
            mean = mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-30)
            towards = (mean * own).sum(-1, keepdims=True)
            out[part] = np.where(np.abs(towards) >= bound, np.sign(towards) * mean, own)
    return out.reshape(-1, 3, 3).astype(np.float32)
