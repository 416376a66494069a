"""`tokenfield info` of what the other commands leave: latents, archives, runs; and the class names that survive."""

import json
import shlex

import pytest
from fixtures import smooth

from tokenfield.data.pictures import write_picture

SMALL = "--model.width 16 --model.depth 1 --model.heads 2 --steps 2 --evaluate-every 0 --device cpu"


@pytest.fixture
def data(tmp_path):
    """Two classes, one of them with a blank in its name; five pictures of each."""
    for number, name in enumerate(("cups of coffee", "cats")):
        for k in range(5):
            write_picture(tmp_path / "my data" / name / f"{k}.png", smooth(32, 32, 50 * number + k))
    return tmp_path / "my data"


def facts_of(run, path, tmp_path):
    assert (outcome := run("info", path, "--json", tmp_path / "facts.json")).code == 0, outcome.err
    return json.loads((tmp_path / "facts.json").read_text())


def test_latents_are_described_and_the_next_step_trains_on_them_with_their_classes(run, data, tmp_path):
    latents, denoiser = tmp_path / "my latents", tmp_path / "my denoiser"
    outcome = run("latents", "photos-s", data, "--size", 32, "-o", latents)
    facts = facts_of(run, latents, tmp_path)
    assert facts["classes"] == "cats, cups of coffee" and facts["tokens"] == "16 of 96 numbers, 4 x 4 cells"
    assert f"next: {facts['next']}" in outcome.out and facts["splits"]["train"].startswith("16 entries of 8 pictures")
    assert run(*shlex.split(f"{facts['next']} --out {shlex.quote(str(denoiser))} {SMALL}")[1:]).code == 0
    assert facts_of(run, denoiser, tmp_path)["classes"] == "cats, cups of coffee"
    outcome = run("generate", "samples", denoiser, "--class", "cup of coffee", "-o", tmp_path / "drawn")
    assert "no class is called 'cup of coffee'; did you mean cups of coffee" in outcome.err
    draw = ("generate", "samples", denoiser, "--count", 1, "--steps", 2, "--size", 32, "-o", tmp_path / "drawn")
    outcome = run(*draw, "--class", "cups of coffee")
    assert outcome.code == 0 and "1 samples (cups of coffee)" in outcome.out


def test_an_archive_says_how_many_fields_it_holds(run, data, tmp_path):
    assert run("latents", "photos-codec", data, "--bytes", "-o", tmp_path / "my.fields").code == 0
    facts = facts_of(run, tmp_path / "my.fields", tmp_path)
    assert facts["fields"] == 10 and facts["first"] == "cats/0.png" and facts["last"] == "cups of coffee/4.png"
    assert facts["bytes"] == (tmp_path / "my.fields").stat().st_size and "photos-codec" in facts["model"]


@pytest.mark.parametrize("text", ["{}", "[]", '{"lattice": 3}', "no json"])
def test_damaged_descriptions_of_latents_are_named(run, tmp_path, text):
    (tmp_path / "latents.json").write_text(text)
    outcome = run("info", tmp_path)
    assert outcome.code == 1 and "latents.json" in outcome.err and len(outcome.err.splitlines()) == 1
