"""`tokenfield fit`: it improves, keeps the best, and what it writes loads like any other field."""

import json

import pytest
import torch
from PIL import Image

from tokenfield.cli import main
from tokenfield.data.pictures import read_picture
from tokenfield.fields.field import Field
from tokenfield.fields.optimization import Optimization
from tokenfield.metrics import psnr

SMALL = ("--dim", "16", "--depth", "3", "--sigma", "8", "--pixels", "100")


@pytest.mark.parametrize("kind", ["ffnet", "siren"])
def test_fit_writes_a_field_with_its_model(run, photo, tmp_path, kind):
    facts = tmp_path / "facts.json"
    outcome = run("fit", photo, "--kind", kind, "--steps", 30, "--rate", "0.01", *SMALL,
                  "--json", facts, "--figure", tmp_path / "curve.png")
    assert outcome.code == 0, outcome.err
    path = tmp_path / f"photo-{kind}" / "photo.field"
    assert f"{path}: " in outcome.out
    report = json.loads(facts.read_text())
    (curve,) = report["curves"]
    assert report["field"] == str(path) and not report["interrupted"]
    assert curve["best_psnr"] > curve["start_psnr"] + 1 and curve["steps"] == 30
    field, picture = Field.load(path), read_picture(tmp_path / "photo.png")
    assert psnr(field.render(17, 23)[None], picture[None]).item() == pytest.approx(curve["best_psnr"], abs=1e-3)
    assert field.values_stored == curve["values"]
    assert Image.open(tmp_path / "curve.png").size[0] > 300
    assert run("decode", path, "-o", tmp_path / "big.png", "--scale", 3).code == 0
    assert Image.open(tmp_path / "big.png").size == (69, 51)
    again = run("fit", photo, "--kind", kind, "--steps", 1, *SMALL)
    assert again.code == 1 and "exists already" in again.err and len(again.lines) == 1


def test_control_c_keeps_the_best(photo, tmp_path, monkeypatch, capsys):
    step = Optimization._move

    def interrupted(self, share):
        step(self, share)
        if share > 0.5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Optimization, "_move", interrupted)
    paths = "-o", str(tmp_path / "out"), "--json", str(tmp_path / "j.json")
    code = main(["fit", photo, "--steps", "20", *SMALL, *paths])
    report = json.loads((tmp_path / "j.json").read_text())
    assert code == 130 and report["interrupted"] and "interrupted; the best is kept" in capsys.readouterr().out
    assert Field.load(tmp_path / "out" / "photo.field").render(5, 5).isfinite().all()


BAD = {
    "no file": (("nowhere.png",), "nowhere.png"),
    "negative": (("photo.png", "--seconds", "-1"), "at least 0"),
    "not a number": (("photo.png", "--seconds", "nan"), "at least 0"),
    "no pixels": (("photo.png", "--pixels", "0"), "at least 1"),
    "one layer": (("photo.png", "--depth", "1"), "at least 2"),
    "too small": (("tiny.png",), "at least 4 x 4"),
    "device": (("photo.png", "--device", "abacus"), "give auto or cpu"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_one_line(run, photo, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (3, 9)).save("tiny.png")
    argv, message = BAD[name]
    outcome = run("fit", *argv)
    assert (outcome.code, len(outcome.lines)) == (1, 1), outcome
    assert message in outcome.err and not list(tmp_path.glob("*-ffnet"))


def test_the_same_seed_gives_the_same_field(run, photo, tmp_path):
    for name in ("a", "b"):
        assert run("fit", photo, "--steps", 5, "--seed", 7, *SMALL, "-o", tmp_path / name).code == 0
    first, second = (Field.load(tmp_path / name / "photo.field").tokens for name in ("a", "b"))
    assert torch.equal(first, second)
