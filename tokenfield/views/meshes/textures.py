"""Pictures on surfaces, looked up at the resolution that a view can see.

A texture of a thousand texels across that covers thirty pixels cannot be sampled at points: neighbouring views would
have unrelated texels, and no field could learn them. Each texture is therefore a pyramid of halved copies
(*Pyramidal parametrics*, Williams, 1983), and each triangle reads the level whose texels are about as large as the
distance between two samples of the view.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int, UInt8
from PIL import Image

from tokenfield.views.meshes.surface import Surface, face_normals

LARGEST = 1024
"""Longer side of the largest level: finer texels show in no view that a model of today takes."""

Pyramid = list[Float32[np.ndarray, "_h _w 4"]]
"""A texture and its copies at half the size, largest first."""


def pyramid(texture: UInt8[np.ndarray, "h w 4"]) -> Pyramid:
    """A texture and its copies at half the size, down to one texel; values in [0, 1], colour times alpha."""
    image = Image.fromarray(texture)
    scale = LARGEST / max(image.size)
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BOX)
    level = np.asarray(image, np.float32) / 255
    level = np.concatenate([level[..., :3] * level[..., 3:], level[..., 3:]], -1)
    levels = [level]
    while max(level.shape[:2]) > 1:
        level = halve_rows(halve_rows(level).transpose(1, 0, 2)).transpose(1, 0, 2)
        levels.append(np.ascontiguousarray(level))
    return levels


def halve_rows(level: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "k w c"]:
    """Half as many rows, each the mean of two; an odd last row joins its neighbour, one row stays as it is."""
    rows = len(level)
    if rows == 1:
        return level
    out = (level[0 : rows - 1 : 2] + level[1:rows:2]) / 2
    if rows % 2:
        out[-1] = (level[-3] + level[-2] + level[-1]) / 3
    return out


def texture_levels(surface: Surface, spacing: float) -> Float64[np.ndarray, " f"]:
    """For each triangle, the level of its texture (0: the largest, or none) whose texels are about `spacing` large.

    `spacing` is the distance of neighbouring samples of a view on the object, in world units.
    """
    area = np.linalg.norm(face_normals(surface.corners), axis=1)
    steps = np.diff(surface.uv.astype(np.float64), axis=1)
    covered = np.abs(steps[:, 0, 0] * steps[:, 1, 1] - steps[:, 0, 1] * steps[:, 1, 0])
    shapes = [(0, 1) if m.texture is None else m.texture.shape[:2] for m in surface.materials]
    texels = np.array([h * w * min(1.0, LARGEST / max(h, w)) ** 2 for h, w in shapes])[surface.material]
    per_unit = np.sqrt(covered * texels / area)  # texels along one unit of length
    return np.maximum(0.0, np.log2(np.maximum(per_unit * spacing, 1e-30)))


class Textures:
    """Colours of the materials of a surface; `spacing` as in `texture_levels`."""

    def __init__(self, surface: Surface, spacing: float):
        self.surface = surface
        self.levels = np.round(texture_levels(surface, spacing)).astype(np.int64)
        self.base = np.array([material.colour for material in surface.materials], np.float32)
        pictures = {id(m.texture): m.texture for m in surface.materials if m.texture is not None}  # parts share them
        pyramids = {key: pyramid(texture) for key, texture in pictures.items()}
        self.pyramids = [pyramids.get(id(m.texture), []) for m in surface.materials]

    def colours(self, triangle: Int[np.ndarray, " n"],
                weights: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 4"]:
        """Red, green, blue, alpha, as displayed and in [0, 1], at points of triangles: weights of corners, sum 1."""
        surface = self.surface
        material = surface.material[triangle]
        out = self.base[material] * np.einsum("nk,nkc->nc", weights, surface.colours[triangle] / np.float32(255))
        uv = np.einsum("nk,nkc->nc", weights, surface.uv[triangle])
        pictures = material * 64 + self.levels[triangle].clip(0, 63)
        for picture in np.unique(pictures):
            here, (which, at) = pictures == picture, divmod(int(picture), 64)
            if levels := self.pyramids[which]:
                texels = bilinear(levels[min(at, len(levels) - 1)], uv[here])
                cutoff = surface.materials[which].cutoff
                if cutoff is not None:
                    texels[:, 3] = texels[:, 3] >= cutoff
                out[here] *= texels
        return out


def bilinear(level: Float32[np.ndarray, "h w 4"], uv: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 4"]:
    """Straight colours of a level (colour times alpha) at texture coordinates, repeated over the plane."""
    height, width = level.shape[:2]
    x, y = uv[:, 0] % 1 * width - 0.5, (1 - uv[:, 1] % 1) * height - 0.5  # v points upwards
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    rows, columns = (top % height, (top + 1) % height), (left % width, (left + 1) % width)
    upper = level[rows[0], columns[0]] * (1 - fx) + level[rows[0], columns[1]] * fx
    lower = level[rows[1], columns[0]] * (1 - fx) + level[rows[1], columns[1]] * fx
    mixed = upper * (1 - fy) + lower * fy
    alpha = mixed[:, 3:]
    return np.concatenate([mixed[:, :3] / np.maximum(alpha, 1e-6), alpha], 1).clip(0, 1).astype(np.float32)
