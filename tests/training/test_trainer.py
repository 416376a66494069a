"""A whole run at toy size, in this process: what it leaves, what it refuses, how it stops."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from toys import LAINR, picture, toy

from tokenfield.data import DataConfig
from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.training import Diverged, Interrupted, OptimConfig, ReconstructionConfig, Session, train
from tokenfield.training import trainer as loop
from tokenfield.training.checkpoint import folders
from tokenfield.training.journal import read
from tokenfield.training.objective import Reconstruction
from tokenfield.training.recipe import read as read_recipe

SHORT = toy(steps=4, evaluate_every=2, checkpoint_every=2)


QUIET = Session(device="cpu", quiet=True, workers=0)


def run(recipe, data, out, **options):
    return train(recipe, data, out, **{"session": QUIET} | options)


def final(out):
    """The weights and averages of the newest checkpoint, and the metrics that no clock decides."""
    newest = folders(out)[-1]
    weights = {file: load_file(newest / f"{file}.safetensors") for file in ("model", "ema")}
    clocks = ("seconds", "images_per_second")
    lines = [{k: v for k, v in line.items() if k not in clocks} for line in read(out / "metrics.jsonl")]
    return weights, lines


def assert_same_run(one, other):
    (weights, lines), (others, other_lines) = final(one), final(other)
    assert lines == other_lines
    for file, tensors in weights.items():
        assert all(torch.equal(tensor, others[file][name]) for name, tensor in tensors.items())


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    """An uninterrupted run of SHORT."""
    return run(SHORT, pictures, tmp_path_factory.mktemp("whole") / "run")


def test_a_run_leaves_everything(whole):
    names = {p.name for p in whole.iterdir()}
    assert names == {
        "model.safetensors", "config.json", "README.md", "recipe.json", "metrics.jsonl", "learning_curve.png",
        "step-00000002", "step-00000004",
    }  # fmt: skip
    assert read_recipe(whole / "recipe.json") == SHORT
    state = json.loads((whole / "step-00000004" / "state.json").read_text())
    assert (state["step"], state["seed"]) == (4, 3) and "torch" in state["versions"]


def test_the_exported_weights_are_the_moving_average(whole):
    averaged = load_file(whole / "step-00000004" / "ema.safetensors")
    for name, tensor in pretrained.load(whole).state_dict().items():
        assert torch.equal(tensor, averaged[name])


def test_metrics_are_one_line_per_log_and_one_per_evaluation(whole):
    lines = read(whole / "metrics.jsonl")
    assert [line["step"] for line in lines] == [2, 2, 4, 4]
    trained, evaluated = lines[2], lines[3]
    assert trained.keys() == {"step", "loss", "psnr", "rate", "images", "seconds", "images_per_second"}
    assert evaluated.keys() == {"step", "evaluation_psnr", "evaluation_pictures"}
    assert trained["images"] == 16
    assert evaluated["evaluation_pictures"] == 3  # of seven pictures, hashes hold three out


def test_the_callback_sees_every_line(pictures, tmp_path):
    calls = []
    run(SHORT, pictures, tmp_path / "run", callback=lambda step, metrics: calls.append((step, metrics)))
    assert [metrics for _, metrics in calls] == read(tmp_path / "run" / "metrics.jsonl")
    assert [step for step, _ in calls] == [2, 2, 4, 4]


def test_the_number_of_workers_changes_nothing(whole, pictures, tmp_path):
    assert_same_run(run(SHORT, pictures, tmp_path / "run", session=replace(QUIET, workers=2)), whole)


def test_global_randomness_neither_matters_nor_is_touched(whole, pictures, tmp_path):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert_same_run(run(SHORT, pictures, tmp_path / "run"), whole)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_says_how_to_resume_and_resuming_equals_never_having_stopped(
    whole, pictures, tmp_path, signum, capsys
):
    out, handler = tmp_path / "run", signal.getsignal(signum)
    steps = []

    def interrupt(step, metrics):
        steps.append(step)
        os.kill(os.getpid(), signum)

    with pytest.raises(Interrupted) as stopped:
        run(toy(**vars(SHORT) | {"log_every": 3, "evaluate_every": 0}), pictures, out,
            session=replace(QUIET, quiet=False), callback=interrupt)
    assert stopped.value.code == 128 + signum
    assert steps == [3]
    assert [p.name for p in folders(out)] == ["step-00000002", "step-00000003"]
    said = " ".join(capsys.readouterr().err.split())
    assert "interrupted after step 3 of 4" in said
    assert f"tokenfield train {out}/recipe.json --data {pictures} --out {out} --resume" in said
    assert signal.getsignal(signum) is handler
    run(None, pictures, out, resume=True)
    weights, _ = final(out)
    expected, _ = final(whole)
    assert all(torch.equal(tensor, expected["model"][name]) for name, tensor in weights["model"].items())


def test_a_run_continues_between_two_lines_of_metrics(pictures, tmp_path):
    recipe = toy(steps=6, log_every=6, evaluate_every=0, checkpoint_every=2)
    whole = run(recipe, pictures, tmp_path / "whole")
    part = tmp_path / "part"
    one_step = replace(QUIET, max_seconds=0.0)  # the line at step 6 averages over both sessions
    run(recipe, pictures, part, session=one_step)
    assert [p.name for p in folders(part)] == ["step-00000001"]
    assert_same_run(run(recipe, pictures, part, resume=True), whole)


def test_a_spent_budget_evaluates_saves_exports_and_returns(pictures, tmp_path, capsys):
    out = run(toy(), pictures, tmp_path / "run", session=replace(QUIET, max_seconds=0.0, quiet=False))
    assert [p.name for p in folders(out)] == ["step-00000001"]
    assert "evaluation_psnr" in read(out / "metrics.jsonl")[-1]
    assert pretrained.load(out).config == LAINR
    said = " ".join(capsys.readouterr().err.split())
    assert "the budget is spent after step 1 of 20; everything is saved. To continue: " in said


def test_a_finished_run_that_is_resumed_only_exports_again(pictures, tmp_path):
    out = run(SHORT, pictures, tmp_path / "run")
    (out / "model.safetensors").unlink()
    run(SHORT, pictures, out, resume=True)
    assert pretrained.load(out)
    assert [line["step"] for line in read(out / "metrics.jsonl")] == [2, 2, 4, 4]


def test_a_constant_rate_can_be_trained_further(pictures, tmp_path):
    short = toy(steps=2, optim=OptimConfig(rate=1e-3), evaluate_every=0)
    longer = toy(steps=4, optim=OptimConfig(rate=1e-3), evaluate_every=0)
    out = run(short, pictures, tmp_path / "run")
    run(longer, pictures, out, resume=True)
    whole = run(longer, pictures, tmp_path / "whole")
    assert_same_run(out, whole)


def test_accumulated_parts_equal_the_whole_batch(pictures, tmp_path):
    adam = {"optim": OptimConfig(rate=1e-3), "steps": 3, "evaluate_every": 0}
    one = final(run(toy(**adam), pictures, tmp_path / "one"))[0]["model"]
    two = final(run(toy(**adam, accumulate=2), pictures, tmp_path / "two"))[0]["model"]
    for name, tensor in one.items():
        # Adam's first steps are the sign of the gradient: rounding moves a weight whose gradient is all but zero by a
        # whole step of 1e-3, so what is compared is the average.
        assert (two[name] - tensor).abs().mean() < 2e-5, name


def test_a_run_with_recomputed_blocks_is_the_run(whole, pictures, tmp_path):
    assert_same_run(run(replace(SHORT, recompute=True), pictures, tmp_path / "run"), whole)


def test_row_blocks_train_the_same(pictures, tmp_path):
    sgd_like = {"optim": OptimConfig(name="muon", rate=1e-3), "steps": 2, "evaluate_every": 0}
    one = final(run(toy(**sgd_like), pictures, tmp_path / "one"))[1]
    two_coordinates = ReconstructionConfig(jitter="axis", fraction=0.5, subset="grid", row_blocks=3)
    two = final(run(toy(**sgd_like, objective=two_coordinates), pictures, tmp_path / "two"))[1]
    assert two[-1]["loss"] == pytest.approx(one[-1]["loss"], rel=1e-4)


def test_a_loss_that_is_not_finite_names_step_recipe_and_last_good_checkpoint(pictures, tmp_path, monkeypatch):

    forward = Reconstruction.forward
    calls = []

    def poisoned(self, images, generator):
        calls.append(1)
        loss, errors = forward(self, images, generator)
        return (loss * float("nan") if len(calls) == 4 else loss), errors

    monkeypatch.setattr(Reconstruction, "forward", poisoned)
    out = tmp_path / "run"
    with pytest.raises(Diverged) as error:
        run(toy(steps=8, log_every=6, checkpoint_every=3, evaluate_every=0), pictures, out)
    said = str(error.value)
    assert "the loss is nan at step 4 of recipe toy" in said
    assert str(out / "recipe.json") in said and "step-00000003" in said
    assert [p.name for p in folders(out)] == ["step-00000003"]


def test_weights_that_are_not_finite_are_never_saved(pictures, tmp_path, monkeypatch):
    step = loop.Trainer.step

    def poisoned(self, batch):
        step(self, batch)
        if self.state.step == 3:
            next(self.model.parameters()).data[0] = float("inf")

    monkeypatch.setattr(loop.Trainer, "step", poisoned)
    out = tmp_path / "run"
    with pytest.raises(Diverged, match=r"not finite after step 3 .*last good checkpoint is none"):
        run(toy(checkpoint_every=3, evaluate_every=0), pictures, out)
    assert folders(out) == []


def refused(said, recipe, data, out, **options):
    with pytest.raises(UserError) as error:
        run(recipe, data, out, **options)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_what_cannot_be_trained_is_refused_in_one_line(whole, pictures, tmp_path):
    fresh = tmp_path / "fresh"
    refused("holds a trained run already", SHORT, pictures, whole)
    refused("holds another run: seed: 3 became 8", toy(**vars(SHORT) | {"seed": 8}), pictures, whole, resume=True)
    refused("nothing to resume", SHORT, pictures, fresh, resume=True)
    refused("no recipe was given", None, pictures, fresh)
    refused("no such folder", SHORT, tmp_path / "nowhere", fresh)
    refused("is 11x11, the model takes 13x13", toy(data=DataConfig(size=11, crop="center")), pictures, fresh)
    (tmp_path / "file").write_text("")
    refused("a part of the path is a file", SHORT, pictures, tmp_path / "file" / "run")
    assert not fresh.exists()


def test_cells_that_do_not_divide_the_pictures_are_refused(pictures, tmp_path):
    refused("no multiple of the model's 8-pixel cells", toy(model=AnchoredConfig()), pictures, tmp_path / "run")


def test_a_model_that_starts_from_its_pictures_sees_some(pictures, tmp_path):
    config = AnchoredConfig(
        cell=4, latent_dim=24, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1, head_dim=8, harmonics=8
    )
    recipe = toy(
        model=config, data=DataConfig(size=12, crop="random_flip"), steps=2,
        objective=ReconstructionConfig(jitter="none")
    )
    out = run(recipe, pictures, tmp_path / "run")
    assert read(out / "metrics.jsonl")[0]["psnr"] > 25  # half the components of smooth pictures; untrained: below 15


def test_damaged_pictures_are_named_and_the_run_goes_on(tmp_path):
    from PIL import Image

    for number in range(6):
        path = tmp_path / "pictures" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture(number)).save(path)
    torn = tmp_path / "pictures" / "torn.png"
    torn.write_bytes((tmp_path / "pictures" / "0.png").read_bytes()[:90])
    recipe = toy(steps=12, evaluate_every=0, checkpoint_every=12)
    with pytest.warns(UserWarning, match="torn.png"):
        run(recipe, tmp_path / "pictures", tmp_path / "run", session=replace(QUIET, quiet=False))
