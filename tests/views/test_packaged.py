"""The packaged light field: whole, small, with the authors of what it saw, and of use on an object made here."""

import json
from statistics import fmean

import pytest
import torch
import trimesh

import tokenfield
from tokenfield.models import pretrained
from tokenfield.models.folder import CARD, EVALUATION, WEIGHTS
from tokenfield.views.meshes.catalogue import MeshEntry
from tokenfield.views.meshes.objects import ANGLE_X, ViewSettings, render_object

NAME = "views-lamps"


def test_it_is_whole_and_small():
    folder, model = pretrained.packaged(NAME), tokenfield.load(NAME)
    assert NAME in tokenfield.list_models() and model.support_numbers(9) == [1, 2, 3, 4, 5]
    assert (folder / WEIGHTS).stat().st_size <= 6 * 2**20
    report = json.loads((folder / EVALUATION).read_text())
    assert report["hash"] == pretrained.model_hash(model)
    three = [score for score in report["objects"] if score["support"] == 3]
    lamps = [score for score in three if score["name"].startswith("lamps/")]
    assert len(lamps) == 7 and f"| lamps | 3 | 7 | {fmean(s['psnr'] for s in lamps):.2f} |" in " ".join(
        (folder / CARD).read_text().split())  # fmt: skip


def test_everything_that_it_saw_has_a_licence_and_an_author():
    folder = pretrained.packaged(NAME)
    head, *rows = [line.split("\t") for line in (folder / "sources.tsv").read_text().splitlines()]
    assert head == ["category", "object", "split", "licence", "author", "package", "path"]
    assert all(len(row) == 7 and all(row) for row in rows)
    assert {row[3] for row in rows} == {"CC0-1.0", "CC-BY-3.0", "CC-BY-3.0-US"}
    tested = {f"{row[0]}/{row[1]}" for row in rows if row[2] == "test"}
    assert tested == {score["name"] for score in json.loads((folder / EVALUATION).read_text())["objects"]}


@pytest.fixture(scope="module")
def lamp(tmp_path_factory):
    """Views of a lamp from the lathe."""
    root = tmp_path_factory.mktemp("lamp")
    parts = []
    for profile, colour in (([(0, 0), (0.45, 0), (0.06, 0.16), (0, 0.16)], (60, 45, 40, 255)),
                            ([(0, 0.1), (0.06, 0.1), (0.06, 1.5), (0, 1.5)], (150, 110, 60, 255)),
                            ([(0, 1.1), (0.6, 1.1), (0.38, 1.9), (0, 1.9)], (200, 60, 45, 255))):  # fmt: skip
        part = trimesh.creation.revolve(profile, sections=32)
        part.visual.face_colors = colour
        parts.append(part)
    trimesh.util.concatenate(parts).export(root / "lamp.ply")
    render_object(MeshEntry("lamp", "lamp", root / "lamp.ply"), root, ViewSettings(views=8, size=64, samples=2))
    return root / "lamp"


def test_a_lamp_that_it_never_saw_is_seen_from_sides_that_were_not_given(lamp, run, tmp_path):
    outcome = run("views", "measure", NAME, "--data", lamp, "--support", 3, "-o", tmp_path / "out",
                  "--json", tmp_path / "scores.json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    (score,) = json.loads((tmp_path / "scores.json").read_text())["objects"]
    assert score["psnr"] > 17  # white has 8.8 dB


def test_it_turns(lamp, run, tmp_path):
    outcome = run("views", "orbit", NAME, "--data", lamp, "--support", 3, "--frames", 2, "-o", tmp_path / "orbit")
    assert outcome.code == 0, outcome.err
    field = tokenfield.Field.load(tmp_path / "orbit" / "lamp.field")
    picture = field.render()
    assert field.domain.angle_x == pytest.approx(ANGLE_X) and picture.shape == (3, 64, 64)
    assert picture[:, :4, :4].min() > 0.9 > 0.7 > picture.amin()  # white around it
    assert torch.isfinite(picture).all() and (tmp_path / "orbit" / "lamp-orbit.webp").is_file()
