"""`tokenfield explain`: files, table, several models and pictures, exit codes and complaints."""

import json

import pytest
import torch

from tokenfield import pretrained
from tokenfield.models.ipc import IpcConfig


@pytest.fixture(scope="module")
def ipc(tmp_path_factory) -> str:
    """A folder with a system that has no attention from coordinates to tokens."""
    torch.manual_seed(0)
    config = IpcConfig(size=(10, 10), patch=5, padding=0, num_latents=3, encoder_dim=16, encoder_depth=1,
                       encoder_heads=2, dim=8, feature_dim=8)
    return str(pretrained.save(config.build().eval(), tmp_path_factory.mktemp("models") / "ipc"))


SMALL = "--size", 12, "--maps", 8, "--queries", 4


def test_models_and_pictures_side_by_side(photo, folder, model, ipc, tmp_path, run):
    places = "-o", tmp_path / "o", "--json", tmp_path / "j"
    outcome = run("explain", photo, folder, "--model", model, ipc, *places, *SMALL)
    assert outcome.code == 3 and "empty.jpg" in outcome.err  # two of the folder cannot be read: named and counted
    assert [line.split()[0] for line in outcome.out.splitlines()[1:3]] == ["tiny", "ipc"]
    assert "ipc: This system has no attention" in outcome.out and "tiny: This system" not in outcome.out
    report = json.loads((tmp_path / "j").read_text())
    assert report["models"]["tiny"]["tokens"] == 9 and report["models"]["ipc"]["tokens"] == 3
    assert sorted(report["models"]["ipc"]["areas"]) == ["a", "b", "c", "photo"]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"explained.html", "tokens.png", "locality.json"}
    assert (tmp_path / "o" / "explained.html").read_text().count("data:image/webp") == 4 * (3 + 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give picture files or a folder"),
        (("nowhere.png",), "no such folder"),
        (("PHOTO", "--size", 3), "at least 8 pixels"),
        (("PHOTO", "--tokens", 0), "--tokens 0; give at least 1"),
        (("PHOTO", "--maps", 2), "--maps 2; give at least 8"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, said, photo, model, tmp_path, run):
    arguments = [photo if argument == "PHOTO" else argument for argument in arguments]
    outcome = run("explain", *arguments, "--model", model, "-o", tmp_path / "o")
    assert outcome.code in (1, 2) and said in outcome.err and len(outcome.lines) == 1
    assert not (tmp_path / "o").exists()
