"""`tokenfield views` from its options to its files."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from posed_scenes import SIDE, write_scene
from view_tools import miniature

from tokenfield.cli import console
from tokenfield.cli.app import main
from tokenfield.fields.field import Field
from tokenfield.models import pretrained
from tokenfield.training.recipe import fresh_model
from tokenfield.views import recipes as recipes


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("balls"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path_factory.getbasetemp() / "views-command"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A light field and a radiance field, as folders."""
    folder = tmp_path_factory.mktemp("models")
    for name, run in (("light", recipes.views_lainr_64), ("radiance", recipes.views_ipc_64)):
        pretrained.save(fresh_model(miniature(run())), folder / name)
    return folder


def views(action, *options):
    return main(["views", action, *map(str, options), "--device", "cpu"])


def test_a_data_set_is_measured_for_every_number_of_views(root, models, tmp_path, capsys):
    out = tmp_path / "out"
    assert views("measure", models / "light", "--data", root, "-o", out, "--json", tmp_path / "copy.json") == console.OK
    report = json.loads((out / "views.json").read_text())
    assert [line["support"] for line in report["means"]] == [1, 2, 3, 4, 5]
    assert {score["targets"] for score in report["objects"]} == {2} and report["kind"] == "light field"
    assert json.loads((tmp_path / "copy.json").read_text())["means"] == report["means"]
    assert Image.open(out / "views.png").width == 1330
    printed = capsys.readouterr().out
    assert "balls/c" in printed and "mean of 1" in printed


def test_an_object_becomes_an_orbit_and_a_field_that_others_render(root, models, tmp_path, capsys):
    out = tmp_path / "out"
    options = ("--data", root, "--object", "c", "--support", 2, "--frames", 5, "--size", 16, "-o", out)
    assert views("orbit", models / "light", *options, "--json", tmp_path / "r.json") == console.OK
    frames = sorted(out.glob("balls-c-orbit-*.png"))
    assert len(frames) == 5 and Image.open(frames[0]).size == (16, 16)
    with Image.open(out / "balls-c-orbit.webp") as animation:
        assert animation.n_frames == 5
    with Image.open(out / "balls-c-beside.webp") as animation:
        assert animation.size == (2 * SIDE, SIDE) and animation.n_frames == 5  # seven views, two given
    assert Image.open(out / "balls-c-views.png").width > 300
    assert (out / "balls-c-orbit.mp4").exists() == bool(shutil.which("ffmpeg"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["support"] == 2 and report["psnr"] > 0 and "balls-c.field" in report["files"]
    assert main(["decode", str(out / "balls-c.field"), "-o", str(tmp_path / "again.png"), "--size", "16"]) == console.OK
    assert Image.open(tmp_path / "again.png").size == (16, 16)
    assert Field.load(out / "balls-c.field").native_size == (SIDE, SIDE)
    assert main(["info", str(out / "balls-c.field")]) == console.OK
    assert views("orbit", out / "balls-c.field", "--frames", 3, "-o", tmp_path / "turned") == console.OK
    assert views("orbit", out / "balls-c.field", "--pose", 10, 20, "--size", 9, "-o", tmp_path / "turned") == console.OK
    movies = {"balls-c-orbit.mp4"} if shutil.which("ffmpeg") else set()
    names = {"balls-c-10-20.png", "balls-c-orbit.webp", *movies, *(f"balls-c-orbit-{i:03}.png" for i in range(3))}
    assert {path.name for path in (tmp_path / "turned").iterdir()} == names


def test_one_s_own_pictures_from_any_pose(root, models, tmp_path, capsys):
    images = root / "balls" / "a"
    options = ("--data", images, "--pose", 30, -10, "--points", 4, "--size", 12, "-o", tmp_path)
    assert views("orbit", models / "radiance", *options) == console.OK
    (file,) = tmp_path.glob("*.png")
    assert Image.open(file).size == (12, 12) and str(file) in capsys.readouterr().out
    assert views("orbit", models / "radiance", *options, "--optimize", 3) == console.OK


@pytest.mark.parametrize(
    ("action", "options", "message"),
    [
        ("measure", (), "give --data FOLDER with posed views"),
        ("orbit", (), "give --data FOLDER with posed views"),
        ("measure", ("--data", "nowhere"), "nowhere: no such folder"),
        ("serve", ("--data", ".", "--split", "val"), "--split val; give test or train"),
        ("orbit", ("--data", "nowhere.json"), "nowhere.json"),
        ("orbit", ("--data", ".", "--frames", 0), "--frames 0: give at least 1"),
        ("orbit", ("--data", ".", "--pose", "nan", 0), "--pose nan 0: give degrees around, and from -90 to 90 above"),
        ("measure", ("--data", ".", "--support", 6), "6 support views, and this lainr-views takes 1 to 5"),
        ("measure", ("--data", ".", "--points", 1), "--points 1: give at least 2"),
        ("measure", ("--data", ".", "--count", 0), "--count 0: give at least 1"),
    ],
)
def test_errors_are_one_line(action, options, message, models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert views(action, models / "light", *options) == console.FAILED
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_objects_and_models_that_are_not_there(root, models, tmp_path, capsys):
    assert views("orbit", models / "light", "--data", root, "--object", "chair") == console.FAILED
    assert "no object 'chair'; there are balls/c" in capsys.readouterr().err
    assert views("measure", "photos-s", "--data", root) == console.FAILED
    assert "knows no views; models of views are lainr-views" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "now"),
    [
        (("views", "runs/x", "--data", "d", "--asked", "3"), "tokenfield views measure runs/x --data d --targets 3"),
        (("views", "runs/x", "--data", "d", "--object", "c"), "tokenfield views orbit runs/x --data d --object c"),
        (("views", "c.field", "--pose", "1", "2"), "tokenfield views orbit c.field --pose 1 2"),
        (("views", "orbit", "runs/x", "--images", "d"), "tokenfield views --images became --data FOLDER"),
        (("views", "runs/x", "--data", "d", "--serve"), "tokenfield views serve runs/x --data d"),
        (("data", "views", "meshes", "-o", "out"), "tokenfield views render meshes -o out"),
    ],
)
def test_command_lines_of_before_say_what_they_became(words, now, capsys):
    assert main(list(words)) == console.USAGE
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f": {now}" in error


def test_the_page_shows_the_selected_objects(root, models, monkeypatch, capsys):
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", lambda server: None)
    assert views("serve", models / "light", "--data", root, "--port", 0, "--count", 3) == console.OK
    assert re.search(r"http://127.0.0.1:\d+/ shows 1 objects", capsys.readouterr().out)


def test_points_come_from_the_run(models, tmp_path):
    from tokenfield.training.folder import store_recipe
    from tokenfield.views.commands.options import integral_of

    recipe = recipes.views_ipc_64()
    recipe = replace(recipe, objective=replace(recipe.objective, points=17, near=1.5))
    store_recipe(tmp_path, recipe)
    assert (integral_of(str(tmp_path), None).points, integral_of(str(tmp_path), None).near) == (17, 1.5)
    assert integral_of(str(tmp_path), 5).points == 5
    assert integral_of(str(models / "light"), None).points == 128
    assert torch.is_grad_enabled()
