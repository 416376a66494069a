"""Variants of objects: what is known of every object, so that it need not be learned from many."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from view_tools import project

from tokenfield.views.data import ViewsConfig
from tokenfield.views.layouts import transforms_text
from tokenfield.views.rays import look_at, on_sphere
from tokenfield.views.variants import mirrored, turned

ANGLE = 0.6911
POINTS = torch.tensor([[0.3, -0.7, 0.2], [-0.5, 0.1, 0.9], [0.0, 0.4, -0.6]], dtype=torch.float64)


def cameras(*places):
    azimuth, elevation = torch.tensor(places, dtype=torch.float64).T
    return look_at(on_sphere(azimuth, elevation))


@settings(deadline=None)
@given(st.floats(-7, 7), st.floats(-3, 3), st.floats(-1.5, 1.5))
def test_a_turned_world_gives_the_same_pictures(angle, azimuth, elevation):
    """Every point appears where it did, in front of a camera that is turned with it."""
    (pose,) = cameras((azimuth, elevation))
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]],
                        dtype=torch.float64)  # fmt: skip
    there = project(POINTS @ turn.T, turned(pose[None], angle)[0], ANGLE, 5, 7)
    torch.testing.assert_close(there, project(POINTS, pose, ANGLE, 5, 7))


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-1.5, 1.5))
def test_a_mirrored_world_gives_mirrored_pictures(azimuth, elevation):
    poses = cameras((azimuth, elevation))
    picture = torch.arange(3 * 5 * 7.0).view(1, 3, 5, 7)
    flipped, there = mirrored(picture, poses)
    places, depths = project(POINTS, poses[0], ANGLE, 5, 7)
    across = project(POINTS * torch.tensor([-1, 1, 1]), there[0], ANGLE, 5, 7)
    torch.testing.assert_close(across, (places * torch.tensor([1, -1]), depths))
    assert torch.equal(flipped, picture[..., [6, 5, 4, 3, 2, 1, 0]])
    torch.testing.assert_close(torch.linalg.det(there[0, :3, :3]), torch.tensor(1.0, dtype=torch.float64))


@pytest.fixture
def root(tmp_path):
    """Three chairs and one lamp, each from five cameras; every picture is of one colour but for its left column."""
    for category, names in (("chairs", "abc"), ("lamps", "d")):
        for name in names:
            folder, frames = tmp_path / category / name, []
            folder.mkdir(parents=True)
            for i, pose in enumerate(cameras(*((1.3 * i, 0.2 * i) for i in range(5)))):
                picture = np.full((5, 5, 3), (10 + i, 110 + i, 210 + i), np.uint8)
                picture[:, 0] = ord(name)
                Image.fromarray(picture).save(folder / f"{i}.png")
                frames.append((f"{i}", pose.numpy()))
            (folder / "transforms.json").write_text(transforms_text(ANGLE, frames))
        (tmp_path / f"{category}_splits.json").write_text(json.dumps({"train": list(names), "test": list(names)}))
    return tmp_path


@pytest.mark.parametrize("vary", ["none", "mirrors", "turns"])
def test_a_sample_is_one_variant_of_its_object(vary, root):
    source = ViewsConfig(size=5, support=3, vary=vary).open(root, "train")
    plain = cameras(*((1.3 * i, 0.2 * i) for i in range(5)))
    seen = set()
    for step in range(60):
        sample = source.sample(1, step, 2)
        images = torch.cat([sample["support"], sample["targets"]]).mul(255).round().long()
        poses = torch.cat([sample["support_poses"], sample["target_poses"]]).double()
        order = tuple(images[0, :, 2, 2].argsort().tolist())
        number = images[:, :, 2, 2].amin(1) - 10  # which view
        values = number[:, None] + torch.tensor([10, 110, 210])
        assert torch.equal(images[:, list(order), 2, 2], values)  # the same channels of all views
        column = 4 if torch.equal(images[0, :, :, 0], images[0, :, :, 2]) else 0
        assert (images[..., column] == images[0, 0, 0, column]).all()
        original = plain[number]
        if column:
            original = torch.cat([mirrored(images[:1].float(), pose[None])[1] for pose in original])
        between, expected = (torch.linalg.inv(p[0]) @ p for p in (poses, original))  # cameras as the first sees them
        torch.testing.assert_close(between, expected, atol=1e-5, rtol=0)
        angle = math.atan2(float(poses[0, 1, 3]), float(poses[0, 0, 3]))
        own = math.atan2(float(original[0, 1, 3]), float(original[0, 0, 3]))
        seen.add((order, column, round((angle - own) % (2 * math.pi), 3) % 6.283))
    assert len({order for order, *_ in seen}) == (1 if vary == "none" else 6)
    assert len({column for _, column, _ in seen}) == (1 if vary == "none" else 2)
    assert (len({turn for *_, turn in seen}) > 50) == (vary == "turns")


def test_objects_are_tested_as_they_are(root):
    plain, varied = (ViewsConfig(size=5, support=3, vary=vary).open(root, "test") for vary in ("none", "turns"))
    for one, other in zip(plain.objects(), varied.objects(), strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.poses, other.poses)


@pytest.mark.parametrize(("balance", "share"), [(False, 1 / 4), (True, 1 / 2)])
def test_categories_are_drawn_by_their_objects_or_as_often_as_each_other(balance, share, root):
    source = ViewsConfig(size=5, support=3, balance=balance).open(root, "train")
    corners = [source.sample(0, step, 0)["targets"][0, 0, 0, 0] for step in range(400)]
    lamps = sum(int(corner.mul(255).round()) == ord("d") for corner in corners)
    assert abs(lamps - 400 * share) < 4.5 * (400 * share * (1 - share)) ** 0.5
