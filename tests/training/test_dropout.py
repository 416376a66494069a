"""Residual dropout: in training alone, a share of what parts add, and a function of seed and step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tokenfield.data import DataConfig
from tokenfield.errors import UserError
from tokenfield.models.lainr import LainrConfig
from tokenfield.nn.attention import Block
from tokenfield.training import Recipe, train
from tokenfield.training.session import Session

SIZES = LainrConfig(size=(8, 8), patch=4, padding=0, num_latents=3, latent_dim=4, encoder_dim=12, encoder_depth=2,
                    encoder_heads=3, dim=8, feature_dim=8, dropout=0.5)  # fmt: skip


def test_a_block_leaves_out_what_it_adds_in_training_alone():
    torch.manual_seed(0)
    block, x = Block(8, num_heads=2, dropout=0.5), torch.rand(1, 5, 8)
    plain = Block(8, num_heads=2)
    plain.load_state_dict(block.state_dict())
    assert torch.equal(block.eval()(x), plain(x))
    block.train()
    with torch.no_grad():
        block.mlp[2].weight.zero_()
        block.mlp[2].bias.zero_()
        plain.load_state_dict(block.state_dict())
        added = block(x) - x
    assert (added == 0).float().mean() > 0.2  # half of the numbers that attention adds
    survivors = added != 0
    torch.testing.assert_close(added[survivors], 2 * (plain(x) - x)[survivors], rtol=1e-4, atol=1e-6)


def test_a_resumed_run_is_the_run(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), np.uint8)):
        Image.fromarray(image).save(folder / f"{number}.png")
    data = DataConfig(layout="folder", size=8, crop="random_flip", holdout=0.0)
    recipe = Recipe(name="dropout", model=SIZES, data=data, steps=4, batch_size=2, evaluate_every=0, checkpoint_every=2)
    options = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = train(recipe, folder, tmp_path / "whole", **options)
    torch.manual_seed(123)  # whatever the process drew before
    part = train(recipe, folder, tmp_path / "part", session=Session(0.0, "cpu", quiet=True, workers=0))
    train(None, folder, part, resume=True, **options)
    one, other = load_file(whole / "model.safetensors"), load_file(part / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_training_draws_nothing_from_its_caller(tmp_path):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "0.png")
    data = DataConfig(layout="folder", size=8, crop="random_flip", holdout=0.0)
    recipe = Recipe(name="dropout", model=SIZES, data=data, steps=1, batch_size=2, evaluate_every=0)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train(recipe, tmp_path, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_all_cannot_be_left_out():
    with pytest.raises(UserError, match="dropout 1"):
        replace(SIZES, dropout=1.0)
