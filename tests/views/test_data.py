"""Posed views on disk: what each layout means, what is skipped and named, and samples as functions of their place."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield.data.loader import Loader
from tokenfield.errors import UserError
from tokenfield.views.cache import to_size
from tokenfield.views.data import ViewsConfig, distinct
from tokenfield.views.layouts import read_object, transforms_text
from tokenfield.views.rays import orbit

ANGLE = 0.6911


def write_object(folder, views, side=5, alpha=255, number=0):
    """An object whose view i is filled with the value 10 * number + i, so that every pixel tells where it is from."""
    folder.mkdir(parents=True)
    poses, frames = orbit(views, start=0.1 * number).double().numpy(), []
    for i in range(views):
        name = f"view-{i:03}"
        value = 10 * number + i
        Image.fromarray(np.full((side, side, 4), (value, value, value, alpha), np.uint8)).save(folder / f"{name}.png")
        frames.append((name, poses[i]))
    (folder / "transforms.json").write_text(transforms_text(ANGLE, frames))
    return poses


@pytest.fixture
def root(tmp_path):
    """Three chairs to train on, one to test, one lamp; nothing is wrong with any."""
    for number, name in enumerate(("a", "b", "c", "d")):
        write_object(tmp_path / "data" / "chairs" / name, 7, number=number)
    write_object(tmp_path / "data" / "lamps" / "e", 7, number=4)
    (tmp_path / "data" / "chair_splits.json").write_text(json.dumps({"train": ["a", "b", "c"], "val": ["d"]}))
    (tmp_path / "data" / "lamps_splits.json").write_text(json.dumps({"train": ["e"], "test": ["e"]}))
    return tmp_path / "data"


CONFIG = ViewsConfig(category="chairs", size=5, support=3, first_views=5)


def test_training_sees_the_first_views_and_testing_all(root):
    train, test = CONFIG.open(root, "train"), CONFIG.open(root, "test")
    assert train.names == ["chairs/a", "chairs/b", "chairs/c"] and test.names == ["chairs/d"]
    assert [len(o) for o in train.objects()] == [5, 5, 5] and [len(o) for o in test.objects()] == [7]
    assert not train.skipped and not test.skipped
    first = next(iter(test.objects()))
    expected = (30 + torch.arange(7)) / 255
    torch.testing.assert_close(first.images, expected[:, None, None, None].expand(7, 3, 5, 5))
    torch.testing.assert_close(first.poses, orbit(7, start=0.3))
    assert first.angle_x == pytest.approx(ANGLE)


def test_no_category_is_all_of_them(root):
    assert ViewsConfig(size=5, support=3).open(root, "train").names == [
        "chairs/a", "chairs/b", "chairs/c", "lamps/e"]
    assert ViewsConfig(category="lamp", size=5, support=3).open(root, "test").names == ["lamps/e"]


def test_samples_are_functions_of_their_place_with_distinct_views_and_their_poses(root):
    source = CONFIG.open(root, "train")
    pairs = set()
    for step in range(40):
        sample = source.sample(3, step, 1)
        again = source.sample(3, step, 1)
        assert sample.keys() == again.keys() and all(torch.equal(sample[k], again[k]) for k in sample)
        images = torch.cat([sample["support"], sample["targets"]])
        poses = torch.cat([sample["support_poses"], sample["target_poses"]])
        values = (images[:, 0, 0, 0] * 255).round().long()
        number, views = values // 10, values % 10
        assert len(set(views.tolist())) == 4 and len(set(number.tolist())) == 1 and views.max() < 5
        torch.testing.assert_close(poses, orbit(7, start=0.1 * int(number[0]))[views])
        pairs.add((int(number[0]), int(views[3])))
    assert {number for number, _ in pairs} == {0, 1, 2} and {view for _, view in pairs} == {0, 1, 2, 3, 4}


def test_the_number_of_support_views_varies_by_step_and_batches_stack(root):
    source = ViewsConfig(category="chairs", size=5, support=4, fewest=1, first_views=0).open(root, "train")
    counts = set()
    for step, batch in Loader(source, batch_size=3, seed=0):
        count = batch["support"].shape[1]
        counts.add(count)
        assert batch["support"].shape == (3, count, 3, 5, 5) and batch["support_poses"].shape == (3, count, 4, 4)
        assert batch["targets"].shape == (3, 1, 3, 5, 5) and batch["target_poses"].shape == (3, 1, 4, 4)
        assert batch["angle_x"].shape == (3,) and batch["seeds"].shape == (3, 1)
        if step == 30:
            break
    assert counts == {1, 2, 3, 4}


def test_every_arrangement_of_views_comes_up():
    pairs = {tuple(distinct(3, 2, 0, i)) for i in range(200)}
    assert pairs == {(a, b) for a in range(3) for b in range(3) if a != b}


def test_alpha_is_composited_on_white(tmp_path):
    write_object(tmp_path / "chairs" / "glass", 4, alpha=51)
    (tmp_path / "chairs_splits.json").write_text('{"test": ["glass"]}')
    images = next(iter(ViewsConfig(size=5, support=3).open(tmp_path, "test").objects())).images
    expected = (torch.arange(4) / 255 * 0.2 + 0.8)
    torch.testing.assert_close(images[:, 1, 2, 3], expected, rtol=0, atol=0.5 / 255 + 1e-6)


def broken(root):
    """Breaks objects of the training split in every way, and returns what each must be reported with."""
    chairs = root / "chairs"
    names = ["a", "gone", "no-json", "cut-json", "no-angle", "flat", "sheared", "lost-view", "cut-view", "few", "wide"]
    for name in names[2:]:
        write_object(chairs / name, 5)
    (chairs / "no-json" / "transforms.json").unlink()
    text = (chairs / "cut-json" / "transforms.json").read_text()
    (chairs / "cut-json" / "transforms.json").write_text(text[:200])
    edits = {"no-angle": lambda m: m.pop("camera_angle_x"),
             "flat": lambda m: m["frames"][1]["transform_matrix"].pop(),
             "sheared": lambda m: m["frames"][2]["transform_matrix"][0].__setitem__(0, 3.0),
             "few": lambda m: m.__setitem__("frames", m["frames"][:3])}
    for name, edit in edits.items():
        meta = json.loads((chairs / name / "transforms.json").read_text())
        edit(meta)
        (chairs / name / "transforms.json").write_text(json.dumps(meta))
    (chairs / "lost-view" / "view-003.png").unlink()
    picture = chairs / "cut-view" / "view-001.png"
    picture.write_bytes(picture.read_bytes()[:40])
    Image.new("RGB", (7, 5)).save(chairs / "wide" / "view-000.png")
    (root / "chair_splits.json").write_text(json.dumps({"train": names}))
    return {"gone": "is listed and missing", "no-json": "has no transforms.json", "cut-json": "is no JSON",
            "no-angle": "camera_angle_x", "flat": "transform_matrix", "sheared": "no rotation",
            "lost-view": "view-003.png", "cut-view": "view-001.png", "few": "has 3 views, 4 are needed",
            "wide": "is 7 x 5"}


def test_missing_and_broken_objects_are_named_and_the_others_used(root):
    reasons = broken(root)
    source = CONFIG.open(root, "train")
    assert source.names == ["chairs/a"]
    reported = {entry["file"].rsplit("/", 1)[-1]: entry["reason"] for entry in source.skipped.as_json()}
    assert reported.keys() == reasons.keys()
    for name, words in reasons.items():
        assert words in reported[name], (name, reported[name])
    source.sample(0, 0, 0)


def test_an_object_without_any_picture_is_the_end_with_one_line(root):
    (root / "lamps" / "e" / "view-000.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of the 1 objects can be used"):
        ViewsConfig(category="lamps", size=5).open(root, "test")


@pytest.mark.parametrize(("config", "words"), [
    (ViewsConfig(category="boats"), "no list boats_splits.json"),
    (ViewsConfig(layout="nerf"), "transforms_train.json"),
])
def test_other_folders_are_refused(root, config, words):
    with pytest.raises(UserError, match=words):
        config.open(root, "train")
    with pytest.raises(UserError, match="no such folder"):
        config.open(root / "nowhere", "train")


@pytest.mark.parametrize("fields", [{"size": 0}, {"support": 0}, {"support": 2, "fewest": 3},
                                    {"support": 5, "first_views": 5}, {"first_views": -1}])
def test_configurations_that_mean_nothing_are_refused(fields):
    with pytest.raises(UserError):
        ViewsConfig(**fields)


def test_scenes_of_nerf_have_other_views_in_each_split(tmp_path):
    for scene in ("lego", "drums"):
        write_object(tmp_path / scene / "train", 6, number=1)
        write_object(tmp_path / scene / "test", 4, number=2)
        for split in ("train", "test"):
            meta = json.loads((tmp_path / scene / split / "transforms.json").read_text())
            for frame in meta["frames"]:
                frame["file_path"] = f"./{split}/" + frame["file_path"][2:]
            (tmp_path / scene / f"transforms_{split}.json").write_text(json.dumps(meta))
    config = ViewsConfig(layout="nerf", size=5, support=3, first_views=4)
    train = config.open(tmp_path, "train")
    assert train.names == ["drums", "lego"] and [len(o) for o in train.objects()] == [6, 6]
    assert [len(o) for o in config.open(tmp_path / "lego", "test").objects()] == [4]
    assert ViewsConfig(layout="nerf", category="lego", size=5).open(tmp_path, "test").names == ["lego"]


def test_changed_views_are_read_anew_and_a_damaged_cache_is_made_again(root, own_cache):
    def values(source):
        return [round(float(v) * 255) for v in next(iter(source.objects())).images[:, 0, 0, 0]]

    assert values(CONFIG.open(root, "test")) == list(range(30, 37))
    Image.new("RGB", (5, 5), (200, 0, 0)).save(root / "chairs" / "d" / "view-002.png")
    assert values(CONFIG.open(root, "test"))[2] == 200
    for file in (own_cache.parent / "views").iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert values(CONFIG.open(root, "test"))[2] == 200


def test_larger_views_are_averaged_down_and_smaller_ones_refused():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (12, 12, 3), np.uint8)
    mean = picture.reshape(4, 3, 4, 3, 3).mean((1, 3))
    assert abs(to_size(picture, 4) - mean).max() <= 0.6  # Pillow rounds with weights of 22 bits, once per axis
    with pytest.raises(ValueError, match="smaller"):
        to_size(picture, 13)


def test_what_is_described_is_read(tmp_path):
    poses = write_object(tmp_path / "thing", 6)
    frames = read_object(tmp_path / "thing" / "transforms.json", 4)
    np.testing.assert_array_equal(frames.poses, poses[:4])
    assert frames.angle_x == ANGLE and [p.name for p in frames.pictures] == [f"view-{i:03}.png" for i in range(4)]
