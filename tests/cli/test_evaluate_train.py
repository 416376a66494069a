"""evaluate and train as they are typed: tables, JSON, resuming, and models of runs that have not ended."""

import json
import re
import shlex
from itertools import pairwise

import pytest

from tokenfield.data.demo_pictures import HELD_OUT
from tokenfield.data.pictures import read_picture, write_picture
from tokenfield.models import pretrained
from tokenfield.registry import MODELS, RECIPES
from tokenfield.training import recipe as recipes

OVERRIDES = """
    --model.size 16 16 --model.patch 8 --model.encoder-dim 32 --model.encoder-heads 2 --model.encoder-depth 1
    --model.num-latents 7 --model.latent-dim 11 --model.dim 16 --model.feature-dim 16 --data.size 16 --steps 6
    --batch-size 2 --evaluate-every 6 --evaluate-pictures 2 --checkpoint-every 2 --log-every 2 --quiet
"""
MINIATURE = OVERRIDES.split()


def load(path):
    return json.loads(path.read_text())


@pytest.fixture
def photographs(folder):
    """The good pictures of `folder`, enlarged to what the recipe takes."""
    for name in ("cut.png", "empty.jpg"):
        (folder / name).unlink()
    for path in folder.rglob("*.*"):
        write_picture(path, read_picture(path).repeat_interleave(2, 1).repeat_interleave(2, 2))
    return folder


@pytest.fixture
def trained(run, photographs, tmp_path):
    """A run of six steps."""
    out = tmp_path / "trained"
    outcome = run("train", "lainr-photos-64", "--data", photographs, "--out", out, *MINIATURE)
    assert outcome.code == 0, outcome.err
    return out


def test_held_out_photographs_beside_the_floor(run, model, tmp_path):
    facts = tmp_path / "eval.json"
    outcome = run("evaluate", model, "--against", "pca", "--json", facts, "--save", tmp_path / "seen", "--keep", 1)
    assert outcome.code == 0
    data = load(facts)
    assert data["protocol"]["name"] == "skimage256" and data["count"] == 8
    assert [score["name"] for score in data["pictures"]] == list(HELD_OUT)
    # 24 values per cell of 4 x 4 x 3: a rate of 1/2, at which the packaged basis gives 45.97 dB (its own test).
    assert data["values_per_pixel_value"] == 0.5 and data["pca_psnr"] == pytest.approx(45.97, abs=0.02)
    assert f"{data['psnr'] - data['pca_psnr']:+.2f} dB against principal components" in outcome.out
    for name in HELD_OUT:
        assert name in outcome.out
    names = {path.name.split("-")[0] for path in (tmp_path / "seen").iterdir()}
    assert names == {"worst", "best"} and "2 files" in outcome.err


def test_a_folder_and_a_draw_from_it(run, model, photographs, tmp_path):
    facts = tmp_path / "eval.json"
    assert run("evaluate", model, "--data", photographs, "--size", 11, "--json", facts).code == 0
    data = load(facts)
    assert data["protocol"]["name"] == "folder"
    assert [(s["name"], s["height"], s["width"]) for s in data["pictures"]] == [
        ("a.jpg", 11, 11), ("b.png", 11, 11), ("sub/c.png", 11, 11)]
    panels = []
    for seed in (1, 1, 2, 3, 4, 5):
        run("evaluate", model, "--data", photographs, "--count", 1, "--seed", seed, "--json", facts)
        data = load(facts)
        assert data["count"] == 1 and data["settings"]["seed"] == seed
        panels.append(data["pictures"][0]["name"])
    assert panels[0] == panels[1] and len(set(panels)) > 1


def test_of_many_pictures_the_worst_are_listed(run, model, photographs, monkeypatch):
    monkeypatch.setattr("tokenfield.cli.evaluate.LISTED", 2)
    outcome = run("evaluate", model, "--data", photographs)
    assert "The 1 worst of 3 pictures" in outcome.out and "mean of 3" in outcome.out


def test_training_says_where_everything_is(run, trained, photographs, tmp_path):
    assert {"config.json", "model.safetensors", "recipe.json", "metrics.jsonl"} <= {
        path.name for path in trained.iterdir()}
    stored = recipes.read(trained / "recipe.json")
    assert stored.steps == 6 and stored.model.latent_dim == 11 and stored.optim == RECIPES["lainr-photos-64"]().optim
    outcome = run("info", trained)
    assert outcome.code == 0 and "6 of 6" in outcome.out and "lainr-photos-64" in outcome.out
    facts = tmp_path / "eval.json"
    assert run("evaluate", trained, "--data", photographs, "--protocol", "recipe", "--json", facts).code == 0
    scored = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    held_out = [line for line in scored if "evaluation_psnr" in line][-1]
    assert load(facts)["count"] >= held_out["evaluation_pictures"]
    same = load(facts)["pictures"][: held_out["evaluation_pictures"]]
    mean = sum(score["psnr"] for score in same) / len(same)
    assert mean == pytest.approx(held_out["evaluation_psnr"], abs=1e-3)


def test_resuming_needs_no_override_again_and_refuses_a_new_one(run, photographs, tmp_path):
    out, facts = tmp_path / "stopped", tmp_path / "train.json"
    command = ("train", "lainr-photos-64", "--data", photographs)
    assert run(*command, "--out", out, *MINIATURE, "--max-seconds", 0).code == 0
    assert "1 of 6" in run("info", out).out
    outcome = run(*command, "--out", out, "--resume", "--optim.rate", 0.5)
    assert outcome.code == 1 and "optim.rate" in outcome.err
    assert run(*command, "--out", out, "--resume", "--json", facts).code == 0
    assert load(facts)["training"]["step"] == 6
    longer = run(*command, "--out", out, "--resume", "--steps", 7, "--json", facts)  # allowed: the rate is constant
    assert longer.code == 0 and load(facts)["training"]["step"] == 7


def test_resumed_weights_are_those_of_the_whole_run(run, photographs, tmp_path):
    out, whole = tmp_path / "stopped", tmp_path / "whole"
    command = ("train", "lainr-photos-64", "--data", photographs)
    run(*command, "--out", whole, *MINIATURE)
    run(*command, "--out", out, *MINIATURE, "--max-seconds", 0)
    run(*command, "--out", out, "--resume")
    assert pretrained.model_hash(pretrained.load(out)) == pretrained.model_hash(pretrained.load(whole))


def test_a_recipe_can_be_the_file_of_an_earlier_run(run, trained, photographs, tmp_path):
    again = tmp_path / "again"
    assert run("train", trained / "recipe.json", "--data", photographs, "--out", again, "--quiet").code == 0
    assert pretrained.model_hash(pretrained.load(again)) == pretrained.model_hash(pretrained.load(trained))


def test_a_run_that_has_not_ended_gives_its_newest_whole_checkpoint(run, trained, photographs, tmp_path):
    exported = pretrained.model_hash(pretrained.load(trained))
    (trained / pretrained.WEIGHTS).unlink()
    facts = tmp_path / "eval.json"
    outcome = run("evaluate", trained, "--data", photographs, "--json", facts)
    assert outcome.code == 0 and "checkpoint after step 6" in outcome.err
    assert load(facts)["model"]["hash"] == exported
    (trained / "step-00000006" / "model.safetensors").write_bytes(b"")
    outcome = run("evaluate", trained, "--data", photographs)
    assert outcome.code == 0 and "step-00000006 is damaged" in outcome.err and "after step 4" in outcome.err
    (trained / "step-00000004" / "model.safetensors").write_bytes(b"")
    outcome = run("evaluate", trained, "--data", photographs)
    assert outcome.code == 1 and "every checkpoint" in outcome.lines[-1]


def test_help_lists_recipes_and_every_option_of_one(run):
    outcome = run("train", "--help")
    assert outcome.code == 0
    positions = [outcome.out.index(f"  {name} ") for name in (*RECIPES, *MODELS)]
    assert all(earlier < later for earlier, later in pairwise(positions))
    for heading in ("Photographs, any folder of them:", "LAINR as published:", "Systems:"):
        assert f"\n{heading}\n" in outcome.out
    outcome = run("train", "anchored-photos-s", "--help")
    assert outcome.code == 0
    for option in ("--data FOLDER", "--model.latent-dim", "--optim.rate", "--data.layout", "--steps", "--resume"):
        assert option in outcome.out


def test_a_system_is_trained_by_its_name(run, photographs, tmp_path):
    out = tmp_path / "lainr"
    overrides = MINIATURE[: MINIATURE.index("--steps")]
    options = "--model.start", "small", "--steps", 2, "--batch-size", 2, "--evaluate-pictures", 1, "--quiet"
    outcome = run("train", "lainr", "--data", photographs, "--out", out, *overrides, *options)
    assert outcome.code == 0, outcome.err
    recipe = recipes.read(out / "recipe.json")
    assert recipe.name == "lainr" and recipe.model.dim == 16 and recipe.steps == 2
    (step,) = re.findall(r"^next: tokenfield (evaluate .*)$", outcome.out, re.MULTILINE)
    measured = run(*shlex.split(step))  # the run's own held-out pictures
    assert measured.code == 0 and "protocol recipe" in measured.out, measured.err


def test_a_mistyped_recipe_or_system_gets_the_three_nearest(run):
    for name, meant in (("lainr-photo-64", "lainr-photos-64"), ("anchord", "anchored"), ("zzz", "")):
        outcome = run("train", name, "--data", ".")
        assert outcome.code == 1 and len(outcome.lines) == 1
        near = outcome.err.split("did you mean ")[1].split("?")[0].replace(" or ", ", ").split(", ")
        assert len(near) == 3 and all(one in RECIPES or one in MODELS for one in near) and (not meant or meant in near)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_options(run, name, tmp_path):
    outcome = run("train", name, "--data", tmp_path / "nothing", "--out", tmp_path / "out", "--seed", 1)
    assert outcome.code == 1 and "nothing" in outcome.lines[-1] and len(outcome.lines) == 1


def test_a_rate_of_a_nested_model_is_measured_as_encoded_for_it(run, tmp_path):
    outcome = run("evaluate", "photos-ladder", "--rate", 0.0625, "--against", "pca", "--json", tmp_path / "out.json")
    assert outcome.code == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["values_per_pixel_value"] == 0.0625 and report["settings"]["rate"] == 0.0625
    assert report["psnr"] > report["pca_psnr"] + 2.5  # 32.87 against 30.24 dB
    assert run("evaluate", "photos-s", "--rate", 0.0625).code == 1
