"""`tokenfield film`: a film goes in and comes out, and what makes no sense is one line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_films import RATE, build, pictures, waves, write

import tokenfield
from tokenfield.film.files import read_film, write_film
from tokenfield.models import pretrained


@pytest.fixture
def place(tmp_path):
    """A model's folder and a folder of films."""
    pretrained.save(build("ipc"), tmp_path / "model")
    write(tmp_path / "data" / "a", waves(9, 11, 17))
    write(tmp_path / "data" / "sub" / "b", waves(3, 7, 9))
    write_film(tmp_path / "c.webp", pictures(waves(5, 7, 11)), RATE)
    return tmp_path


def encoded(place, run, *options):
    return run("film", "encode", place / "data" / "a", "--model", place / "model", "-o", place / "a.field", *options)


def test_a_film_comes_back_as_long_and_large_as_it_was(place, run):
    outcome = encoded(place, run, "--json", place / "e.json", "--rate", RATE)
    assert outcome.code == 0 and "9 frames of 17 x 11" in outcome.out and "PSNR" in outcome.out
    (item,) = json.loads((place / "e.json").read_text())["items"]
    assert item["values_per_pixel_value"] == pytest.approx(item["values_stored"] / (9 * 11 * 17 * 3))
    assert run("decode", place / "a.field", "--model", place / "model").code == 0  # by the core's verb
    film, rate = read_film(place / "a.webp", 3)
    assert film.shape == (3, 9, 11, 17) and rate == pytest.approx(RATE, rel=0.01)


def test_slower_finer_and_of_one_moment(place, run):
    encoded(place, run)
    options = "--model", place / "model"
    assert run("film", "decode", place / "a.field", "-o", place / "slow.gif", "--rate", 50, "--slow", 5, "--scale",
               2, *options).code == 0
    film, rate = read_film(place / "slow.gif", 3)
    assert film.shape == (3, 18, 22, 34) and rate == pytest.approx(10)
    outcome = run("film", "decode", place / "a.field", "-o", place / "m.png", "--at", 0.1, *options)
    assert outcome.code == 0 and Image.open(place / "m.png").size == (17, 11)
    outcome = run("film", "decode", place / "a.field", "-o", place / "p.png", "--at", 0.1, "--crop", 2, 3, 5, 7,
                  *options)
    part, whole = (np.asarray(Image.open(place / name)).astype(int) for name in ("p.png", "m.png"))
    assert outcome.code == 0 and abs(part - whole[2:7, 3:10]).max() <= 1


def test_info_says_frames_and_rate(place, run):
    encoded(place, run, "--rate", RATE)
    outcome = run("info", place / "a.field", "--json", place / "i.json")
    facts = json.loads((place / "i.json").read_text())
    assert outcome.code == 0 and (facts["frames"], facts["rate"]) == (9, RATE)
    assert facts["picture"] == "17 x 11 x 9 samples" and "tokenfield film" in run("info", place / "model").out


def test_a_folder_is_encoded_and_its_damaged_film_named(place, run):
    (place / "data" / "sub" / "b" / "f1.png").write_bytes(b"no picture")
    outcome = run("film", "encode", place / "data", "--model", place / "model", "-o", place / "fields", "--half")
    assert outcome.code == 3 and "b" in outcome.err and len(outcome.out.splitlines()) == 1
    assert (place / "fields" / "a.field").exists()


def test_evaluate_gives_a_row_each_and_the_mean(place, run):
    outcome = run("film", "evaluate", place / "model", "--data", place / "data", "--split", "all", "--json",
                  place / "r.json", "--table", place / "t.csv")
    report = json.loads((place / "r.json").read_text())
    assert outcome.code == 0 and report["films"] == 2
    assert report["psnr"] == pytest.approx(sum(item["psnr"] for item in report["scores"]) / 2)
    assert len((place / "t.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(("words", "line"), [
    (("film", "encode", "nowhere.mp4", "--model", "MODEL"), "no such file"),
    (("film", "encode", "DATA/a", "--model", "photos-s"), "takes pictures, not films"),
    (("film", "encode", "DATA/a", "--model", "MODEL", "--rate", "0"), "frames a second"),
    (("film", "decode", "FIELD", "--model", "MODEL", "--at", "7"), "this film takes"),
    (("film", "decode", "FIELD", "--model", "MODEL", "--slow", "0"), "above 0"),
    (("film", "decode", "FIELD", "--model", "MODEL", "--rate", "0"), "frames a second"),
    (("film", "decode", "FIELD", "--model", "MODEL", "--size", "0"), "at least 1"),
    (("film", "decode", "FIELD", "--model", "MODEL", "-o", "a.mkv"), ".webp"),
    (("film", "decode", "FIELD", "--model", "MODEL", "-o", "a.png"), "--at SECONDS"),
    (("film", "evaluate", "MODEL", "--data", "nowhere"), "no such folder"),
])  # fmt: skip
def test_what_makes_no_sense_is_one_line(place, run, words, line):
    encoded(place, run)
    places = {"MODEL": place / "model", "FIELD": place / "a.field", "DATA/a": place / "data" / "a"}
    outcome = run(*(places.get(word, word) for word in words))
    assert outcome.code in (1, 2) and line in outcome.err and len(outcome.err.strip().splitlines()) == 1


def test_the_python_of_the_page_runs_as_it_stands(place, monkeypatch):
    """docs/signals.md, with a toy model and a toy film where it has its own."""
    page = (Path(__file__).parents[2] / "docs" / "signals.md").read_text()
    (code,) = re.findall(r"```python\n(from tokenfield\.film.*?)```", page, re.DOTALL)
    pretrained.save(build("lainr"), place / "runs" / "lainr-film")
    write(place / "build" / "films" / "test" / "castle", waves(5, 11, 17))
    monkeypatch.chdir(place)
    names = {"tokenfield": tokenfield, "torch": torch, "Path": Path}
    exec(compile(code, "docs/signals.md", "exec"), names)
    assert names["field"].domain.rate == names["rate"] == 25
