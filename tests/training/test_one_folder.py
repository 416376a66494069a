"""One run, one folder: locks, damaged papers, going on after the end, and starting from trained weights."""

import json
import shlex
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from toys import LAINR, toy

from tokenfield.cli import app
from tokenfield.errors import UserError
from tokenfield.io.lock import LOCK, locked
from tokenfield.models import pretrained
from tokenfield.training import OptimConfig, Session, train
from tokenfield.training.checkpoint import folders
from tokenfield.training.folder import resume_hint, stored_recipe
from tokenfield.training.journal import read
from tokenfield.training.recipe import fresh_model, on_top_of, recipe_hash, to_json

QUIET = Session(device="cpu", quiet=True, workers=0)
FALLING = OptimConfig(rate=1e-3, schedule="cosine")
SHORT = toy(steps=4, evaluate_every=0, checkpoint_every=2, log_every=1, optim=FALLING)


def run(recipe, data, out, **options):
    return train(recipe, data, out, **{"session": QUIET} | options)


def weights(out):
    return load_file(folders(out)[-1] / "model.safetensors")


def same(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    return run(SHORT, pictures, tmp_path_factory.mktemp("one") / "run")


def test_two_runs_do_not_share_a_folder(pictures, tmp_path):
    out = tmp_path / "run"
    with locked(out):
        for options in ({}, {"resume": True}):
            with pytest.raises(UserError, match=r"being written into by process \d+ on .* another folder"):
                run(SHORT, pictures, out, **options)
    assert not out.exists()
    out.mkdir()
    (out / LOCK).write_text("process 1 on a machine that lost its power\n")
    run(SHORT, pictures, out)
    assert not (out / LOCK).exists()


def test_a_refused_run_leaves_no_folder(pictures, tmp_path):
    with pytest.raises(UserError, match="nothing to resume"):
        run(SHORT, pictures, tmp_path / "new" / "run", resume=True)
    assert not (tmp_path / "new" / "run").exists()


DAMAGE = {
    "recipe cut short": ("recipe.json", lambda path: path.write_bytes(path.read_bytes()[:50])),
    "recipe missing": ("recipe.json", lambda path: path.unlink()),
    "recipe of another kind": ("recipe.json", lambda path: path.write_text("[]")),
    "metrics no text": ("metrics.jsonl", lambda path: path.write_bytes(b"\xff\xfe\0" + path.read_bytes())),
    "metrics with a bad line": ("metrics.jsonl", lambda path: path.write_text('{"step": 1}\n[]\n{"a": 1}\nnull\n{"st')),
    "metrics missing": ("metrics.jsonl", lambda path: path.unlink()),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_papers_do_not_stop_a_resume_whose_checkpoints_are_whole(name, whole, pictures, tmp_path):
    """Nor the hint that was printed before, which names one of them."""
    out, (file, damage) = tmp_path / "run", DAMAGE[name]
    run(SHORT, pictures, out, session=replace(QUIET, max_seconds=0.0))
    damage(out / file)
    words = shlex.split(resume_hint(pictures, out, QUIET))
    command = app.parse(words[words.index("train") :])
    assert command.args[0] == SHORT and command.keywords["out"] == out
    run(None, pictures, out, resume=True)
    assert same(weights(out), weights(whole)) and json.loads((out / "recipe.json").read_text()) == to_json(SHORT)
    assert read(out / "metrics.jsonl")[-1]["step"] == 4


def test_a_finished_run_goes_on_under_a_rate_that_rises_again_and_says_so(whole, pictures, tmp_path, capsys):
    out = run(SHORT, pictures, tmp_path / "run")
    longer = replace(SHORT, steps=6)
    run(longer, pictures, out, resume=True, session=replace(QUIET, quiet=False))
    assert "a warm restart: the run of 4 steps is finished" in " ".join(capsys.readouterr().err.split())
    assert folders(out)[-1].name == "step-00000006" and stored_recipe(out).steps == 6
    rates = {line["step"]: line["rate"] for line in read(out / "metrics.jsonl") if "rate" in line}
    assert rates[5] > rates[4]
    part = tmp_path / "part"
    run(SHORT, pictures, part, session=replace(QUIET, max_seconds=0.0))
    with pytest.raises(UserError, match="steps: 4 became 6"):  # it would be another run from the beginning
        run(longer, pictures, part, resume=True)
    with pytest.raises(UserError, match="steps: 6 became 5"):
        run(replace(SHORT, steps=5), pictures, out, resume=True)
    constant = replace(SHORT, optim=OptimConfig(rate=1e-3, schedule="constant"))
    run(constant, pictures, tmp_path / "constant")
    with pytest.raises(UserError, match="holds 4 steps already; give more --steps"):
        run(replace(constant, steps=2), pictures, tmp_path / "constant", resume=True)


@pytest.mark.parametrize("session, processes", [(QUIET, 1), (Session(fsdp=True), 2)])
def test_the_hint_is_a_command_that_works_as_printed(whole, pictures, session, processes, monkeypatch):
    words = shlex.split(resume_hint(pictures, whole, session, processes))
    words = words[words.index("tokenfield") + 1 :]
    command = app.parse(words)
    assert command.keywords["out"] == whole and command.keywords["options"].resume
    assert command.args[0] == SHORT and command.keywords["session"].fsdp == session.fsdp


def test_names_with_blanks_and_dashes_come_back_from_the_hint(tmp_path):
    words = shlex.split(resume_hint(tmp_path / "my 'own' pictures", tmp_path / "a run; rm -rf", QUIET))
    assert str(tmp_path / "my 'own' pictures") in words and str(tmp_path / "a run; rm -rf") in words


def test_a_run_starts_from_trained_weights(whole, pictures, tmp_path):
    recipe = on_top_of(toy(steps=2, evaluate_every=0), str(whole))
    assert recipe.start == str(whole) and recipe.model == LAINR
    assert same(fresh_model(recipe).state_dict(), pretrained.load(whole).state_dict())
    out = run(recipe, pictures, tmp_path / "fine")
    assert not same(weights(out), weights(run(toy(steps=2, evaluate_every=0), pictures, tmp_path / "fresh")))
    assert stored_recipe(out) == recipe
    run(None, pictures, out, resume=True)


def test_a_start_is_of_the_recipe_s_system_and_configuration(whole):
    with pytest.raises(UserError, match=r"it is a model of lainr, the recipe trains anchored; .*train lainr --from"):
        from tokenfield.models.anchored import AnchoredConfig

        on_top_of(toy(model=AnchoredConfig()), str(whole))
    with pytest.raises(UserError, match="configuration is another one"):
        fresh_model(replace(toy(model=replace(LAINR, dim=2 * LAINR.dim)), start=str(whole)))
    with pytest.raises(UserError, match="no model 'nosuch'"):
        on_top_of(toy(), "nosuch")


def test_runs_without_a_start_are_what_they_were(whole):
    assert recipe_hash(toy()) == recipe_hash(replace(toy(), start="")) != recipe_hash(replace(toy(), start="a"))


def test_from_is_an_option_of_train(whole, pictures, tmp_path):
    command = app.parse(["train", "lainr", "--data", str(pictures), "--from", str(whole), "--steps", "3",
                         "--out", str(tmp_path / "x")])
    recipe = command.args[0]
    assert recipe.start == str(whole) and recipe.model == LAINR and recipe.steps == 3
    assert recipe.data.size == max(LAINR.size)
