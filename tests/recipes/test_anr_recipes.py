"""The runs of ANR: the published numbers in this package's units, and a run that stops and goes on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.miniature import tiny
from tokenfield.models import pretrained
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.session import Session


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(random.integers(0, 256, (23, 19, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", ["anr-celeba-128", "anr-lsun-256"])
def test_the_published_runs_line_by_line(name):
    """docs/papers.md, "ANR": pictures, noise, optimiser, accumulation, clipping, moving average, steps, sizes."""
    recipe = RECIPES[name]()
    optim, coordinates, model = recipe.optim, recipe.objective, recipe.model
    assert (recipe.batch_size, recipe.accumulate, recipe.steps) == (6 * 3, 3, 200_000)
    assert (optim.name, optim.rate, optim.betas, optim.schedule) == ("adam", 5e-5, (0.9, 0.99), "constant")
    assert (optim.weight_decay, optim.warmup) == (0, 0)
    assert recipe.clip_norm == 1.0 / 4  # of a loss on [0, 1]: the next test
    assert (recipe.ema_decay, recipe.ema_every) == (0.995, 10)
    assert (coordinates.jitter, coordinates.noise, coordinates.fraction) == ("normal", "instance", 1.0)
    assert (model.encoder_dim, model.encoder_heads, model.encoder_head_dim, model.encoder_hidden) == (512, 6, 64, 3072)
    assert (model.encoder_depth, model.decoder_depth, model.num_latents, model.dim, model.depth) == (6, 6, 256, 512, 5)
    assert (model.sigma, model.sigmas) == (1024.0, ())
    assert model.cutoff / model.num_latents == pytest.approx(0.0015)


def test_celeba_at_128_is_cut_into_169_patches():
    model, data = RECIPES["anr-celeba-128"]().model, RECIPES["anr-celeba-128"]().data
    assert (model.size, model.patch, model.padding, data.size, data.crop) == ((128, 128), 10, 1, 128, "center")
    assert data.layout == "celeba_anr"
    assert model.build().encoder.position.shape == (169, 512)


def test_clipping_is_the_same_on_both_ranges():
    torch.manual_seed(0)
    recipe = tiny(RECIPES["anr-celeba-128"]())
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


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(pictures, tmp_path):
    recipe = tiny(RECIPES["anr-celeba-128"](), steps=4)
    recipe = replace(recipe, data=replace(recipe.data, layout="folder", crop="center"), checkpoint_every=2)
    options = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = pretrained.load(train(recipe, pictures, tmp_path / "whole", **options))
    train(replace(recipe, steps=2), pictures, tmp_path / "parts", **options)  # the rate is constant
    parts = pretrained.load(train(recipe, pictures, tmp_path / "parts", resume=True, **options))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
    assert "evaluation_psnr" in (tmp_path / "whole" / "metrics.jsonl").read_text()
