"""The studies' recipes: they differ from the run that they stand beside as they say, store what they say, and train."""

from dataclasses import replace

import pytest
import torch
from view_tools import miniature

from experiments import recipes
from experiments.miniature import tiny
from tokenfield.data.pictures import write_picture
from tokenfield.recipes import baselines
from tokenfield.recipes.photos import lainr_photos_64
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.recipe import fresh_model, from_json, to_json
from tokenfield.training.session import Session

NAMES = [name for name, place in RECIPES.places.items() if place.module == recipes.__name__]
ANCHORED, PLANE = "lainr-anchored-photos-64", "lainr-climatology-plane"
VIEWS = [name for name in NAMES if name.startswith("views-")]


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


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (ANCHORED, PLANE, *VIEWS)])
def test_at_miniature_size_it_trains(name, pictures, tmp_path):
    recipe = tiny(RECIPES[name]())
    recipe = replace(recipe, data=replace(recipe.data, holdout=0.3))
    out = train(recipe, pictures, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    assert "evaluation_psnr" in (out / "metrics.jsonl").read_text()


def test_the_others_can_be_built():
    assert all(fresh_model(miniature(RECIPES[name]())).num_parameters for name in VIEWS)
    assert fresh_model(RECIPES[ANCHORED]()).name == "lainr-anchored"
    assert fresh_model(RECIPES[PLANE]()).config.in_dim == 2


@pytest.mark.parametrize("system", ["ipc", "trans-inr", "learned-init", "composed"])
def test_a_rival_differs_by_its_model_alone(system):
    rival = RECIPES[f"{system}-photos-64"]()
    objective = baselines.CENTRES if system == "learned-init" else rival.objective
    assert rival == replace(lainr_photos_64(), name=rival.name, model=rival.model, objective=objective)


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
