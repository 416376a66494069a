"""`tokenfield optimize`: from the predicted field on, beside MLPs; the result loads like any other field."""

import json

import pytest
from PIL import Image

from tokenfield.cli import main
from tokenfield.data.pictures import read_picture
from tokenfield.fields.field import Field
from tokenfield.fields.optimization import Optimization
from tokenfield.metrics import psnr
from tokenfield.models import pretrained


@pytest.mark.parametrize("what", ["latents", "decoder", "all"])
def test_what_is_written_loads_and_is_as_good_as_was_said(run, model, photo, tmp_path, what):
    facts, target = tmp_path / "facts.json", tmp_path / ("new.field" if what == "latents" else "own")
    outcome = run("optimize", photo, "--model", model, "--what", what, "--steps", 4, "--rates", "0.002", "--beside",
                  "-o", target, "--json", facts)
    assert outcome.code == 0, outcome.err
    (curve,) = json.loads(facts.read_text())["curves"]
    assert curve["name"] == what and [point["step"] for point in curve["points"]] == [0, 1, 2, 3, 4]
    assert curve["best_psnr"] > curve["start_psnr"]
    path = target if what == "latents" else target / "photo.field"
    field, picture = Field.load(path), read_picture(tmp_path / "photo.png")
    assert psnr(field.render(17, 23)[None], picture[None]).item() == pytest.approx(curve["best_psnr"], abs=1e-3)
    same = pretrained.model_hash(field.model) == pretrained.model_hash(pretrained.load(model))
    assert same == (what == "latents")
    assert (curve["values"] == field.values_stored) == (what == "latents")
    assert run("decode", path, "-o", tmp_path / "again.png").code == 0


def test_figure_7_has_every_competitor(run, model, photo, tmp_path):
    facts, figure = tmp_path / "facts.json", tmp_path / "curves.png"
    outcome = run("optimize", photo, "--model", model, "--seconds", "0.05", "--beside", "scratch", "ffnet", "siren",
                  "--json", facts, "--figure", figure)
    assert outcome.code == 0, outcome.err
    report = json.loads(facts.read_text())
    assert [curve["name"] for curve in report["curves"]] == ["latents", "scratch", "ffnet", "siren"]
    predicted, zero, *_ = report["curves"]
    assert predicted["start_psnr"] > zero["start_psnr"] + 3
    assert predicted["head_start_seconds"] > 0 == zero["head_start_seconds"]
    assert Image.open(figure).format == "PNG"
    for words in ("latents, from the predicted ones", "latents, from zero", "FFNet from scratch", "SIREN from scratch"):
        assert words in outcome.out
    assert (tmp_path / "photo.field").exists()


def test_from_scratch_it_improves(run, model, photo, tmp_path):
    outcome = run("optimize", photo, "--model", model, "--start", "scratch", "--steps", 5, "--beside",
                  "-o", tmp_path / "s.field", "--json", tmp_path / "j.json")
    assert outcome.code == 0, outcome.err
    (curve,) = json.loads((tmp_path / "j.json").read_text())["curves"]
    assert curve["name"] == "scratch" and curve["best_psnr"] > curve["start_psnr"] + 1


def test_control_c_keeps_the_best_and_leaves_out_the_rest(model, photo, tmp_path, monkeypatch):
    step = Optimization._move

    def interrupted(self, share):
        step(self, share)
        if share > 0.5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Optimization, "_move", interrupted)
    code = main(["optimize", photo, "--model", model, "--steps", "5", "--json", str(tmp_path / "j.json")])
    report = json.loads((tmp_path / "j.json").read_text())
    assert code == 130 and report["interrupted"] and [curve["name"] for curve in report["curves"]] == ["latents"]
    assert Field.load(tmp_path / "photo.field").render(5, 5).isfinite().all()


BAD = {
    "no file": (("nowhere.png",), 1, "nowhere.png"),
    "negative": (("photo.png", "--seconds", "-1"), 1, "at least 0"),
    "no model": (("photo.png", "--model", "nosuch"), 1, "neither packaged"),
    "ending": (("photo.png", "-o", "out.png"), 1, "ending in .field"),
    "a folder that is there": (("photo.png", "--what", "all", "-o", "."), 1, "exists already"),
    "unknown": (("photo.png", "--what", "encoder"), 2, "'latents'"),
    "unknown rival": (("photo.png", "--beside", "nerf"), 2, "'ffnet'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_one_line(run, photo, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    argv, code, message = BAD[name]
    outcome = run("optimize", *argv)
    assert (outcome.code, len(outcome.lines)) == (code, 1), outcome
    assert message in outcome.err


def test_a_field_that_is_there_is_replaced_only_by_name(run, model, photo, tmp_path):
    (tmp_path / "photo.field").touch()
    options = ("--model", model, "--steps", 0, "--beside")
    outcome = run("optimize", photo, *options)
    assert outcome.code == 1 and "exists already" in outcome.err
    assert run("optimize", photo, *options, "-o", tmp_path / "photo.field").code == 0
