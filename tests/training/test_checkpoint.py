"""Checkpoints: complete or absent, checked when read, refused when foreign."""

import errno
import json
import os

import pytest
import torch
from toys import LAINR, RECIPE

from tokenfield.errors import UserError
from tokenfield.training import OptimConfig, checkpoint
from tokenfield.training.checkpoint import Training, folders, load_newest, save, verify
from tokenfield.training.optimisers import build_optimizers
from tokenfield.training.recipe import to_json


def training(seed=1, config=LAINR) -> Training:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, ema = config.build(), config.build()
    optimizers = build_optimizers(OptimConfig(name="muon"), model)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    for optimizer in optimizers:
        optimizer.step()
    return Training(model, ema, optimizers)


def save_steps(out, *steps, keep=9):
    state = training()
    for state.step in steps:
        save(out, state.snapshot(), to_json(RECIPE), {"note": "x"}, keep)
    return state


def everything(state: Training):
    tensors = [*state.model.state_dict().values(), *state.ema.state_dict().values()]
    for optimizer in state.optimizers:
        for slot in optimizer.state_dict()["state"].values():
            tensors += [torch.as_tensor(value) for value in slot.values()]
    return tensors


def test_what_is_saved_is_what_is_loaded(tmp_path):
    saved = save_steps(tmp_path, 5)
    loaded = training(seed=2)
    state = load_newest(tmp_path, loaded, lambda recipe, step: None, print)
    assert (loaded.step, state["note"]) == (5, "x")
    pairs = list(zip(everything(saved), everything(loaded), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert load_newest(tmp_path, training(), lambda recipe, step: None, print) is None


def test_the_newest_few_remain(tmp_path):
    save_steps(tmp_path, 1, 2, 3, 4, keep=2)
    assert [p.name for p in folders(tmp_path)] == ["step-00000003", "step-00000004"]


FILES = ["model.safetensors", "ema.safetensors", "optimizer.pt", "recipe.json", "state.json"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(tmp_path, file, damage):
    save_steps(tmp_path, 3, 7)
    path = checkpoint.path_of(tmp_path, 7) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    messages = []
    loaded = training()
    load_newest(tmp_path, loaded, lambda recipe, step: None, messages.append)
    assert loaded.step == 3
    assert len(messages) == 1 and "step-00000007 is damaged" in messages[0] and file in messages[0]


def test_if_all_are_damaged_they_are_named(tmp_path):
    save_steps(tmp_path, 3, 7)
    for path in folders(tmp_path):
        (path / "state.json").write_text("{}")
    with pytest.raises(UserError, match=r"every checkpoint .*step-00000003, step-00000007"):
        load_newest(tmp_path, training(), lambda recipe, step: None, print)


def test_a_damaged_later_checkpoint_is_replaced(tmp_path):
    save_steps(tmp_path, 3, 7)
    (checkpoint.path_of(tmp_path, 7) / "state.json").write_text("{}")
    save_steps(tmp_path, 5)
    assert [p.name for p in folders(tmp_path)] == ["step-00000003", "step-00000005"]


def test_leftovers_of_a_killed_process_are_no_checkpoints_and_go_away(tmp_path):
    (tmp_path / ".tmp-step-00000009").mkdir()
    (tmp_path / "step-notes").mkdir()
    assert folders(tmp_path) == []
    save_steps(tmp_path, 2)
    assert not (tmp_path / ".tmp-step-00000009").exists()


def test_other_shapes_are_refused_by_name(tmp_path):
    import dataclasses

    save_steps(tmp_path, 2)
    other = training(config=dataclasses.replace(LAINR, latent_dim=12))
    with pytest.raises(UserError, match=r"encoder\.out\.weight is \(11, 32\), but this model needs \(12, 32\)"):
        load_newest(tmp_path, other, lambda recipe, step: None, print)


def test_another_recipe_is_refused_before_anything_is_changed(tmp_path):
    save_steps(tmp_path, 2)
    loaded = training(seed=2)
    before = [t.clone() for t in everything(loaded)]

    def refuse(recipe, step):
        assert recipe["name"] == "toy"
        raise UserError("another run")

    with pytest.raises(UserError, match="another run"):
        load_newest(tmp_path, loaded, refuse, print)
    assert all(torch.equal(a, b) for a, b in zip(before, everything(loaded), strict=True))


def test_the_optimizer_file_cannot_run_code(tmp_path):
    save_steps(tmp_path, 2)
    path = checkpoint.path_of(tmp_path, 2)

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save(Evil(), path / "optimizer.pt")
    state = json.loads((path / "state.json").read_text())
    state["sha256"]["optimizer.pt"] = checkpoint._digest(path / "optimizer.pt")
    (path / "state.json").write_text(json.dumps(checkpoint._sealed(state)))
    verify(path)  # the digests fit: a forgery, not damage
    with pytest.raises(UserError, match=r"optimizer.pt is damaged"):
        load_newest(tmp_path, training(), lambda recipe, step: None, print)
    assert not (tmp_path / "owned").exists()


def test_a_full_disk_leaves_the_earlier_checkpoint_and_says_so(tmp_path, monkeypatch):
    state = save_steps(tmp_path, 2)
    state.step = 4

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="step-00000004: the disk is full; the last good checkpoint is step-00000002"):
        save(tmp_path, state.snapshot(), to_json(RECIPE), {}, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000002"]
    verify(checkpoint.path_of(tmp_path, 2))
