"""score as it is typed: distances, what is kept, rPSNR and rFID, neighbours, and what it refuses."""

import json

import pytest
import torch
from fixtures import smooth

from tokenfield.data.pictures import write_picture


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A labelled data set: 2 classes, 8 training and 6 held-out pictures of each; and a cache of its own."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    for split, start, count in (("train", 0, 8), ("val", 100, 6)):
        for number, name in enumerate(("cat", "dog")):
            for k in range(count):
                write_picture(tmp_path / "data" / split / name / f"{k}.png", smooth(20, 16, start + 50 * number + k))
    return tmp_path / "data"


@pytest.fixture
def samples(tmp_path):
    """A folder as generate leaves it: six samples with their fields, and a sheet, which is no sample."""
    for k in range(6):
        write_picture(tmp_path / "drawn" / f"{k:04d}.png", smooth(32, 32, 200 + k))
        (tmp_path / "drawn" / f"{k:04d}.field").touch()
    write_picture(tmp_path / "drawn" / "sheet.png", torch.zeros(3, 64, 64))
    return tmp_path / "drawn"


def scored(run, data, *options):
    outcome = run("score", *options, "--reference", data, "--layout", "imagenette", "--size", 16)
    assert outcome.code == 0, outcome.err
    return outcome


def test_distances_are_printed_and_stored_with_their_network(run, data, samples, tmp_path):
    facts = tmp_path / "score.json"
    outcome = scored(run, data, samples, "--features", "random:0", "--json", facts)
    first = json.loads(facts.read_text())
    assert "FID" in outcome.out and "features: random:0" in outcome.out and "earlier run" not in outcome.err
    assert first["generated"]["pictures"] == 6 and first["distances"]["reference"] == 12
    assert first["reference"]["classes"] == {"cat": 6, "dog": 6}
    again = scored(run, data, samples, "--features", "random:0", "--json", facts)
    assert "earlier run" in again.err and again.out == outcome.out
    assert json.loads(facts.read_text())["distances"] == first["distances"]


def test_the_reference_itself_is_at_no_distance(run, data, tmp_path):
    facts = tmp_path / "score.json"
    scored(run, data, data / "val", "--json", facts)
    numbers = json.loads(facts.read_text())["distances"]
    assert numbers["fid"] < 1e-6 and numbers["precision"] == numbers["recall"] == 1 and numbers["features"] == "pca"


def test_copies_are_called_copies(run, data, samples, tmp_path):
    facts, figure = tmp_path / "score.json", tmp_path / "near.png"
    outcome = scored(run, data, data / "train" / "cat", "--neighbours", figure, "--json", facts)
    assert "100.0% of the samples are nearer than any held-out picture" in outcome.out and figure.is_file()
    assert json.loads(facts.read_text())["neighbours"]["generated_median"] < 1e-3
    scored(run, data, samples, "--neighbours", figure, "--json", facts)
    assert json.loads(facts.read_text())["neighbours"]["generated_median"] > 0.05


def test_the_field_model_bounds_what_can_be_drawn(run, data, model, tmp_path):
    facts = tmp_path / "score.json"
    outcome = scored(run, data, "--field", model, "--json", facts)
    numbers = json.loads(facts.read_text())["reconstruction"]
    assert f"{numbers['rpsnr']:.2f}" in outcome.out and "rFID" in outcome.out and numbers["pictures"] == 12
    assert numbers["rpsnr"] > 30 and "distances" not in json.loads(facts.read_text())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing to score"),
        (("nowhere",), "no such folder"),
        (("nowhere", "--features", "inception:none.pth"), "no file none.pth"),
        (("nowhere", "--size", 0), "--size 0"),
    ],
)
def test_what_it_refuses_is_one_line(run, data, options, said):
    outcome = run("score", *options, "--reference", data, "--layout", "imagenette")
    assert outcome.code == 1 and said in outcome.lines[-1]
