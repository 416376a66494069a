"""Cameras and rays by mathematics: projection and its inverse, Plucker coordinates of a line, poses that look."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from view_tools import project

from tokenfield.coords import Grid
from tokenfield.views import rays as r
from tokenfield.views.models.base import LightFieldModel, RadianceModel
from tokenfield.views.radiance_field import Integral

GOLDEN = Path(__file__).parents[1] / "golden"
HEIGHT, WIDTH, ANGLE = 5, 7, 0.83


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def poses(count, seed=0):
    return r.look_at(r.on_sphere(numbers(count, seed=seed), numbers(count, seed=seed + 1).clamp(-1.2, 1.2)))


@pytest.mark.parametrize("name", ["ipc_nerf", "anr_nerf", "transinr_nerf"])
def test_rays_are_those_of_the_compared_code(name):
    with np.load(GOLDEN / f"{name}_dev_io.npz") as io:
        camera, focal = torch.from_numpy(io["query_poses"]), torch.from_numpy(io["query_focals"])
        origins, directions = torch.from_numpy(io["rays_o"]), torch.from_numpy(io["rays_d"])
    height, width = origins.shape[-3:-1]
    full = torch.cat([camera, torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(*camera.shape[:-2], 1, 4)], -2)
    angle = 2 * torch.atan(0.5 * width / focal[..., 0])
    ours = r.view_rays(full, angle, Grid.cells(height, width), height, width)
    torch.testing.assert_close(ours[0].unflatten(-2, (height, width)), origins, rtol=0, atol=0)
    unit = directions / directions.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(ours[1].unflatten(-2, (height, width)), unit, rtol=0, atol=5e-7)
    torch.testing.assert_close(r.focals_of(angle, width), focal, rtol=1e-6, atol=0)


def test_rays_at_pixel_centres_are_the_pictures_rays():
    camera, angle = poses(3), torch.tensor([0.3, 0.7, 1.1], dtype=torch.float64)
    origins, directions = r.rays(camera[:, :3], r.focals_of(angle, WIDTH), HEIGHT, WIDTH)
    ours = r.view_rays(camera, angle, Grid.cells(HEIGHT, WIDTH), HEIGHT, WIDTH)
    torch.testing.assert_close(ours[0], origins.flatten(1, 2), rtol=0, atol=0)
    unit = directions / directions.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(ours[1], unit.flatten(1, 2), rtol=0, atol=1e-7)  # coordinates of a grid are float32


@given(st.integers(0, 1000), st.floats(0.05, 2.5), st.integers(1, 97), st.integers(1, 89), st.floats(0.1, 50))
def test_points_on_a_ray_project_to_its_pixel(seed, angle, height, width, far):
    camera, at = poses(1, seed)[0], numbers(11, 2, seed=seed).clamp(-1, 1)
    origins, directions = r.view_rays(camera, torch.tensor(angle).double(), at, height, width)
    places, depth = project(origins + far * directions, camera, float(torch.tensor(angle)), height, width)
    torch.testing.assert_close(places, at, rtol=0, atol=1e-9)
    assert (depth > 0).all() and (depth <= far + 1e-9).all()


@given(st.integers(0, 1000), st.floats(-9, 9), st.floats(0.01, 100))
def test_plucker_coordinates_are_the_same_from_every_point_of_the_line(seed, along, length):
    origins, directions = numbers(13, 3, seed=seed), numbers(13, 3, seed=seed + 1)
    line = r.plucker(origins, directions)
    torch.testing.assert_close(r.plucker(origins + along * directions, length * directions), line, rtol=0, atol=1e-10)
    direction, moment = line.split(3, -1)
    torch.testing.assert_close(direction.norm(dim=-1), torch.ones(13).double())
    torch.testing.assert_close((direction * moment).sum(-1), torch.zeros(13).double(), rtol=0, atol=1e-12)
    closest = torch.linalg.cross(direction, moment)  # the point of the line nearest to the origin
    torch.testing.assert_close(moment.norm(dim=-1), closest.norm(dim=-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(r.plucker(closest, direction), line, rtol=0, atol=1e-12)


@given(st.integers(0, 1000), st.floats(-9, 9), st.floats(0.01, 100))
def test_a_line_has_one_foot(seed, along, length):
    """The point of it that is nearest to the origin, and the Plucker moment turned a quarter."""
    origins, directions = numbers(13, 3, seed=seed), numbers(13, 3, seed=seed + 1)
    line, (direction, moment) = r.foot(origins, directions), r.plucker(origins, directions).split(3, -1)
    torch.testing.assert_close(r.foot(origins + along * directions, length * directions), line, rtol=0, atol=1e-10)
    torch.testing.assert_close(4 * line[:, :3], direction)
    torch.testing.assert_close(line[:, 3:6], torch.linalg.cross(direction, moment), rtol=0, atol=1e-12)


def test_near_the_origin_products_of_feet_tell_how_near_two_rays_are():
    rows = r.foot(*r.view_rays(poses(1, 3)[0], torch.tensor(0.6).double(), numbers(11, 2).clamp(-1, 1), 5, 7))
    assert (rows[:, 3:6].norm(dim=-1) < r.REACH).all()
    apart = (rows[:, None] - rows).square().sum(-1)
    torch.testing.assert_close(rows @ rows.T, r.REACH**2 + 1 / 16 - apart / 2)


def test_a_line_backwards_is_another_ray():
    origins, directions = numbers(5, 3), numbers(5, 3, seed=1)
    torch.testing.assert_close(r.plucker(origins, -directions), -r.plucker(origins, directions))
    assert (r.foot(origins, -directions) - r.foot(origins, directions)).abs().amax(-1).gt(0.1).all()


def test_cameras_are_right_handed_upright_and_look_at_their_target():
    position, target = numbers(17, 3) * 3, (0.3, -0.2, 0.5)
    pose = r.look_at(position, target)
    turn = pose[:, :3, :3]
    torch.testing.assert_close(turn.mT @ turn, torch.eye(3).double().expand(17, 3, 3), rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(17).double())
    torch.testing.assert_close(pose[:, :3, 3], position)
    assert torch.equal(pose[:, 3], torch.tensor([0.0, 0, 0, 1]).double().expand(17, 4))
    assert turn[:, 2, 0].abs().max() < 1e-12 and (turn[:, 2, 1] > 0).all()  # right is level, up points upwards
    for camera in pose:
        places, depth = project(torch.tensor([target], dtype=torch.float64), camera, ANGLE, HEIGHT, WIDTH)
        assert places.abs().max() < 1e-12 and depth > 0
        higher = torch.tensor([[*target[:2], target[2] + 0.01]], dtype=torch.float64)
        above, _ = project(higher, camera, ANGLE, HEIGHT, WIDTH)
        assert above[0, 0] < 0  # y runs downwards: what is higher in the world is higher in the picture


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_from_straight_above_or_below_a_pose_is_still_a_rotation(side):
    turn = r.look_at(torch.tensor([0.0, 0.0, 4 * side]))[:3, :3]
    torch.testing.assert_close(turn.mT @ turn, torch.eye(3))
    torch.testing.assert_close(turn[:, 2], torch.tensor([0.0, 0.0, side]))


@pytest.mark.parametrize("frames", [1, 2, 13])
def test_orbits_close_at_one_height_and_distance(frames):
    pose = r.orbit(frames, elevation=0.4, radius=3.0, start=0.7)
    position = pose[:, :3, 3]
    torch.testing.assert_close(position.norm(dim=-1), torch.full((frames,), 3.0))
    torch.testing.assert_close(position[:, 2], torch.full((frames,), 3 * math.sin(0.4)))
    step = torch.polar(torch.ones(1), torch.tensor([2 * math.pi / frames]))
    place = torch.complex(position[:, 0], position[:, 1])
    torch.testing.assert_close(place * step, place.roll(-1), rtol=0, atol=2e-6)


def test_the_angle_spans_the_width():
    camera = torch.eye(4, dtype=torch.float64)
    edges = torch.tensor([[0.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
    _, directions = r.view_rays(camera, torch.tensor(ANGLE).double(), edges, HEIGHT, WIDTH)
    angle = math.acos((directions[0] * directions[1]).sum())
    assert angle == pytest.approx(ANGLE, abs=1e-6)


def test_rays_reach_a_field_exactly_under_autocast(monkeypatch):
    coordinates = []

    def decode(tokens, coords):
        coordinates.append(coords)
        return coords[..., :3]

    model = LightFieldModel.__new__(LightFieldModel)  # without parts
    torch.nn.Module.__init__(model)
    monkeypatch.setattr(model, "decode", decode)
    camera, angle, grid = poses(2).float(), torch.tensor([0.3, 0.7]), Grid.cells(HEIGHT, WIDTH)
    model.see(torch.zeros(2, 5, 3), camera, angle, grid, (HEIGHT, WIDTH))
    with torch.autocast("cpu", torch.bfloat16):
        model.see(torch.zeros(2, 5, 3, dtype=torch.bfloat16), camera, angle, grid, (HEIGHT, WIDTH))
    torch.testing.assert_close(coordinates[1], coordinates[0], rtol=0, atol=0)


def test_points_along_rays_lie_at_depths_along_the_optical_axis_under_autocast_too(monkeypatch):
    stretched = []
    monkeypatch.setattr("tokenfield.views.models.base.field_of", lambda model, tokens: None)
    monkeypatch.setattr("tokenfield.views.models.base.render", lambda field, o, d, *_, **__: stretched.append(d) or d)
    camera, angle = poses(2).float(), torch.tensor([0.3, 0.7])
    origins, directions = r.view_rays(camera, angle, Grid.cells(HEIGHT, WIDTH), HEIGHT, WIDTH)
    axes = -camera[:, :3, 2]
    with torch.autocast("cpu", torch.bfloat16):
        RadianceModel.colours(None, torch.zeros(1), r.Rays(origins, directions, axes), Integral())
    along = (stretched[0].double() * axes[:, None].double()).sum(-1)
    torch.testing.assert_close(along, torch.ones_like(along), rtol=0, atol=1e-6)


def test_rays_stay_exact_under_autocast():
    camera, angle, grid = poses(3).float(), torch.tensor([0.3, 0.7, 1.1]), Grid.cells(HEIGHT, WIDTH)
    exact = r.plucker(*r.view_rays(camera, angle, grid, HEIGHT, WIDTH))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = r.plucker(*r.view_rays(camera, angle, grid, HEIGHT, WIDTH))
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0)
