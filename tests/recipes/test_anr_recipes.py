"""The runs of ANR: the published numbers in this package's units, and a run that stops and goes on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield import pretrained
from tokenfield.recipes import RECIPES, miniature
from tokenfield.training import train

NAMES = ["anr-celeba-128", "anr-photos-64-multiband", "lainr-photos-64-localized"]
"""One run of each system; every recipe takes its steps in another test."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(random.integers(0, 256, (23, 19, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def test_the_published_run_in_our_units():
    recipe = RECIPES["anr-celeba-128"]()
    assert (recipe.batch_size, recipe.accumulate, recipe.steps) == (6 * 3, 3, 200_000)
    assert (recipe.optim.name, recipe.optim.rate, recipe.optim.betas) == ("adam", 5e-5, (0.9, 0.99))
    assert recipe.model.cutoff / recipe.model.num_latents == pytest.approx(0.0015)
    assert recipe.coordinates.jitter == "normal"
    assert recipe.ema_decay**10 == pytest.approx(0.995, abs=1e-4)


def test_clipping_is_the_same_on_both_ranges():
    torch.manual_seed(0)
    recipe = miniature(RECIPES["anr-celeba-128"]())
    model, (height, width) = recipe.model.build(), recipe.model.size
    images = torch.rand(2, 3, height, width)
    values = model.decode(model.encode(images), torch.rand(11, 2))
    target = torch.rand_like(values)

    def norm(loss):
        gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients]).norm()

    ours = norm((values - target).square().mean())
    theirs = norm(((2 * values - 1) - (2 * target - 1)).square().mean())  # on [-1, 1]
    torch.testing.assert_close(ours / recipe.clip_norm, theirs / 1.0)


def test_all_photo_runs_store_equally_much():
    sizes = {"lainr-photos-64": ("num_latents", "latent_dim"), "anr-photos-64": ("num_latents", "dim")}
    assert {getattr(RECIPES[n]().model, r) * getattr(RECIPES[n]().model, d) for n, (r, d) in sizes.items()} == {6144}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(name, pictures, tmp_path):
    recipe = miniature(RECIPES[name](), steps=4)
    recipe = replace(recipe, data=replace(recipe.data, layout="folder", crop="center"), checkpoint_every=2)
    options = {"quiet": True, "device": "cpu", "workers": 0}
    whole = pretrained.load(train(recipe, pictures, tmp_path / "whole", **options))
    train(replace(recipe, steps=2), pictures, tmp_path / "parts", **options)  # the rate is constant
    parts = pretrained.load(train(recipe, pictures, tmp_path / "parts", resume=True, **options))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
    assert "evaluation_psnr" in (tmp_path / "whole" / "metrics.jsonl").read_text()
