"""A surface and a pose become an RGBA picture: soft light from all around, transparency, antialiasing.

The light is a sky: bright above, dimmer below, brightest around one direction. It is fixed in the world, so that a
point of the object has one colour from every side, which is what a field of colours can represent. The sky is
`LIGHTS` directional lights spread evenly over the sphere. What they give an unshaded surface is summed exactly; how
much of it the object itself keeps away is measured with rays towards a part of the lights, another part for every
sample of a pixel. Where nothing is in the way, no noise remains.

Colours are taken as displayed (sRGB), lit in proportion to light, and displayed again. A pixel is the mean of
`samples` x `samples` points; samples that meet nothing count as transparent, and alpha is straight in the result.

Rays are traced by Embree, which keeps triangles in float32 in a tree of boxes; a ray costs about a microsecond on one
core.
"""

import math

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.views.meshes.files import INSTALL
from tokenfield.views.meshes.surface import Surface, face_normals, smooth_normals
from tokenfield.views.meshes.textures import Textures
from tokenfield.views.rays import RADIUS, view_rays

LIGHTS = 72
"""Directions of light in all."""

LAYERS = 6
"""Transparent surfaces that a ray passes at most."""

BOUNCE = 0.25
"""Share of the light that reaches every corner, in place of light reflected by the object itself."""

STEP = 1e-4
"""How far from a surface the next ray begins, world units; the object is about 2 large."""


def sky() -> tuple[Float32[np.ndarray, "l 3"], Float32[np.ndarray, " l"]]:
    """Directions towards the lights and the brightness of each; a surface that faces the brightest part gets 1."""
    i = np.arange(LIGHTS)
    z = 1 - (2 * i + 1) / LIGHTS  # equal areas; azimuths by the golden angle spread evenly at any number
    turn = i * math.pi * (3 - math.sqrt(5))
    level = np.sqrt(1 - z * z)
    towards = np.stack([level * np.cos(turn), level * np.sin(turn), z], 1)
    key = np.array([0.45, -0.55, 0.7]) / np.linalg.norm([0.45, -0.55, 0.7])
    bright = 0.6 + 0.3 * z + 1.2 * np.maximum(0, towards @ key) ** 3
    most = (bright * np.maximum(0, towards @ key)).sum()
    return towards.astype(np.float32), (bright / most).astype(np.float32)


def to_light(displayed: Float32[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
    """Displayed values in [0, 1] to amounts of light (sRGB, IEC 61966-2-1)."""
    return np.where(displayed <= 0.04045, displayed / 12.92, ((displayed + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_display(light: Float32[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
    """The inverse of `to_light`."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


class Renderer:
    """A surface, z up and around the origin (`surface.fit_sphere`), ready to be rendered.

    `angle_x` is the cameras' horizontal field of view in radians, `size` the pictures' side in pixels, and textures are
    sharp at `distance` world units.
    """

    def __init__(self, surface: Surface, *, angle_x: float, size: int, samples: int = 3, distance: float = RADIUS):
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise UserError(f"rendering meshes needs embreex, which is not installed ({error}); {INSTALL}") from error
        self.surface, self.angle_x, self.size, self.samples = surface, angle_x, size, samples
        self.across = size * samples
        self.scene = EmbreeScene()
        TriangleMesh(self.scene, np.ascontiguousarray(surface.corners))
        self.normals = smooth_normals(surface.corners)
        flat = face_normals(surface.corners)
        self.flat = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
        self.textures = Textures(surface, spacing=2 * distance * math.tan(angle_x / 2) / self.across)
        self.towards, self.bright = sky()

    def picture(self, pose: Float64[np.ndarray, "4 4"]) -> UInt8[np.ndarray, "s s 4"]:
        """Red, green, blue and straight alpha; where there is no surface, transparent white.

        `pose` is camera-to-world, with OpenGL axes and z up in the world.
        """
        grid = Grid.cells(self.across, self.across).to(torch.float64)
        angle = torch.tensor(self.angle_x, dtype=torch.float64)
        rays = view_rays(torch.from_numpy(pose), angle, grid, 1, 1)
        colours = self.along(*(np.ascontiguousarray(part.numpy(), np.float32) for part in rays))
        blocks = colours.reshape(self.size, self.samples, self.size, self.samples, 4)
        mean = blocks.mean((1, 3), dtype=np.float64)  # colours times alpha
        alpha = mean[..., 3:]
        colour = np.where(alpha > 0, mean[..., :3] / np.maximum(alpha, 1e-9), 1.0)
        return np.rint(np.concatenate([colour, alpha], -1).clip(0, 1) * 255).astype(np.uint8)

    def along(self, origins: Float32[np.ndarray, "n 3"],
              directions: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 4"]:
        """The rays of a view's samples, from front to back: colour as displayed times alpha, and alpha."""
        out = np.zeros((len(origins), 4), np.float32)
        transmittance = np.ones(len(origins), np.float32)  # the share of a ray that goes on
        active = np.arange(len(origins))
        start = origins
        for _ in range(LAYERS):
            if not len(active):  # Embree takes no empty lists
                break
            hits = self.scene.run(start, directions[active], output=True)
            met = hits["primID"] >= 0
            active, start = active[met], start[met]
            triangle, u, v, distance = (hits[key][met] for key in ("primID", "u", "v", "tfar"))
            weights = np.stack([1 - u - v, u, v], 1)
            colour = self.textures.colours(triangle, weights)
            point = start + distance[:, None] * directions[active]
            share = transmittance[active] * colour[:, 3]
            row, column = np.divmod(active, self.across)
            sample = row % self.samples * self.samples + column % self.samples  # its number within its pixel
            lit = self.lit(point, directions[active], triangle, weights, colour, sample, share > 0.004)
            out[active] += share[:, None] * np.concatenate([lit, np.ones_like(lit[:, :1])], 1)
            transmittance[active] *= 1 - colour[:, 3]
            on = transmittance[active] > 0.004
            active, start = active[on], (point + STEP * directions[active])[on]
        return out

    def lit(self, point: np.ndarray, direction: np.ndarray, triangle: np.ndarray, weights: np.ndarray,
            colour: np.ndarray, sample: np.ndarray, matters: np.ndarray) -> Float32[np.ndarray, "n 3"]:
        """Displayed colours of points in the sky's light; shadows only for points that `matters` is true of."""
        flat = self.flat[triangle]
        flat = np.where((flat * direction).sum(1, keepdims=True) > 0, -flat, flat)  # towards the camera
        normal = np.einsum("nk,nkc->nc", weights, self.normals[triangle])
        normal = np.where((normal * flat).sum(1, keepdims=True) < 0, -normal, normal)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        light = np.maximum(0, normal @ self.towards.T) @ self.bright  # (n,), if nothing were in the way
        visible = np.ones(len(point), np.float32)
        visible[matters] = self.visible_share((point + STEP * flat)[matters], normal[matters], flat[matters],
                                              sample[matters])
        light = light * (BOUNCE + (1 - BOUNCE) * visible)
        return to_display(to_light(colour[:, :3]) * light[:, None])

    def visible_share(self, start: np.ndarray, normal: np.ndarray, flat: np.ndarray,
                      sample: np.ndarray) -> Float32[np.ndarray, " n"]:
        """Share of the light on a point that nothing keeps away, by every ninth light, beginning at `sample`."""
        stride = LIGHTS // 8
        which = (sample[:, None] % stride + stride * np.arange(8)) % LIGHTS  # (n, 8)
        towards = self.towards[which]  # (n, 8, 3)
        gives = np.maximum(0, np.einsum("nlx,nx->nl", towards, normal)) * self.bright[which]
        gives[np.einsum("nlx,nx->nl", towards, flat) <= 0] = 0.0  # behind the triangle itself
        row, column = np.nonzero(gives)
        if not len(row):
            return np.ones(len(start), np.float32)
        free = self.scene.run(start[row], towards[row, column], query="OCCLUDED") < 0
        passed = np.bincount(row, gives[row, column] * free, minlength=len(start))
        total = np.maximum(gives.sum(1), 1e-9)
        return np.where(gives.sum(1) > 0, passed / total, 1.0).astype(np.float32)
