"""The demonstration from end to end, on pictures of a few hundred pixels."""

import json
import re
from dataclasses import replace

import pytest
import torch
from fixtures import smooth
from PIL import Image

from tokenfield.data.pictures import write_picture
from tokenfield.demo import tour
from tokenfield.demo.fresh import lainr_in_seconds, training_files

FILES = ["pictures/one.png", "pictures/two.png", "rendered-4x.png", "zoom-4x.png", "zoom-16x.png", "tokens.png"]
TRAINED = ["training.png", "curve.png", "fresh-model"]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Replaces the photographs by small random pictures, and the recipe by one that logs every step."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    files = [tmp_path / f"{name}.png" for name in "abc"]
    for seed, file in enumerate(files):
        write_picture(file, smooth(29, 37, seed))

    usual = tour.Plan

    def plan(seconds):
        return usual(
            pictures={"one": smooth(37, 29, 3), "two": smooth(23, 41, 4)},
            zoomed="two",
            detail=(3, 5, 8, 12),
            governed=("one",),
            recipe=replace(lainr_in_seconds(), log_every=1, batch_size=2),
            training_files=files,
            unseen=smooth(19, 23, 5),
            seconds=seconds,
        )

    monkeypatch.setattr(tour, "Plan", plan)


def test_everything_is_written_printed_and_on_the_page(tiny, model, run, tmp_path):
    out, numbers = tmp_path / "out", tmp_path / "numbers.json"
    outcome = run("demo", "--model", model, "--out", out, "--seconds", "0.4", "--json", numbers)
    assert outcome.code == 0, outcome.err
    report = json.loads(numbers.read_text())
    assert report["files"] == [*FILES, *TRAINED, "index.html"]
    for name in report["files"]:
        assert (out / name).exists()
        if name.endswith(".png"):
            Image.open(out / name).verify()

    for one, (name, height, width) in zip(report["pictures"], [("one", 37, 29), ("two", 23, 41)], strict=True):
        assert (one["name"], one["height"], one["width"]) == (name, height, width)
        assert one["psnr"] > 20 and one["encode_seconds"] > 0 and one["decode_seconds"] > 0
        assert f"{name} " in outcome.out and f"{one['psnr']:.2f}" in outcome.out
        assert all(str(one[what]) in outcome.out for what in ("tokens", "values_stored", "bytes"))
    assert report["mean"]["psnr"] == pytest.approx(sum(one["psnr"] for one in report["pictures"]) / 2, abs=1e-3)
    assert Image.open(out / "rendered-4x.png").size == (4 * 41, 4 * 23)

    assert list(report["beside"]) == ["photos-s", "photos-ladder"]
    assert min(one["psnr"] for one in report["beside"].values()) > 20
    assert all(f"{one['psnr']:.2f} dB, {one['bytes']:.0f} bytes, on the same crops: {name}" in outcome.out
               for name, one in report["beside"].items())
    assert report["zoom"]["model"] == "photos-zoom"
    tokens = report["locality"]["pictures"][0]
    assert 0 < report["locality"]["area_holding_90_percent"] < 0.2 and len(tokens["shown"]) == 5
    training = report["training"]
    steps = [shot["step"] for shot in training["snapshots"]]
    assert steps == sorted(steps) and steps[0] == 0 and steps[-1] >= 4  # a step in each leg at least
    assert len(training["curve"]) == steps[-1]
    assert all(f"{shot['psnr']:.2f} dB" in outcome.err for shot in training["snapshots"])

    check_page((out / "index.html").read_text(), report)


def check_page(page, report):
    """Every picture and number is on the page, and nothing is asked of anybody else."""
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[^\"]*", "", page.split("<script>")[0]))
    assert not re.search(r"https?:|@import|<link|\bfetch\(|url\(", re.sub(r"base64,[^\"]*", "", page))
    images = re.findall(r'<img alt="([^"]*)" width="(\d+)" height="(\d+)"[^>]* src="data:image/webp;base64,', page)
    alts = [alt for alt, _, _ in images]
    for one in report["pictures"]:
        assert f"{one['name']}, photograph" in alts and f"{one['name']}, from tokens" in alts
        assert f"{one['psnr']:.2f}" in page
    shown = sum(len(one["shown"]) + 2 for one in report["locality"]["pictures"])
    shots = len(report["training"]["snapshots"]) + 2 if report["training"] else 0  # the photograph, and the curve
    assert len(images) == 2 * len(report["pictures"]) + 2 + 3 + shown + shots
    assert page.count("<img") == len(images) + 4  # two stages of two layers, which scripts fill from these


def test_without_training_and_again_over_the_old_files(tiny, model, run, tmp_path):
    for _ in range(2):
        options = "--out", tmp_path / "out", "--seconds", "0", "--json", tmp_path / "n.json"
        outcome = run("demo", "--model", model, *options)
        assert outcome.code == 0 and "fresh" not in outcome.out
        report = json.loads((tmp_path / "n.json").read_text())
        assert report["files"] == [*FILES, "index.html"] and report["training"] is None
        check_page((tmp_path / "out" / "index.html").read_text(), report)


@pytest.mark.parametrize("seconds", ["-1", "inf", "nan"])
def test_seconds_that_are_none(seconds, run, tmp_path):
    outcome = run("demo", "--out", tmp_path / "out", "--seconds", seconds)
    assert outcome.code == 1 and len(outcome.lines) == 1 and "--seconds" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there(tiny, run, tmp_path):
    outcome = run("demo", "--model", "no-such-model", "--out", tmp_path / "out")
    assert outcome.code == 1 and "no-such-model" in outcome.lines[-1]


def test_an_out_that_is_a_file(tiny, model, run, tmp_path):
    (tmp_path / "out").write_text("something")
    outcome = run("demo", "--model", model, "--out", tmp_path / "out", "--seconds", "0")
    assert outcome.code == 1 and outcome.lines[-1].startswith("tokenfield: error: cannot write")


def test_the_plan_holds_real_photographs_and_keeps_the_unseen_one_out_of_training():
    plan = tour.Plan(20.0)
    assert len(plan.pictures) == 8 and all(max(p.shape[1:]) <= 512 for p in plan.pictures.values())
    top, left, bottom, right = plan.detail
    height, width = plan.pictures[plan.zoomed].shape[1:]
    assert 0 <= top < bottom <= height and 0 <= left < right <= width
    assert set(plan.governed) <= set(plan.pictures)
    names = [path.stem for path in training_files()]
    assert len(names) == 15 and "chelsea" not in names
    assert plan.unseen.shape == (3, 256, 256) and torch.isfinite(plan.unseen).all()
