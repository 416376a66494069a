"""The script that rebuilds the rendered objects: its lists are sound, and what it makes has a split and licences."""

import sys
from pathlib import Path

import pytest
import trimesh
from PIL import Image

from experiments.pools import objects
from tokenfield.views.meshes.catalogue import MeshEntry


@pytest.fixture
def pool():
    return objects


def test_objects_are_listed_once_and_those_held_out_are_among_them(pool):
    for category, names in pool.POOL.items():
        held_out = pool.TEST[category]
        assert len(set(names)) == len(names) and set(held_out) <= set(names)
        assert 0.15 < len(held_out) / len(names) < 0.3
    cars = {name for name in pool.POOL["cars"] if name.startswith("concept-sedan")}
    assert not cars & set(pool.TEST["cars"]) or cars <= set(pool.TEST["cars"])  # variants of one model
    assert set(pool.FREE_ART.split()) <= set(pool.POOL["cars"])


def test_furniture_is_licensed_whole_and_nothing_that_is_held_out(pool):
    def entry(name, room="Living room", file="Scopia.sh3f"):
        return MeshEntry(name, name, Path(file), f"{name}.obj", category=room)

    taken = [entry("sofa"), entry("desk", "Office", "KatorLegaz.sh3f"), entry("passage")]
    others = [entry("lamp2", "Lights"), entry("chair"), entry("winchesterSofa"), entry("puerta", "Doors and windows"),
              entry("passage-pieton", "Exterior"), entry("girl", file="Reallusion.sh3f"), entry("buggy", file="x.acc")]
    assert pool.furniture([*others[:4], *taken, *others[4:]]) == taken
    assert pool.TEST["furniture"] == []


def test_every_object_has_a_licence(pool):
    lamp = MeshEntry("lamp", "Lamp", Path("x/Scopia.sh3f"), "scopia/lamp/lamp.obj")
    assert pool.licence(lamp) == ("CC-BY-3.0", pool.FURNITURE, "Scopia.sh3f:scopia/lamp/lamp.obj")
    assert pool.licence(MeshEntry("buggy", "buggy", Path("buggy/buggy.acc")))[0] == "GPL-2.0-or-later"
    assert pool.licence(MeshEntry("car1-ow1", "", Path("car1-ow1.acc")))[0] == "FAL-1.3"


def test_a_pool_is_rendered_split_and_listed(pool, tmp_path, monkeypatch, capsys):
    entries = []
    for name in ("plain", "odd"):
        trimesh.creation.box().export(tmp_path / f"{name}.stl")
        entries.append(MeshEntry(name, name, tmp_path / f"{name}.stl"))
    monkeypatch.setattr(pool, "TEST", {"lamps": ["odd"]})
    monkeypatch.setattr(pool.debian, "roots", lambda names, packages, scratch: {package: scratch for package in names})
    monkeypatch.setattr(pool, "find", lambda categories, roots: {"lamps": entries})
    out = tmp_path / "out"
    options = ["--categories", "lamps", "--size", "8", "--views", "2", "--processes", "1"]
    sheet = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["object_pool.py", str(out), *options, "--sheet", str(sheet)])
    pool.main()
    assert "1 objects to train on, 1 held out" in capsys.readouterr().out
    rows = [line.split("\t") for line in (out / "lamps_licenses.tsv").read_text().splitlines()]
    assert rows[0][:3] == ["object", "split", "licence"]
    assert Image.open(sheet).size == (16 * 8, 8)
    assert [row[:2] for row in rows[1:]] == [["plain", "train"], ["odd", "test"]]
