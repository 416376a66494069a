"""`tokenfield compare` as it is typed: systems made alike, trained once, one table in four formats."""

import json

import pytest
import torch

from tokenfield.cli.train import find_recipe
from tokenfield.comparison import systems
from tokenfield.data.pictures import write_picture
from tokenfield.errors import UserError
from tokenfield.evaluation.tables import as_csv, as_latex
from tokenfield.recipes import baselines
from tokenfield.registry import RECIPES
from tokenfield.training.recipe import to_json


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Two training pictures and one to test on."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    draw = torch.Generator().manual_seed(0)
    for name in ("train/a.png", "train/b.png", "test/c.png"):
        write_picture(tmp_path / "pool" / name, torch.rand(3, 34, 37, generator=draw))
    return tmp_path / "pool"


def test_a_table_of_systems(run, pool, tmp_path):
    """A system, a recipe and a recipe's file; the same command again trains nothing, one seed more that seed alone."""
    file = tmp_path / "mine" / "recipe.json"
    file.parent.mkdir()
    file.write_text(json.dumps(to_json(RECIPES["anr-photos"]())))
    argv = ["anchored", "lainr-photos-64", file, "--budget", "steps=1", "--data", pool, "--size", 16, "-o",
            tmp_path / "out", "--runs", tmp_path / "runs", "--device", "cpu"]  # fmt: skip
    outcome = run("compare", *argv, "--json", tmp_path / "table.json")
    assert outcome.code == 0, outcome.err
    rows = json.loads((tmp_path / "table.json").read_text())["table"]["rows"]
    assert [row["label"] for row in rows] == ["anchored", "lainr-photos-64", "mine"]
    assert all(abs(row["values_stored"] - rows[0]["values_stored"]) <= 0.02 * rows[0]["values_stored"] for row in rows)
    assert all(set(row["runs"][0]["pictures"]) == set(rows[0]["runs"][0]["pictures"]) for row in rows)
    names = {"table.json", "table.md", "table.csv", "table.tex", "figure.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert "| anchored |" in outcome.out and str(tmp_path) not in (tmp_path / "out" / "table.json").read_text()
    folders = {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()}
    assert run("compare", *argv, "--seeds", 2, "--max-seconds", 0).code == 1  # seed 0 is there, seed 1 not begun
    assert {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()} == folders


def test_no_more_pictures_are_measured_than_asked_for(run, pool, tmp_path):
    argv = ["anchored", "--budget", "steps=1", "--data", pool, "--size", 16, "-o", tmp_path / "out", "--runs",
            tmp_path / "runs", "--device", "cpu", "--json", tmp_path / "table.json"]  # fmt: skip
    counts = []
    for options in ((), ("--pictures", 1)):
        assert run("compare", *argv, *options).code == 0
        row = json.loads((tmp_path / "table.json").read_text())["table"]["rows"][0]
        counts.append(len(row["runs"][0]["pictures"]))
    assert counts[0] > 1 and counts[1] == 1


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("3", "--budget", "steps=1"), "python -m experiments.tables 3"),
        (("figure-1", "race-64", "--budget", "steps=1"), "python -m experiments.tables figure-1 race-64"),
        (("lainrr", "--budget", "steps=1"), "lainr"),
        (("ldm-imagenet-256", "--budget", "steps=1"), "is not trained on pictures"),
        (("anr", "--budget", "steps=1", "--size", "17"), "give another --size"),
        (("anr", "--budget", "epochs=1"), "give steps=1200"),
        (("anr", "--budget", "steps=1", "--seeds", "0"), "at least 1"),
    ],
)
def test_bad_input(run, argv, reason):
    outcome = run("compare", *argv, "--data", ".")
    assert outcome.code == 1 and reason in outcome.err and len(outcome.lines) == 1


def test_a_table_of_the_papers_needs_no_options_to_be_recognised(run):
    outcome = run("compare", "3")
    assert outcome.code == 1 and "python -m experiments.tables 3" in outcome.err and len(outcome.lines) == 1
    assert run("compare", "lainr").code == 2  # of a system they are


def test_stored_values_follow_the_first_system():
    """By tokens, groups or the width of a token, whichever the system has, as nearly as it can."""
    lainr = find_recipe("lainr-photos-64")
    recipes = [lainr, find_recipe("ipc-photos"), find_recipe("anr-photos"), baselines.trans_inr(lainr, groups=16),
               find_recipe("spatial-functa")]
    rows = systems.rows([(recipe.name, recipe) for recipe in recipes], size=64, values=3072)
    values = [systems.stored_values(row.recipe, 64) for row in rows]
    assert values == [3072, 3072, 3072, 19 * 128, 3072]  # TransINR: 4 groups in 4 layers, and 3 rows of the last
    own = systems.rows([(recipe.name, recipe) for recipe in recipes], values=0)
    assert [row.recipe.model for row in own] == [recipe.model for recipe in recipes]
    learned = baselines.learned_init(lainr)
    assert systems.rows([("x", learned)], values=10)[0].recipe.model == learned.model


def test_a_size_that_a_model_cannot_have():
    with pytest.raises(UserError, match=r"ipc-photos at 63 x 63 pixels: .*; give another --size"):
        systems.rows([("ipc-photos", find_recipe("ipc-photos"))], size=63)


def test_formats():
    rows = [["system", "PSNR, dB"], ["LAINR, R = 5_0 %", "21.00 ± 1.41"]]
    assert as_csv(rows) == 'system,"PSNR, dB"\n"LAINR, R = 5_0 %",21.00 ± 1.41\n'
    latex = as_latex(rows)
    assert r"LAINR, R = 5\_0 \% & 21.00 $\pm$ 1.41 \\" in latex and latex.startswith(r"\begin{tabular}{lr}")
