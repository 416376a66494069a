"""`tokenfield explain`: files, table, several models and pictures, exit codes and complaints."""

import html
import json
import re
from pathlib import Path

import pytest
import torch

from tokenfield.cli.explain import Detail, command_line
from tokenfield.cli.options import DEFAULT
from tokenfield.models import pretrained
from tokenfield.models.hyponet_field import IpcConfig


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
    for line, name in zip(outcome.out.splitlines()[1:3], ("tiny", "ipc"), strict=True):  # bytes beside PSNR
        one = report["models"][name]
        assert line.split()[-2:] == [str(one["values_stored"]), str(one["bytes"])]
        assert one["bytes"] == 4 * one["values_stored"] > 0
    assert sorted(report["models"]["ipc"]["areas"]) == ["a", "b", "c", "photo"]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"explained.html", "tokens.png", "locality.json"}
    assert (tmp_path / "o" / "explained.html").read_text().count("data:image/webp") == 4 * (3 + 2)


def test_page_and_numbers_say_every_option_that_made_them_and_no_path_of_this_machine(photo, model, tmp_path, run):
    out, facts = tmp_path / "my page", tmp_path / "facts.json"
    options = "--tokens", 5, "--maps", 9, "--queries", 3, "--size", 12, "--count", 4, "--device", "cpu"
    assert run("explain", photo, "--model", model, "-o", out, "--json", facts, *options).code == 0
    command = ("tokenfield explain photo.png --model tiny --out 'my page' --size 12 --tokens 5 --maps 9 --queries 3 "
               "--count 4 --device cpu --json facts.json")
    assert json.loads(facts.read_text())["again"] == command
    assert json.loads((out / "locality.json").read_text())["again"] == command
    made_by = re.search("<dt>made by</dt><dd><code>(.*?)</code>", (out / "explained.html").read_text())
    assert made_by is not None and html.unescape(made_by[1]) == command


def test_a_picture_is_not_replaced_by_its_own_page(photo, model, tmp_path, run):
    picture = tmp_path / "tokens.png"
    picture.write_bytes(Path(photo).read_bytes())
    outcome = run("explain", picture, "--model", model, "-o", tmp_path, *SMALL)
    assert outcome.code == 1 and "tokens.png is an input" in outcome.err
    assert picture.read_bytes() == Path(photo).read_bytes()


def test_defaults_are_not_repeated_and_relative_paths_stay():
    options = {"model": (DEFAULT,), "out": None, "device": "auto", "json": None}
    assert command_line((Path("a/b.png"),), Detail(), **options) == "tokenfield explain a/b.png"
    line = command_line((Path("a"),), Detail(tokens=6), **options | {"model": ("runs/one", "hf:owner/name")})
    assert line == "tokenfield explain a --model runs/one hf:owner/name --tokens 6"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give picture files or a folder"),
        (("nowhere.png",), "no such folder"),
        (("PHOTO", "--size", 3), "--size 3: give at least 8"),
        (("PHOTO", "--tokens", 0), "--tokens 0: give at least 1"),
        (("PHOTO", "--maps", 2), "--maps 2: give at least 8"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message, photo, model, tmp_path, run):
    arguments = [photo if argument == "PHOTO" else argument for argument in arguments]
    outcome = run("explain", *arguments, "--model", model, "-o", tmp_path / "o")
    assert outcome.code in (1, 2) and message in outcome.err and len(outcome.lines) == 1
    assert not (tmp_path / "o").exists()
