"""Cameras as data sets write them: every pinhole looks where it says, and what is none is refused in a line."""

import json
import math
import struct
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield.data.decoding import PictureError
from tokenfield.errors import UserError
from tokenfield.views.cache import cut
from tokenfield.views.cameras import Pinhole, common
from tokenfield.views.colmap import find_model, pose_of, read_model
from tokenfield.views.data import ViewsConfig
from tokenfield.views.layouts import read_object
from tokenfield.views.rays import look_at

POSE = np.eye(4).tolist()


def scene(folder, top, frames=None, count=3, size=(32, 32)):
    """A `transforms.json` of grey pictures and what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = frames or [{}] * count
    for i in range(len(frames)):
        Image.new("RGB", size, (10 * i, 0, 0)).save(folder / f"{i}.png")
    rows = [{"file_path": f"{i}.png", "transform_matrix": POSE, **frame} for i, frame in enumerate(frames)]
    (folder / "transforms.json").write_text(json.dumps({**top, "frames": rows}))
    return folder / "transforms.json"


@pytest.mark.parametrize("top", [
    {"camera_angle_x": 0.7}, {"camera_angle_x": 0.7, "w": 32, "h": 32}, {"fl_x": 16 / math.tan(0.35), "w": 32},
    {"fl_x": 16 / math.tan(0.35), "fl_y": 16 / math.tan(0.35), "cx": 16, "cy": 16, "w": 32, "h": 32, "k1": 0.0,
     "camera_model": "OPENCV"}, {"camera_angle_y": 0.7, "w": 32, "h": 32}])
def test_spellings_of_one_camera_are_one(top, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = read_object(scene(tmp_path, top))
    assert frames.angle_x == pytest.approx(0.7)
    assert frames.boxes is None or np.allclose(frames.boxes, [0, 0, 1, 1])


def test_what_is_cut_out_is_what_the_camera_sees_there():
    """A picture whose pixels hold the direction they look in keeps it, whatever the camera: values are angles."""
    camera = Pinhole((44.0, 55.0), (30.0, 25.0), 64, 48)
    y, x = (np.mgrid[0:48, 0:64] + 0.5)
    across, down = (x - 30) / 44, (y - 25) / 55
    picture = np.stack([across, down, down], -1) * 150 + 128
    angle, (box,) = common([camera], "scene")
    size = 16
    seen = (cut(np.round(picture).astype(np.uint8), box, size).astype(float) - 128) / 150
    middles = (2 * (np.arange(size) + 0.5) / size - 1) * math.tan(angle / 2)
    np.testing.assert_allclose(seen[:, :, 0], np.broadcast_to(middles, (size, size)), atol=0.008)
    np.testing.assert_allclose(seen[:, :, 1], np.broadcast_to(middles[:, None], (size, size)), atol=0.008)


def test_intrinsics_may_differ_by_frame_and_all_views_share_the_angle_they_hold(tmp_path):
    frames = [{"fl_x": 40.0}, {"fl_x": 80.0}, {"fl_x": 50.0, "cx": 20.0}]
    with pytest.warns(UserWarning, match="cut to the square"):
        read = read_object(scene(tmp_path, {"w": 32, "h": 32}, frames))
    reach = math.tan(read.angle_x / 2)
    assert reach == pytest.approx(16 / 80)
    widths = (read.boxes[:, 2] - read.boxes[:, 0]) * 32
    np.testing.assert_allclose(widths, [2 * reach * f for f in (40, 80, 50)])
    assert (read.boxes[2, 0] + read.boxes[2, 2]) / 2 * 32 == pytest.approx(20)


def test_views_that_are_no_squares_are_used(tmp_path):
    scene(tmp_path, {"fl_x": 40.0, "w": 48, "h": 32}, [{}] * 9, size=(48, 32))
    with pytest.warns(UserWarning, match="of one 67% is left"):
        train = ViewsConfig(layout="nerf", size=16, support=3).open(tmp_path, "train")
        test = ViewsConfig(layout="nerf", size=16, support=1, category="").open(tmp_path, "test")
    (views,) = train.objects()
    assert len(views) == 7 and views.angle_x == pytest.approx(2 * math.atan(16 / 40)) and len(next(test.objects())) == 2
    assert [round(float(v) * 25.5) for v in views.images[:, 0, 3, 3]] == [1, 2, 3, 4, 5, 6, 7]  # 0 and 8 are held out


def test_lists_of_nerfstudio_say_the_split(tmp_path):
    file = scene(tmp_path, {"camera_angle_x": 0.7, "train_filenames": ["1.png", "2.png"], "test_filenames": ["0.png"]})
    assert [p.name for p in read_object(file, part="train").pictures] == ["1.png", "2.png"]
    assert [p.name for p in read_object(file, part="test").pictures] == ["0.png"]


REFUSED = {
    "distorted": ({"camera_angle_x": 0.7, "k1": 0.5, "camera_model": "OPENCV"}, "k1 0.5"),
    "tangential": ({"fl_x": 40, "w": 32, "p2": -0.01}, "p2 -0.01"),
    "a fisheye": ({"camera_angle_x": 0.7, "camera_model": "OPENCV_FISHEYE"}, "OPENCV_FISHEYE is not supported"),
    "another fisheye": ({"camera_angle_x": 0.7, "is_fisheye": True}, "not supported"),
    "all around": ({"camera_model": "EQUIRECTANGULAR"}, "not supported"),
    "no width": ({"fl_x": 40}, "w, the width"),
    "nothing": ({}, "camera_angle_x or fl_x"),
    "text": ({"fl_x": "wide", "w": 32}, "not a number"),
    "a negative focal length": ({"fl_x": -40, "w": 32}, "focal lengths -40"),
    "too wide": ({"camera_angle_x": 4.0, "w": 32}, "not between 0 and pi"),
    "a list": ({"camera_angle_x": [1]}, "not a number"),
    "looking past": ({"fl_x": 40, "w": 32, "h": 32, "cx": 40.0}, "principal point 40"),
    "infinite": ({"camera_angle_x": 1e999}, "JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_pinhole_is_refused_for_what_it_is(name, tmp_path):
    top, words = REFUSED[name]
    with pytest.raises(PictureError, match=words) as caught:
        read_object(scene(tmp_path, top))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_pictures_outside_the_folder_are_not_opened(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "..\\secret.png", "a\0b.png", "x" * 5000):
        file = scene(tmp_path / "scene", {"camera_angle_x": 0.7}, [{"file_path": name}])
        (picture,) = read_object(file).pictures
        assert (picture.parent == file.parent and picture.name != "secret.png") or not picture.exists()


def colmap(root, binary, model=("PINHOLE", 1, [40.0, 40.0, 16.0, 16.0])):
    """A sparse model of nine cameras around the origin, as COLMAP writes it, and their poses."""
    sparse, name_of_model, parameters = root / "sparse" / "0", model[0], model[2]
    sparse.mkdir(parents=True)
    (root / "images").mkdir()
    azimuth = torch.arange(9) * 0.5
    poses = look_at(torch.stack([3 * azimuth.cos(), 3 * azimuth.sin(), torch.ones(9)], -1).double()).numpy()
    rows = []
    for i, pose in enumerate(poses):
        Image.new("RGB", (32, 32), (9 * i, 0, 0)).save(root / "images" / f"{i}.png")
        rotation = (pose[:3, :3] * [1, -1, -1]).T
        w = math.sqrt(max(0, 1 + rotation.trace())) / 2
        assert w > 1e-3, "the test's poses are no half-turns"
        turn = [w, *((rotation[[2, 0, 1], [1, 2, 0]] - rotation[[1, 2, 0], [2, 0, 1]]) / (4 * w))]
        rows.append((i + 1, turn, list(-rotation @ pose[:3, 3]), f"{i}.png"))
    if binary:
        data = struct.pack("<QiiQQ", 1, 7, model[1], 32, 32) + struct.pack(f"<{len(parameters)}d", *parameters)
        (sparse / "cameras.bin").write_bytes(data)
        data = struct.pack("<Q", 9)
        for number, turn, shift, name in rows:
            data += struct.pack("<i7di", number, *turn, *shift, 7) + name.encode()
            data += b"\0" + struct.pack("<Q", 2) + bytes(48)  # two points
        (sparse / "images.bin").write_bytes(data)
    else:
        numbers = " ".join(map(str, parameters))
        (sparse / "cameras.txt").write_text(f"# a comment\n7 {name_of_model} 32 32 {numbers}\n")
        lines = [f"{n} {' '.join(map(str, turn + shift))} 7 {name}\n\n" for n, turn, shift, name in rows]
        (sparse / "images.txt").write_text("# a comment\n# another\n" + "".join(lines))
    return poses


@pytest.mark.parametrize("binary", [True, False])
def test_colmap_s_models_are_read(binary, tmp_path):
    poses = colmap(tmp_path, binary)
    views = read_model(find_model(tmp_path))
    np.testing.assert_allclose([pose for _, pose, _ in views], poses, atol=1e-6)
    train = ViewsConfig(layout="colmap", size=16, support=3).open(tmp_path, "train")
    (views,) = train.objects()
    assert len(views) == 7 and views.angle_x == pytest.approx(2 * math.atan(16 / 40))
    np.testing.assert_allclose(views.poses, poses[1:8], atol=1e-6)
    with pytest.raises(UserError, match="sparse/0"):
        ViewsConfig(layout="colmap", size=16).open(tmp_path / "images", "train")


def test_distorted_and_damaged_models_of_colmap_are_refused(tmp_path):
    colmap(tmp_path / "bent", False, ("SIMPLE_RADIAL", 2, [40.0, 16.0, 16.0, 0.1]))
    with pytest.raises(PictureError, match="undistort"):
        read_object(find_model(tmp_path / "bent"))
    colmap(tmp_path / "cut", True)
    model = find_model(tmp_path / "cut")
    for name in ("cameras.bin", "images.bin"):
        whole = (model / name).read_bytes()
        for length in (0, 9, 40, len(whole) - 30):
            (model / name).write_bytes(whole[:length])
            with pytest.raises(PictureError):
                read_object(model)
        (model / name).write_bytes(whole)


@pytest.mark.parametrize("file, old, new, line", [
    ("images.txt", " 7 ", " 8 ", "has no camera 8"), ("cameras.txt", "PINHOLE", "PANORAMA", "camera model PANORAMA"),
    ("images.txt", "", "", "has no views")])
def test_what_a_model_of_colmap_lacks_is_named(file, old, new, line, tmp_path):
    colmap(tmp_path, False)
    path = find_model(tmp_path) / file
    path.write_text(path.read_text().replace(old, new) if line != "has no views" else "")
    with pytest.raises(PictureError, match=line):
        read_object(path.parent)


def test_objects_without_views_or_turns_are_said(tmp_path):
    empty = tmp_path / "transforms.json"
    empty.write_text(json.dumps({"camera_angle_x": 0.7, "frames": []}))
    with pytest.raises(PictureError, match=r"has no views$"):
        read_object(empty)
    with pytest.raises(PictureError, match="has no views for the split train"):  # the first of eight is for testing
        read_object(scene(tmp_path / "one", {"camera_angle_x": 0.7}, count=1), part="train")
    with pytest.raises(ValueError, match="a quaternion of length 0"):
        pose_of([0.0] * 4, [0.0] * 3)
