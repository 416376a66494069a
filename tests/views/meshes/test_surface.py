"""Surfaces: what is dropped, where they end up, and normals of shapes whose normals are known."""

import numpy as np
import pytest
import trimesh

from tokenfield.views.meshes.surface import Material, MeshError, fit_sphere, join, plain, rotate, smooth_normals


def triangles(mesh):
    return np.asarray(mesh.vertices, np.float32)[mesh.faces]


@pytest.mark.parametrize("up", ["y", "z"])
def test_objects_stand_upright_in_the_middle_of_their_sphere(up):
    box = triangles(trimesh.creation.box((3.0, 5.0, 7.0))) + np.float32([11, -13, 17])
    surface = fit_sphere(plain(box, Material()), up, 1.2)
    points = surface.corners.reshape(-1, 3)
    np.testing.assert_allclose(points.min(0), -points.max(0), atol=1e-6)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(1.2, abs=1e-6)
    sides = np.array([3, 7, 5] if up == "y" else [3, 5, 7])
    np.testing.assert_allclose(np.ptp(points, axis=0) / sides, 2.4 / np.linalg.norm(sides) * np.ones(3), rtol=1e-5)


def test_y_up_becomes_z_up_without_a_mirror():
    tall = np.array([[[0, 0, 0], [0, 4, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 4, 0]]], np.float32)
    points = fit_sphere(plain(tall, Material()), "y", 1.0).corners.reshape(-1, 3)
    heights = points[:, 2]
    assert heights[1] == heights.max() and heights[1] - heights[0] > np.ptp(points[:, 0])
    axes = np.linalg.det(np.stack([points[2] - points[0], points[1] - points[0], points[4] - points[0]]))
    assert axes * np.linalg.det(np.stack([tall[0, 2], tall[0, 1], tall[1, 1]])) > 0


def test_triangles_without_area_or_number_are_left_out():
    good = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    bad = [good * 0, good[[0, 1, 1]], good * np.float32(np.nan), good + np.float32([np.inf, 0, 0])]
    assert len(fit_sphere(plain(np.stack([good, *bad]), Material()), "z", 1.0)) == 1
    with pytest.raises(MeshError, match="no triangles"):
        fit_sphere(plain(np.stack(bad), Material()), "z", 1.0)


def test_joined_surfaces_keep_their_own_materials():
    one = np.zeros((2, 3, 3), np.float32)
    looks = [Material((0.1 * i, 0.0, 0.0, 1.0)) for i in range(5)]
    whole = join([plain(one, looks[0]), join([plain(one, looks[1]), plain(one, looks[2])]), plain(one, looks[3])])
    assert [whole.materials[m].colour[0] for m in whole.material] == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3])


def test_a_rotation_turns_points():
    around_z = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    surface = rotate(plain(np.float32([[[1, 0, 0], [0, 2, 0], [0, 0, 3]]]), Material()), around_z)
    np.testing.assert_allclose(surface.corners[0], [[0, 1, 0], [-2, 0, 0], [0, 0, 3]], atol=1e-7)


def test_a_cube_is_sharp_and_a_sphere_is_round():
    cube = triangles(trimesh.creation.box())
    flat = np.cross(cube[:, 1] - cube[:, 0], cube[:, 2] - cube[:, 0])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(smooth_normals(cube), np.repeat(flat[:, None], 3, 1), atol=1e-6)
    sphere = triangles(trimesh.creation.icosphere(subdivisions=3))
    assert np.abs(smooth_normals(sphere) - sphere).max() < 0.02


def test_a_cylinder_is_round_along_its_side_and_sharp_at_its_rim():
    mesh = triangles(trimesh.creation.cylinder(radius=1.0, height=2.0, sections=40))
    normals = smooth_normals(mesh)
    side = np.abs(np.cross(mesh[:, 1] - mesh[:, 0], mesh[:, 2] - mesh[:, 0])[:, 2]) < 1e-6
    radial = mesh[side] * [1, 1, 0]
    np.testing.assert_allclose(normals[side], radial / np.linalg.norm(radial, axis=-1, keepdims=True), atol=0.05)
    np.testing.assert_allclose(np.abs(normals[~side][..., 2]), 1, atol=1e-6)  # 40 corners meet in a cap's middle


def test_faces_turned_inside_out_do_not_cancel_their_neighbours():
    sphere = triangles(trimesh.creation.icosphere(subdivisions=3))
    flipped = sphere.copy()
    flipped[::2] = flipped[::2, ::-1]
    along = np.abs((smooth_normals(flipped) * flipped).sum(-1))
    assert along.min() > 0.999
