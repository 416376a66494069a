"""Rays against triangles: Embree, behind two questions.

Embree keeps its triangles in float32 in a tree of boxes; a ray costs about a microsecond on one core. It is reached
through `embreex`, which `trimesh` uses too; it is imported when the first surface is traced.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from tokenfield.errors import UserError

INSTALL = "pip install trimesh embreex"
"""What to type where one of the two is missing."""


class Hits(NamedTuple):
    """The first triangle along each ray.

    Attributes:
        triangle: its index, -1 where the ray meets none.
        u, v: weights of the triangle's second and third corner at the point that is met.
        distance: to that point, in lengths of the ray's direction.
    """

    triangle: Int32[np.ndarray, " n"]
    u: Float32[np.ndarray, " n"]
    v: Float32[np.ndarray, " n"]
    distance: Float32[np.ndarray, " n"]


class Tracer:
    """Triangles, ready for rays."""

    def __init__(self, corners: Float32[np.ndarray, "f 3 3"]):
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise UserError(f"rendering meshes needs embreex, which is not installed ({error}); {INSTALL}") from error
        self.scene = EmbreeScene()
        TriangleMesh(self.scene, np.ascontiguousarray(corners))

    def first(self, origins: Float32[np.ndarray, "n 3"], directions: Float32[np.ndarray, "n 3"]) -> Hits:
        """What each ray meets first."""
        if not len(origins):
            none = np.zeros(0, np.float32)
            return Hits(np.zeros(0, np.int32), none, none, none)
        hit = self.scene.run(np.ascontiguousarray(origins), np.ascontiguousarray(directions), output=True)
        return Hits(hit["primID"], hit["u"], hit["v"], hit["tfar"])

    def free(self, origins: Float32[np.ndarray, "n 3"], directions: Float32[np.ndarray, "n 3"]) -> np.ndarray:
        """Which rays meet nothing at all: (n,) booleans."""
        if not len(origins):
            return np.zeros(0, bool)
        return self.scene.run(np.ascontiguousarray(origins), np.ascontiguousarray(directions), query="OCCLUDED") < 0
