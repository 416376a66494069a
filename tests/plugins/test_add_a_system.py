"""The package of docs/add-a-system.md, as it stands on the page: installed by pip, and then known to every command.

It is built without a network into a folder that only the processes started here have on their path.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import processes
import pytest
import torch
from fixtures import smooth

from tokenfield.data import write_picture

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-system.md").read_text()
FILES = dict(re.findall(r"^`([\w/.]+)`\n\n```\w+\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
COMMAND_LINES = re.findall(r"^tokenfield (.*)$", PAGE, re.MULTILINE)
STEPS = ("--steps", 6, "--batch-size", 2, "--evaluate-every", 6, "--checkpoint-every", 6, "--workers", 0,
         "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which pip has installed the page's package."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "site"))
    for name, text in FILES.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", "--target", target, source], check=True)
    return target


@pytest.fixture(scope="module")
def start(site, tmp_path_factory):
    """`start("encode", ...)`: a command in a process of its own that finds the package; what it printed."""
    home = tmp_path_factory.mktemp("home")

    def start(*argv: object) -> str:
        done = processes.start("tokenfield", *argv, cwd=home, PYTHONPATH=site, TOKENFIELD_CACHE=home)
        return done.stdout + done.stderr

    return start


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder of five pictures of 80 x 72 pixels."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(5):
        write_picture(folder / f"{seed}.png", smooth(80, 72, seed))
    return folder


@pytest.fixture(scope="module")
def trained(start, photos, tmp_path_factory) -> Path:
    """A run of the page's recipe, a few steps long, with an option of the page's configuration."""
    out = tmp_path_factory.mktemp("runs") / "grid"
    start("train", "grid-photos-64", "--data", photos, "--out", out, "--model.dim", 48, "--data.holdout", 0.4, *STEPS)
    return out


def test_the_page_is_complete():
    assert set(FILES) == {"gridfield/model.py", "gridfield/recipes.py", "gridfield/plugin.py", "pyproject.toml"}
    assert len(FILES["gridfield/model.py"].splitlines()) < 90
    assert {line.split()[0] for line in COMMAND_LINES} == {
        "train", "evaluate", "encode", "decode", "info", "explain", "compare"}


def test_lists_name_it(start):
    assert "grid-photos-64" in start("train", "--help")


def test_its_options_have_its_help(start):
    assert "numbers per token" in start("train", "grid-photos-64", "--help").lower()


def test_encode_decode_info(start, trained, photos, tmp_path):
    file, picture = tmp_path / "0.field", tmp_path / "0.png"
    start("encode", photos / "0.png", "-o", file, "--model", trained)
    output = start("info", file)
    assert "bilinear-grid" in output and "10 x 9" in output
    start("decode", file, "-o", picture)
    assert picture.stat().st_size > 0


def test_evaluate(start, trained, photos, tmp_path):
    start("evaluate", trained, "--data", photos, "--json", tmp_path / "scores.json")
    assert "psnr" in (tmp_path / "scores.json").read_text().lower()


def test_explain_says_what_its_tokens_are(start, trained, photos, tmp_path):
    output = start("explain", photos / "0.png", "--model", trained, "-o", tmp_path / "explained", "--size", 64)
    page = (tmp_path / "explained" / "explained.html").read_text()
    assert "a vector of features at the centre of a cell" in output + page
    assert "weights or shifts of a network" not in output + page


def test_trained_by_its_name(start, photos, tmp_path):
    start("train", "bilinear-grid", "--data", photos, "--out", tmp_path / "run", "--data.holdout", 0.4, *STEPS)
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["model"]["name"] == "bilinear-grid"


def test_compared(start, photos, tmp_path):
    start("compare", "bilinear-grid", "--data", photos, "-o", tmp_path / "out", "--budget", "steps=2",
          "--size", 32, "--pictures", 1)
    assert "bilinear-grid" in (tmp_path / "out" / "table.md").read_text()


@pytest.fixture
def grid(site, monkeypatch):
    """The page's module, in this process."""
    monkeypatch.syspath_prepend(str(site))
    import gridfield.model

    yield gridfield.model
    for name in [name for name in sys.modules if name.split(".")[0] == "gridfield"]:
        del sys.modules[name]


def test_halo_and_reach_are_enough(grid):
    """A field worked on in small blocks is the field of the whole picture."""
    from tokenfield.coords import Grid
    from tokenfield.fields.lattice import Lattice

    torch.manual_seed(0)
    model, picture = grid.GridConfig(cell=4, dim=11, hidden=13).build().eval(), smooth(52, 44)
    blocks = Lattice((52, 44), 4, block=3)
    with torch.no_grad():
        tokens = model.encode(picture[None])
        torch.testing.assert_close(blocks.encode(model, picture), tokens[0])
        points = Grid.cells(29, 31)
        whole = model.decode(tokens, points)[0]
        pieces = blocks.on_grid(model, tokens[0], points)
    torch.testing.assert_close(pieces.movedim(0, -1).flatten(0, 1), whole, atol=1e-5, rtol=0)


def test_bad_sizes_are_one_line(grid):
    from tokenfield.errors import UserError

    with pytest.raises(UserError, match="cell 0"):
        grid.GridConfig(cell=0)
