"""Training on the sphere: what the loss counts, that a run resumes exactly, that data and model must fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from earth_files import LATITUDES, LONGITUDES, dataset, truth, write

from tokenfield.data.loader import Loader
from tokenfield.earth import recipes as climate
from tokenfield.earth.harmonic_field import GriddedHarmonicConfig
from tokenfield.earth.models import GriddedAnchoredConfig, GriddedAnrConfig, GriddedLainrConfig, Variable
from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.journal import read
from tokenfield.training.recipe import from_json, to_json
from tokenfield.training.session import Session

SIZE = (6, 10)


def small(recipe):
    """A recipe of this kind with a toy model on a toy grid."""
    model = recipe.model
    if isinstance(model, GriddedLainrConfig):
        sizes = replace(model.lainr, size=SIZE, patch=2, num_latents=5, latent_dim=4, encoder_dim=16, encoder_depth=1,
                        encoder_heads=2, dim=16, feature_dim=18, start="small")
        model = replace(model, lainr=sizes)
    elif isinstance(model, GriddedAnrConfig):
        sizes = replace(model.anr, size=SIZE, patch=2, num_latents=5, dim=16, encoder_dim=16, encoder_depth=1,
                        decoder_depth=1, encoder_heads=2, encoder_head_dim=8, encoder_hidden=16, heads=2, head_dim=8,
                        start="published")
        model = replace(model, anr=sizes)
    elif isinstance(model, GriddedAnchoredConfig):
        sizes = replace(model.anchored, cell=2, latent_dim=3, encoder_dim=16, decoder_dim=16, head_dim=8, harmonics=4)
        model = replace(model, anchored=sizes, size=SIZE)
    elif isinstance(model, GriddedHarmonicConfig):
        model = replace(model, size=SIZE, degree=2, patterns=3)
    files = recipe.data.files[:1] or ("*.cdf",)
    data = replace(recipe.data, size=SIZE, files=files, points=min(recipe.data.points, 13))
    return replace(recipe, model=model, data=data, steps=4, batch_size=2, accumulate=1, log_every=1, evaluate_every=4,
                   evaluate_pictures=2, checkpoint_every=2, optim=replace(recipe.optim, warmup=0, schedule="constant"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("earth")
    write(root / "coads.cdf", steps=12, hole=True)
    for step in range(21):  # ERA5 in ANR's layout
        np.save(root / f"{step:02d}.npy", truth(LATITUDES, LONGITUDES, step) + 273.15)
    return root


RUNS = [RECIPES[name] for name in RECIPES if RECIPES.places[name].module == climate.__name__]


@pytest.mark.parametrize("run", RUNS)
def test_every_recipe_trains_and_survives_json(run, folder, tmp_path):
    recipe = run()
    assert from_json(to_json(recipe)) == recipe and recipe.name == run.__name__.replace("_", "-")
    train(small(recipe), folder, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    lines = read(tmp_path / "run" / "metrics.jsonl")
    assert lines[-1]["evaluation_pictures"] >= 1
    assert pretrained.load(tmp_path / "run").config == small(recipe).model


def test_lainr_trains_on_the_plain_grid(folder, tmp_path):
    recipe = small(climate.lainr_climatology())
    recipe = replace(recipe, model=replace(recipe.model, coordinates="plane"))
    out = train(recipe, folder, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    assert read(out / "metrics.jsonl")[-1]["evaluation_pictures"] >= 1 and pretrained.load(out).config == recipe.model


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(folder, tmp_path):
    recipe = small(climate.lainr_climatology())
    options = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = pretrained.load(train(recipe, folder, tmp_path / "whole", **options))
    train(replace(recipe, steps=2), folder, tmp_path / "parts", **options)  # the rate is constant
    parts = pretrained.load(train(recipe, folder, tmp_path / "parts", resume=True, **options))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def batch_of(recipe, folder, **changes):
    source = replace(recipe.data, **changes).open(folder, "train")
    return next(iter(Loader(source, batch_size=3, seed=0, workers=0)))[1]


def test_what_a_missing_cell_holds_changes_neither_loss_nor_gradient(tmp_path):
    recipe, data = small(climate.lainr_climatology()), dataset(steps=3)
    data.SST[:, 2:5, 3:8] = np.nan
    data.to_netcdf(tmp_path / "coads.cdf", engine="scipy")
    batch = batch_of(recipe, tmp_path, points=0)  # all cells of the encoder's grid: some were not seen at all
    assert (batch["weights"] == 0).any()
    torch.manual_seed(0)
    objective = recipe.objective.build(recipe.model.build())
    results = []
    for fill in (0.0, 1e3):
        changed = {**batch, "values": batch["values"] + fill * (batch["weights"] == 0)}
        changed["inputs"] = batch["inputs"] + fill * (batch["covered"] == 0)
        loss, errors = objective(changed, torch.Generator())
        gradient = torch.autograd.grad(loss, list(objective.parameters()), allow_unused=True)
        results.append((loss, errors, [g for g in gradient if g is not None]))
    torch.testing.assert_close(results[0], results[1])


def test_the_loss_is_the_mean_over_the_seen_area_of_standardised_errors(folder):
    recipe = small(climate.anr_climatology())
    batch = batch_of(recipe, folder, points=0)
    torch.manual_seed(0)
    model = recipe.model.build()
    loss, errors = recipe.objective.build(model)(batch, torch.Generator())
    inputs, offset, scale = model.inputs(*(batch[k] for k in ("inputs", "covered", "mean", "deviation")))
    values = model.decode(model.encode(inputs), model.place(batch["places"])) / scale[:, None] + offset[:, None]
    weights = batch["weights"]
    physical = ((values - batch["values"]) ** 2 * weights).sum(1) / weights.sum(1)  # (B, 1), in degC squared
    torch.testing.assert_close(loss, (physical / batch["deviation"] ** 2).mean())
    torch.testing.assert_close(errors, (physical / batch["span"] ** 2).mean(1))  # what PSNR is the logarithm of


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: replace(r, data=replace(r.data, size=(8, 10))), r"data.size \(8, 10\) is not the model's"),
        (lambda r: replace(r, data=replace(r.data, variables=("SST", "SST"), channels="together")), "has 1; make"),
        (lambda r: replace(r, model=replace(r.model, variables=(Variable("ICE"),))), "make them agree"),
        (lambda r: replace(r, model=replace(r.model, variables=(Variable(units="K"),))), "data has units"),
        (lambda r: replace(r, data=replace(r.data, variables=("ICE",))), "none of ICE is there"),
    ],
)
def test_data_and_model_must_fit(change, words, folder, tmp_path):
    with pytest.raises(UserError, match=words):
        train(change(small(climate.lainr_climatology())), folder, tmp_path / "run",
              session=Session(device="cpu", quiet=True))


def test_era5_is_standardised_and_split_as_published():
    recipe = climate.anr_era5()
    variable = recipe.model.variables[0]
    assert (variable.offset, variable.scale, variable.units) == (260.0, 0.01, "K")
    assert recipe.data.shares == (0.85, 0.10, 0.05) and recipe.data.holdout == "last" and recipe.data.points == 0
    assert (recipe.model.coordinates, recipe.model.masked, recipe.model.anr.depth) == ("plane", False, 5)
