"""Recipes of denoisers: the published hyperparameters, and miniatures whose parts fit each other."""

import math

import pytest
import torch

from tokenfield.registry import RECIPES


def test_the_published_run_has_the_paper_s_hyperparameters():
    recipe = RECIPES["ldm-imagenet-256"]()
    model, optim = recipe.model, recipe.optim
    assert (model.tokens, model.latent_dim, model.classes) == (256, 256, 1000)
    assert (model.depth, model.width, model.heads, model.prediction, model.steps) == (24, 1024, 16, "sample", 1000)
    assert (optim.name, optim.rate, optim.schedule, optim.warmup) == ("adam", 1e-4, "constant", 0)
    assert (recipe.batch_size, recipe.ema_decay, recipe.objective.label_dropout) == (256, 0.9999, 0.1)
    assert math.isclose(recipe.steps * recipe.batch_size / 1_281_167, 400, rel_tol=1e-6)


def test_its_latents_are_those_of_the_published_field_model():
    field, denoiser = RECIPES["lainr-imagenet-256"]().model, RECIPES["ldm-imagenet-256"]().model
    assert (field.num_latents, field.latent_dim) == (denoiser.tokens, denoiser.latent_dim)


@pytest.mark.parametrize(("name", "denoiser"), [
    ("cutouts-32-lainr", "ldm-cutouts-32"), ("cutouts-32-anchored", "ldm-cutouts-32"),
    ("fashion-28-lainr", "ldm-fashion-28"),
])  # fmt: skip
def test_one_denoiser_fits_the_latents_of_each_field_model(name, denoiser):
    recipe, denoiser = RECIPES[name](), RECIPES[denoiser]().model
    field, side = recipe.model.build(), recipe.data.size
    with torch.no_grad():
        tokens = field.eval().encode(torch.rand(1, recipe.data.channels, side, side)).flatten(1, -2)
    assert tokens.shape == (1, denoiser.tokens, denoiser.latent_dim)


@pytest.mark.parametrize("name", ["ldm-imagenet-256", "ldm-cutouts-32", "ldm-fashion-28"])
def test_flow_differs_from_diffusion_in_the_prediction_alone(name):
    diffusion, flow = (RECIPES[n]() for n in (name, f"{name}-flow"))
    assert flow.model.prediction == "velocity" and diffusion.model.prediction == "sample"
    for field in set(flow.__dataclass_fields__) - {"name", "model"}:
        assert getattr(flow, field) == getattr(diffusion, field), field


def test_denoisers_of_lattices_fit_their_latents_and_have_the_size_of_that_of_sets():
    field, recipe = RECIPES["cutouts-32-anchored"]().model, RECIPES["ldm-cutouts-32-anchored"]()
    sets, lattices = RECIPES["ldm-cutouts-32"](), recipe.model
    assert lattices.latent_dim == field.latent_dim and recipe.data.lattice and not recipe.data.part
    for key in ("width", "depth", "heads", "classes", "prediction"):
        assert getattr(lattices, key) == getattr(sets.model, key), key
    photos = RECIPES["ldm-photos-64-anchored"]()
    assert photos.model.latent_dim == 96 and photos.data.part * 8 == 64  # photos-s: tokens of 96, cells of 8 pixels
    assert 2 * photos.model.build().reach < photos.data.part  # some token of a part sees no border


def test_recipes_are_called_what_their_functions_are_called():
    names = [name for name in RECIPES if RECIPES.places[name].module == "tokenfield.generation.recipes"]
    assert len(names) == 11 and all(RECIPES[name]().name == name for name in names)
