"""The studies' recipes: they differ from the run that they stand beside as they say, store what they say, and train."""

from dataclasses import replace

import pytest
import torch
from view_tools import miniature

from experiments import recipes
from experiments.miniature import tiny
from tokenfield.data.pictures import write_picture
from tokenfield.models import pretrained
from tokenfield.recipes import baselines
from tokenfield.recipes.photos import lainr_photos_64, lainr_photos_178
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.recipe import fresh_model, from_json, to_json
from tokenfield.training.session import Session

NAMES = [name for name, place in RECIPES.places.items() if place.module == recipes.__name__]
ANCHORED, PLANE, CUTOUTS = "lainr-anchored-photos-64", "lainr-climatology-plane", "cutouts-32-ipc"
GARMENTS = ("fashion-28-ipc", "fashion-28-anchored", "fashion-28-spatial-functa")
VIEWS = [name for name in NAMES if name.startswith("views-")]
RIVALS = ["ipc", "trans-inr", "learned-init", "composed"]
COMPOSITIONS = ["anr-photos-178-multiband", "lainr-photos-178-localized"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("pictures"), torch.Generator().manual_seed(0)
    for number in range(5):
        write_picture(folder / f"{number}.png", torch.rand(3, 23, 19, generator=draw))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_survives_json_under_its_own_name(name):
    recipe = RECIPES[name]()
    assert recipe.name == name and RECIPES.places[name].summary()
    assert from_json(to_json(recipe)) == recipe


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (ANCHORED, PLANE, CUTOUTS, *GARMENTS, *VIEWS)])
def test_at_miniature_size_it_trains(name, pictures, tmp_path):
    recipe = tiny(RECIPES[name]())
    recipe = replace(recipe, data=replace(recipe.data, holdout=0.3))
    out = train(recipe, pictures, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    assert "evaluation_psnr" in (out / "metrics.jsonl").read_text()


def test_the_others_can_be_built():
    assert all(fresh_model(miniature(RECIPES[name]())).num_parameters for name in VIEWS)
    assert fresh_model(RECIPES[ANCHORED]()).name == "lainr-anchored"
    assert fresh_model(RECIPES[PLANE]()).config.in_dim == 2


@pytest.mark.parametrize("base", [lainr_photos_64(), lainr_photos_178()], ids=lambda base: base.name)
@pytest.mark.parametrize("system", RIVALS)
def test_a_rival_differs_by_its_model_alone(system, base):
    rival = RECIPES[f"{system}-{base.name.removeprefix('lainr-')}"]()
    objective = baselines.CENTRES if system == "learned-init" else rival.objective
    assert rival == replace(base, name=rival.name, model=rival.model, objective=objective)


@pytest.mark.parametrize("name", [*(f"{system}-photos-178" for system in RIVALS), *COMPOSITIONS])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(name, pictures, tmp_path):
    recipe = tiny(RECIPES[name](), steps=4)
    data = replace(recipe.data, layout="folder", crop="center", holdout=0.3)
    coordinates = replace(recipe.objective, row_blocks=3)
    recipe = replace(recipe, data=data, objective=coordinates, checkpoint_every=2)
    quiet = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = pretrained.load(train(recipe, pictures, tmp_path / "whole", **quiet))
    half = replace(recipe, steps=2)  # the rate is constant: a shorter run is the beginning of the longer one
    train(half, pictures, tmp_path / "parts", **quiet)
    parts = pretrained.load(train(recipe, pictures, tmp_path / "parts", resume=True, **quiet))
    assert pretrained.model_hash(parts) == pretrained.model_hash(whole)
    fresh = recipe.model.build().state_dict()
    assert any(not torch.equal(tensor, fresh[key]) for key, tensor in whole.state_dict().items())


def test_the_denoiser_of_cut_outs_fits_the_latents_of_ipc():
    field, denoiser = RECIPES[CUTOUTS]().model.build(), RECIPES["ldm-cutouts-32"]().model
    with torch.no_grad():
        tokens = field.eval().encode(torch.rand(1, 3, 32, 32))
    assert tokens.shape == (1, denoiser.tokens, denoiser.latent_dim)


def test_photo_runs_store_what_they_say():
    for name, ours in (("lainr-photos-64", "latent_dim"), ("anr-photos-64", "dim")):
        model = RECIPES[name]().model
        assert model.num_latents * getattr(model, ours) == 6144
    for system, expected in {"ipc": 6144, "trans-inr": 8576, "learned-init": 65_920, "composed": 6144}.items():
        with torch.device("meta"):
            model = RECIPES[f"{system}-photos-64"]().model.build()
        stored = model.decoder.aggregator.net if system == "composed" else model.net
        assert stored.layout.values == stored.layout.count * stored.layout.width == expected
    for name, values in (("functa-photos-64", 512), ("spatial-functa-photos-64", 6144)):
        assert torch.Size(RECIPES[name]().model.build().shape).numel() == values
    assert RECIPES["functa-photos-64"]().model.build().siren.num_shifts == 512


@pytest.mark.parametrize("name", GARMENTS)
def test_models_of_garments_store_as_much_as_lainr_and_see_the_same(name):
    base, recipe = RECIPES["fashion-28-lainr"](), RECIPES[name]()
    pictures = torch.rand(2, recipe.data.channels, recipe.data.size, recipe.data.size)
    with torch.no_grad():
        tokens = [fresh_model(each).eval().encode(pictures).flatten(1, -2) for each in (base, recipe)]
    assert tokens[0][0].numel() == tokens[1][0].numel() == 384
    assert (recipe.data, recipe.steps, recipe.batch_size) == (base.data, base.steps, base.batch_size)
