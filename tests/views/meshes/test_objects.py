"""Folders of views: what a reader finds in them, whole or absent, the same however they were made."""

import json

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from view_tools import project

from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.views.data import ViewsConfig
from tokenfield.views.meshes import objects
from tokenfield.views.meshes.catalogue import find_meshes
from tokenfield.views.meshes.objects import ViewSettings, camera_poses, claim, render_all, render_object, write_lists

SETTINGS = ViewSettings(views=5, size=12, samples=2)


@pytest.fixture
def meshes(tmp_path):
    """A box, a ball and a cone, and a file that is none."""
    folder = tmp_path / "meshes"
    folder.mkdir()
    trimesh.creation.box((1, 2, 3)).export(folder / "box.ply")
    trimesh.creation.icosphere(subdivisions=2).export(folder / "ball.stl")
    trimesh.creation.cone(1, 2, sections=9).export(folder / "cone.obj")
    (folder / "broken.obj").write_text("v 0 0 0\n")
    return folder


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*"))
            if file.is_file()}


def render(meshes, root, settings=SETTINGS, **options):
    skipped = SkippedFiles()
    entries = find_meshes(meshes, skipped)
    claim(root, "things", settings)
    names = list(render_all(entries, root / "things", settings, skipped, **options))
    return entries, names, skipped, write_lists(entries, root, "things", settings, 0.3)


def test_what_is_rendered_is_read_as_learnit_renderings(meshes, tmp_path):
    entries, names, skipped, counts = render(meshes, tmp_path / "out")
    assert sorted(names) == ["ball", "box", "broken", "cone"] and sum(counts) == 3 and counts[1] >= 1
    assert list(skipped.reasons.values()) == ["holds no triangles"]
    config = ViewsConfig(category="things", size=12, support=3, first_views=4)
    train, test = config.open(tmp_path / "out", "train"), config.open(tmp_path / "out", "test")
    assert {*train.names, *test.names} == {"things/ball", "things/box", "things/cone"}
    assert not {*train.names} & {*test.names}
    for views in test.objects():
        assert views.images.shape == (5, 3, 12, 12) and views.angle_x == objects.ANGLE_X
        assert (views.images[:, :, 6, 6] < 0.95).all() and (views.images[:, :, 0, 0] == 1).all()
        poses = camera_poses(views.name.split("/")[1], SETTINGS)
        torch.testing.assert_close(views.poses, torch.from_numpy(poses).float())
    facts = json.loads((tmp_path / "out" / "things_objects.json").read_text())
    assert {fact["name"]: fact["file"] for fact in facts["objects"]} == {
        "ball": "ball.stl", "box": "box.ply", "cone": "cone.obj"}
    assert len(entries) == 4


def test_one_process_or_several_render_the_same_bytes(meshes, tmp_path):
    (meshes / "cone.obj").unlink()
    (meshes / "broken.obj").unlink()
    render(meshes, tmp_path / "one")
    render(meshes, tmp_path / "two", processes=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_stopped_run_continues_and_ends_the_same(meshes, tmp_path, monkeypatch):
    render(meshes, tmp_path / "whole")
    begun, arrivals = SkippedFiles(), []
    entries = find_meshes(meshes, begun)
    claim(tmp_path / "parts", "things", SETTINGS)
    running = render_all(entries, tmp_path / "parts" / "things", SETTINGS, begun, processes=1)
    next(running)
    running.close()

    def counted(entry, *rest):
        arrivals.append(entry.name)
        return render_object(entry, *rest)

    monkeypatch.setattr(objects, "render_object", counted)
    render(meshes, tmp_path / "parts", processes=1)
    assert "ball" not in arrivals and len(arrivals) == 3
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_an_object_is_whole_or_absent(meshes, tmp_path, monkeypatch):
    entries = find_meshes(meshes, SkippedFiles())
    saved = []

    def interrupted(self, path, *args, **options):
        saved.append(path)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        render_object(entries[0], tmp_path / "out", SETTINGS)
    assert list((tmp_path / "out").iterdir()) == []


def test_other_settings_are_not_mixed_into_a_folder(tmp_path):
    other = ViewSettings(views=5, size=13, samples=2)
    claim(tmp_path, "things", other)
    claim(tmp_path, "things", SETTINGS)  # of the others no object came
    (tmp_path / "things" / "box").mkdir(parents=True)
    (tmp_path / "things" / "box" / "transforms.json").touch()
    claim(tmp_path, "things", SETTINGS)
    with pytest.raises(UserError, match="size 12 became 13"):
        claim(tmp_path, "things", other)
    (tmp_path / "things_objects.json").write_text("[]")
    with pytest.raises(UserError, match="no list of rendered objects"):
        claim(tmp_path, "things", SETTINGS)


def test_cameras_spread_over_their_part_of_the_sphere_and_depend_on_the_name_alone():
    settings = ViewSettings(views=2000, low=10.0, high=50.0)
    poses = camera_poses("thing", settings)
    np.testing.assert_array_equal(camera_poses("thing", ViewSettings(views=7, low=10.0, high=50.0)), poses[:7])
    assert not np.allclose(camera_poses("other", settings)[0], poses[0])
    assert not np.allclose(camera_poses("thing", ViewSettings(views=1, low=10.0, high=50.0, seed=1))[0], poses[0])
    places = poses[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 4, rtol=1e-12)
    heights = places[:, 2] / 4
    low, high = np.sin(np.radians([10, 50]))
    assert low <= heights.min() and heights.max() <= high
    assert heights.mean() == pytest.approx((low + high) / 2, abs=0.01)  # equal areas: heights are uniform
    assert np.abs(places[:, :2].mean(0)).max() < 0.15
    for pose in torch.from_numpy(poses[:5]):
        place, depth = project(torch.zeros(1, 3, dtype=torch.float64), pose, 0.7, 5, 5)
        assert place.abs().max() < 1e-12 and depth.item() == pytest.approx(4)


def test_the_split_is_by_name_and_does_not_change_when_objects_are_added(meshes, tmp_path):
    entries, *_ = render(meshes, tmp_path)
    held_out = objects.held_out_places
    few, many = (tuple(f"object-{i}" for i in range(n)) for n in (40, 90))
    assert {few[i] for i in held_out(few, 0.2)} == {many[i] for i in held_out(many, 0.2)} & set(few)
    assert write_lists(entries, tmp_path, "things", SETTINGS, 0.0, ["cone", "broken"]) == (2, 1)
    assert json.loads((tmp_path / "things_splits.json").read_text())["test"] == ["cone"]


@pytest.mark.parametrize("fields", [{"views": 0}, {"size": 0}, {"samples": 0}, {"low": 50.0, "high": 40.0},
                                    {"high": 91.0}, {"radius": 4.0}, {"seed": -1}])
def test_settings_that_mean_nothing_are_refused(fields):
    with pytest.raises(UserError):
        ViewSettings(**fields)
