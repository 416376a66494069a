"""`python -m experiments.fields.superres`: files, table, exit codes and complaints."""

import json

import pytest
import torch
from fixtures import typist

from experiments.fields.superres import main
from tokenfield.data.pictures import write_picture
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig


@pytest.fixture
def run(capsys):
    """Types a command line: `run("photos-s", "--scales", 2)`."""
    return typist(capsys, main)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> str:
    """A folder with a model for pictures of 8 x 8 pixels, trained, so its recipe says, with normal noise."""
    torch.manual_seed(0)
    config = LainrConfig(
        size=(8, 8), patch=4, padding=0, num_latents=3, latent_dim=7, encoder_dim=16, encoder_depth=1,
        encoder_heads=2, dim=8, feature_dim=8, sigmas=(8.0,), sigma_q=2.0, heads=1,
    )
    folder = pretrained.save(config.build().eval(), tmp_path_factory.mktemp("models") / "small")
    (folder / "recipe.json").write_text(json.dumps({"objective": {"jitter": "normal"}}))
    return str(folder)


@pytest.fixture
def large(tmp_path):
    for number in range(2):
        write_picture(tmp_path / "large" / f"{number}.png", torch.rand(3, 33, 40 + number))
    return tmp_path / "large"


def test_one_command_makes_table_figures_and_json(small, model, large, tmp_path, run):
    write_picture(large / "tiny.png", torch.rand(3, 9, 9))
    outcome = run(small, model, "--data", large, "--scales", 2, 4, "-o", tmp_path / "o")
    assert outcome.code == 3 and "tiny.png" in outcome.err and "is 9 x 9" in outcome.err  # skipped, named, counted
    rows = [line.split()[0] for line in outcome.out.splitlines()[1:5]]
    assert rows == ["bicubic", "lanczos", "small", "tiny"]
    report = json.loads((tmp_path / "o" / "superres.json").read_text())
    assert report["size"] == 8 and report["count"] == 2 and report["methods"][2]["noise"] == "normal"
    assert report["command"].startswith("python -m experiments.fields.superres ") and report["skipped"]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "superres.json", "superres.md", "spectrum.png", "details.png"
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scales", 1), "whole numbers of at least 2"),
        (("--scales", 2, 2), "each once"),
        (("--size", 4), "at least 8 pixels"),
        (("--size", 16), "no photograph is large enough"),
        (("--data", "nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_is_one_line(options, message, small, large, tmp_path, run):
    outcome = run(small, "--data", large, "-o", tmp_path / "o", *options)
    assert outcome.code == 1 and message in outcome.err and len(outcome.lines) == 1
    assert not (tmp_path / "o").exists()


def test_two_folders_of_one_name_keep_their_paths(small, run, large, tmp_path):
    outcome = run(small, small, "--data", large, "-o", tmp_path / "o")
    assert outcome.code == 1 and "given twice" in outcome.err
