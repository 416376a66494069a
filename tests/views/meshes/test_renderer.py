"""Pictures whose pixels are known: silhouettes, texels, transparency, light that does not depend on the viewer."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
import trimesh
from view_tools import project

from tokenfield.views.meshes.renderer import LIGHTS, Renderer, sky, to_display, to_light
from tokenfield.views.meshes.surface import Material, join, plain
from tokenfield.views.meshes.textures import bilinear, pyramid, texture_levels
from tokenfield.views.rays import look_at

ANGLE = 0.6911
WHITE = (1.0, 1.0, 1.0, 1.0)


class View(NamedTuple):
    pose: np.ndarray
    size: int
    samples: int


def camera(position, size=64, samples=3):
    return View(look_at(torch.tensor(position, dtype=torch.float64)).numpy(), size, samples)


def shot(surface, view):
    return Renderer(surface, angle_x=ANGLE, size=view.size, samples=view.samples).picture(view.pose)


def ball(radius, colour=(0.7, 0.7, 0.7, 1.0), at=(0, 0, 0)):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return plain(mesh.vertices[mesh.faces] + np.array(at), Material(colour))


def test_a_spheres_silhouette_has_its_analytic_radius():
    size, radius, distance = 101, 0.8, 4.0
    view = camera((1.0, -3.0, math.sqrt(6.0)), size)
    alpha = shot(ball(radius), view)[..., 3] / 255
    # The cone that touches a sphere has the half angle asin(r / d): its picture is a disc around the middle.
    disc = size / 2 * math.tan(math.asin(radius / distance)) / math.tan(ANGLE / 2)
    assert math.sqrt(alpha.sum() / math.pi) == pytest.approx(disc, rel=5e-3)
    y, x = np.indices(alpha.shape) + 0.5 - size / 2
    assert (alpha[np.hypot(x, y) < disc - 1.5] == 1).all() and (alpha[np.hypot(x, y) > disc + 1.5] == 0).all()
    assert ((alpha > 0) & (alpha < 1)).any()  # antialiased


def test_objects_appear_where_rays_say():
    places = torch.tensor([[0.5, 0.3, 0.6], [-0.7, 0.2, -0.4]], dtype=torch.float64)
    for colour, place in zip(((1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0)), places, strict=True):
        view = camera((2.0, -3.0, 1.5), 61)
        alpha = shot(ball(0.08, colour, place.numpy()), view)[..., 3].astype(float)
        y, x = (np.indices(alpha.shape) + 0.5) / 61 * 2 - 1
        projection, _ = project(place[None], torch.from_numpy(view.pose), ANGLE, 61, 61)
        middle = [(y * alpha).sum() / alpha.sum(), (x * alpha).sum() / alpha.sum()]
        np.testing.assert_allclose(middle, projection[0], atol=0.01)


def test_a_textured_square_shows_its_texels(quad):
    colours = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 0)]], np.uint8)
    texture = np.concatenate([colours, np.full((2, 2, 1), 255, np.uint8)], -1).repeat(8, 0).repeat(8, 1)
    picture = shot(quad(Material(WHITE, texture)), camera((0.0, -4.0, 0.0)))
    assert picture[..., 3].max() == 255
    inside = np.flatnonzero(picture[32, :, 3] == 255)
    low, high = inside.min(), inside.max()
    quarter = (high - low) // 4
    for row, y in enumerate((low + quarter, high - quarter)):
        for column, x in enumerate((low + quarter, high - quarter)):
            lit, painted = picture[y, x, :3] / 255, colours[row, column] / 255
            assert lit[painted == 0].max() == 0 and lit[painted == 1].min() > 0.4


def test_fine_textures_become_their_mean_and_not_noise(quad):
    rng = np.random.default_rng(0)
    texture = np.full((1024, 1024, 4), 255, np.uint8)
    texture[..., :3] = 255 * rng.integers(0, 2, (1024, 1024, 1))  # black and white texels, far smaller than a pixel
    picture = shot(quad(Material(WHITE, texture)), camera((0.0, -4.0, 0.0), 16))
    grey = picture[4:12, 4:12, 0].astype(float)
    assert np.ptp(grey) < 0.1 * grey.mean()


def test_alpha_of_materials_textures_and_layers(quad):
    view = camera((0.0, -4.0, 0.0), 16)
    pane = quad(Material((0.2, 0.4, 0.6, 0.25)))
    single = shot(pane, view)[8, 8]
    assert single[3] == pytest.approx(64, abs=1)
    behind = pane.corners + np.float32([0, 0.5, 0])
    double = shot(join([pane, plain(behind, pane.materials[0])]), view)[8, 8]
    assert double[3] == pytest.approx(255 * (1 - 0.75**2), abs=1)
    stripes = np.full((2, 2, 4), 255, np.uint8)
    stripes[:, 0, 3] = 0
    half = shot(quad(Material(WHITE, stripes.repeat(16, 0).repeat(16, 1))), view)
    assert half[8, 6, 3] == 0 and half[8, 9, 3] == 255
    assert (half[0, 0] == [255, 255, 255, 0]).all()  # nothing is transparent white
    soft = np.full((8, 8, 4), 255, np.uint8)
    soft[..., 3] = 100
    assert shot(quad(Material(WHITE, soft, cutoff=0.5)), view)[8, 8, 3] == 0
    assert shot(quad(Material(WHITE, soft, cutoff=0.3)), view)[8, 8, 3] == 255


def test_vertex_colours_blend_over_a_triangle():
    corners = np.float32([[[-1, 0, -1], [1, 0, -1], [0, 0, 1]]])
    colours = np.uint8([[[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]]])
    picture = shot(plain(corners, Material(WHITE), colours=colours), camera((0.0, -4.0, 0.0), 61))
    inside = picture[picture[..., 3] == 255][:, :3]
    assert all(inside[:, c].max() > 120 for c in range(3))
    middle = picture[36, 30, :3].astype(float)  # about a third of the way up
    assert middle.max() - middle.min() < 40 and middle.min() > 30


def test_a_point_has_one_colour_from_everywhere():
    scene = join([ball(0.5, (0.8, 0.3, 0.2, 1.0), (0.4, 0, 0)), ball(0.5, (0.2, 0.3, 0.8, 1.0), (-0.4, 0, 0.2))])
    point = torch.tensor([[0.4, -0.5, 0.0]], dtype=torch.float64)
    projection = []
    for position in ((0.0, -4.0, 0.0), (1.0, -3.7, 1.0), (0.5, -3.8, -1.0)):
        view = camera(position, 96)
        at, _ = project(point, torch.from_numpy(view.pose), ANGLE, 96, 96)
        y, x = ((at[0] + 1) / 2 * 96).int().tolist()
        projection.append(shot(scene, view)[y, x, :3].astype(float))
    assert np.ptp(np.stack(projection), axis=0).max() <= 5


def test_corners_are_darker_than_open_surfaces_and_nothing_is_brighter_than_its_colour(quad):
    floor = plain(np.float32([[[-1, -1, 0], [1, -1, 0], [1, 1, 0]], [[-1, -1, 0], [1, 1, 0], [-1, 1, 0]]]), Material())
    wall = plain(floor.corners[..., [0, 2, 1]] + np.float32([0, 0.3, 0.9]), Material())
    alone, walled = (shot(s, camera((0.0, -2.0, 3.4), 48))[..., 0].astype(float) for s in (floor, join([floor, wall])))
    row = 24
    assert walled[row - 2, 24] < 0.9 * alone[row - 2, 24]
    assert alone.min() >= 0 and alone[alone < 255].max() <= math.ceil(0.7 * 255)


def test_unshaded_surfaces_carry_no_noise(quad):
    picture = shot(quad(), camera((0.0, -4.0, 0.0), 32))
    assert len(np.unique(picture[10:22, 10:22].reshape(-1, 4), axis=0)) == 1


def test_rendering_is_deterministic_and_samples_agree():
    scene, view = ball(0.9), camera((3.0, 1.0, 2.0), 32)
    assert np.array_equal(shot(scene, view), shot(scene, view))
    coarse, fine = (shot(scene, camera((3.0, 1.0, 2.0), 32, samples)).astype(float) for samples in (2, 6))
    assert abs(coarse[..., 3].mean() - fine[..., 3].mean()) < 1
    solid = (coarse[..., 3] == 255) & (fine[..., 3] == 255)
    assert abs(coarse - fine)[solid].max() <= 6


def test_the_sky_is_whole_and_its_light_is_one_at_most():
    towards, bright = sky()
    np.testing.assert_allclose(np.linalg.norm(towards, axis=1), 1, atol=1e-6)
    assert len(towards) == LIGHTS and np.linalg.norm(towards.mean(0)) < 0.02 and (bright > 0).all()
    directions = np.random.default_rng(0).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    light = np.maximum(0, directions @ towards.T) @ bright
    assert light.max() < 1.03 and light.min() > 0.15
    shown = np.linspace(0, 1, 97, dtype=np.float32)
    np.testing.assert_allclose(to_display(to_light(shown)), shown, atol=1e-6)


def test_an_object_outside_the_view_leaves_it_empty():
    picture = shot(ball(0.1, at=(30, 0, 0)), camera((0.0, -4.0, 0.0), 8))
    assert (picture == [255, 255, 255, 0]).all()


@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (16, 2), (3, 8)])
def test_every_level_of_a_pyramid_has_the_mean_of_the_texture(shape):
    texture = np.random.default_rng(0).integers(0, 256, (*shape, 4)).astype(np.uint8)
    levels = pyramid(texture)
    assert levels[-1].shape == (1, 1, 4)
    if all(side & (side - 1) == 0 for side in shape):  # odd rows weigh differently
        for level in levels:
            np.testing.assert_allclose(level.mean((0, 1)), levels[0].mean((0, 1)), atol=1e-6)


def test_textures_are_looked_up_with_v_upwards_and_repeat():
    level = np.random.default_rng(0).random((4, 8, 4), np.float32)
    level[..., 3] = 1
    rows, columns = np.indices((4, 8))
    uv = np.stack([(columns.ravel() + 0.5) / 8, 1 - (rows.ravel() + 0.5) / 4], 1).astype(np.float32)
    np.testing.assert_allclose(bilinear(level, uv), level.reshape(-1, 4), atol=1e-5)
    np.testing.assert_allclose(bilinear(level, uv + np.float32([3, -2])), level.reshape(-1, 4), atol=1e-4)


def test_levels_follow_the_size_of_texels(quad):
    texture = np.zeros((256, 256, 4), np.uint8)
    surface = quad(Material(texture=texture))  # 256 texels over 2 units
    for doublings in (0, 1, 3):
        np.testing.assert_allclose(texture_levels(surface, 2 / 256 * 2**doublings), doublings, atol=1e-5)
    assert (texture_levels(quad(), 1.0) == 0).all()
