"""Weights shared out between two processes (FSDP): the run of one process, saved whole, resumed exactly."""

from dataclasses import replace
from pathlib import Path

import latent_toys as toys
import pytest
import torch
from processes import start
from safetensors.torch import load_file
from sharded_share import OPTIONS, RECIPE

from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.training import OptimConfig, sharding, train
from tokenfield.training.journal import read
from tokenfield.training.optimisers import Ema

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    out = tmp_path_factory.mktemp("latents") / "toy"
    toys.encode(toys.write_pictures(tmp_path_factory.mktemp("pictures")), out)
    return out


@pytest.fixture(scope="module")
def shared(latents, tmp_path_factory):
    """The runs of sharded_share.py on two processes."""
    out = tmp_path_factory.mktemp("shared")
    start(HERE / "sharded_share.py", latents, out, processes=2)
    return out


def same(one: Path, other: Path, atol: float) -> None:
    weights, others = load_file(one), load_file(other)
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, atol=atol, rtol=0, msg=lambda text, name=name: name + text)


def test_two_processes_that_share_the_weights_equal_one(latents, shared, tmp_path):
    """Weights, their moving average, the moments of the optimiser, and every number of the journal."""
    alone, step = train(RECIPE, latents, tmp_path / "alone", **OPTIONS), "step-00000006"
    for file in (f"{step}/model.safetensors", f"{step}/ema.safetensors", "model.safetensors"):
        same(alone / file, shared / "whole" / file, atol=2e-4)  # sums in another order, through Adam
    mine, theirs = (torch.load(out / step / "optimizer.pt", weights_only=True)[0]["state"]
                    for out in (alone, shared / "whole"))
    assert mine.keys() == theirs.keys()
    for index, slot in mine.items():
        for name, value in slot.items():
            torch.testing.assert_close(theirs[index][name], value, atol=1e-5, rtol=1e-2)
    for one, other in zip(read(alone / "metrics.jsonl"), read(shared / "whole" / "metrics.jsonl"), strict=True):
        for key in one.keys() - {"seconds", "images_per_second"}:
            assert one[key] == pytest.approx(other[key], rel=1e-4, abs=1e-4), key
    assert pretrained.load_any(shared / "whole").config == pretrained.load_any(alone).config


def test_resumed_equals_uninterrupted_to_the_bit(shared):
    for file in ("step-00000006/model.safetensors", "step-00000006/ema.safetensors", "model.safetensors"):
        same(shared / "whole" / file, shared / "halves" / file, atol=0)


def test_a_checkpoint_of_shared_weights_continues_alone(latents, shared, tmp_path):
    (tmp_path / "run").symlink_to(shared / "halves")
    longer = train(replace(RECIPE, steps=7), latents, tmp_path / "run", resume=True, **OPTIONS)
    assert read(longer / "metrics.jsonl")[-1]["step"] == 7


def test_what_cannot_be_shared_is_one_line(latents, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="start it under torchrun"):
        train(RECIPE, latents, tmp_path / "run", session=replace(OPTIONS["session"], fsdp=True))
    with pytest.raises(UserError, match="shares out denoisers, block by block; a lainr"):
        sharding.check(toys.field_model(), "adam", 2)
    with pytest.raises(UserError, match=r"muon needs whole ones; give --optim\.name adamw"):
        sharding.check(toys.RECIPE.model.build(), OptimConfig(name="muon").name, 2)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="ACCELERATE_USE_FSDP is set"):
        train(RECIPE, latents, tmp_path / "run", **OPTIONS)


def test_what_is_not_shared_stays_as_it_is():
    tensor, model = torch.randn(3, 5), toys.RECIPE.model.build()
    assert sharding.whole(tensor) is sharding.local(tensor) is sharding.like(tensor, tensor) is tensor
    again = sharding.rebuilt(sharding.skeleton(model), model, torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
    assert again.config == model.config and Ema(model, 0.9).model.config == model.config
