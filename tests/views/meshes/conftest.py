"""Meshes whose pictures are known in advance."""

import numpy as np
import pytest

from tokenfield.views.meshes.surface import Material, plain


@pytest.fixture
def quad():
    """`quad(material, uv)`: a square of side 2 around the origin in the plane y = 0, seen from the negative y side."""

    def build(material=None, side=1.0):
        a, b, c, d = [-side, 0, -side], [side, 0, -side], [side, 0, side], [-side, 0, side]
        corners = np.array([[a, b, c], [a, c, d]], np.float32)
        uv = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)
        return plain(corners, material or Material(), uv)

    return build
