"""`tokenfield views render`: a folder of meshes becomes a data set."""

import json

import pytest
import trimesh

from tokenfield.views.data import ViewsConfig


@pytest.fixture
def meshes(tmp_path, monkeypatch):
    """Two chairs, a lamp, and a file that is no mesh at all."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "meshes"
    folder.mkdir()
    for i, name in enumerate(("red chair", "blue chair", "lamp")):
        trimesh.creation.box((1, 1, 1 + i)).export(folder / f"{name}.ply")
    (folder / "broken.glb").write_bytes(b"glTF")
    return folder


SMALL = ("--views", 4, "--size", 8, "--samples", 1, "--processes", 1)


def test_meshes_become_a_data_set_and_what_is_broken_is_counted(run, meshes, tmp_path):
    outcome = run("views", "render", meshes, "-o", tmp_path / "set", *SMALL, "--json", tmp_path / "out.json")
    assert outcome.code == 3
    assert "skipped 1 of 4: broken.glb" in outcome.err
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["train"] + report["test"] == 3 and report["test"] >= 1 and len(report["skipped"]) == 1
    source = ViewsConfig(category="objects", size=8, support=3, first_views=4).open(tmp_path / "set", "train")
    assert len(source) == report["train"] and len(next(source.objects())) == 4


def test_words_choose_objects(run, meshes, tmp_path):
    words = ("--only", "sofa, CHAIR", "--category", "chairs")
    outcome = run("views", "render", meshes, "-o", tmp_path / "set", *SMALL, *words)
    assert outcome.code == 0
    assert sorted(p.name for p in (tmp_path / "set" / "chairs").iterdir()) == ["blue-chair", "red-chair"]


@pytest.mark.parametrize(("options", "words"), [
    (("--only", "sofa"), "none of the 4 objects"),
    (("--category", "a/b"), "folder's name"),
    (("--holdout", 1), "--holdout 1"),
    (("--count", 0), "--count 0"),
    (("--elevation", 40, 30), "elevations from 40 to 30"),
    (("--processes", -1), "--processes -1"),
])
def test_bad_options_are_one_line(run, meshes, tmp_path, options, words):
    outcome = run("views", "render", meshes, "-o", tmp_path / "set", *options)
    assert outcome.code == 1 and len(outcome.lines) == 1 and words in outcome.err
    assert not (tmp_path / "set").exists()


def test_other_places_are_one_line(run, tmp_path):
    outcome = run("views", "render", tmp_path / "nothing", "-o", tmp_path / "set")
    assert outcome.code == 1 and len(outcome.lines) == 1 and "no such file" in outcome.err
    (tmp_path / "file").write_text("")
    trimesh.creation.box().export(tmp_path / "box.stl")
    outcome = run("views", "render", tmp_path / "box.stl", "-o", tmp_path / "file", *SMALL)
    assert outcome.code == 1 and len(outcome.lines) == 1 and "file, not a folder" in outcome.err
