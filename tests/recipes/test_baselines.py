"""The rivals' runs: LAINR's with another model, and nothing else changed."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.miniature import tiny
from tokenfield.models import pretrained
from tokenfield.recipes import baselines
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.session import Session

NAMES = [name for name, place in RECIPES.places.items() if place.module == "tokenfield.recipes.baselines"]
SYSTEMS = ["ipc", "trans-inr", "learned-init", "composed"]
PAIRS = {
    "celeba-178": "lainr-celeba-178",
    "ffhq-178": "lainr-ffhq-178",
    "imagenette-178": "lainr-imagenette-178",
    "ffhq-256": "lainr-ffhq-256",
    "ffhq-512": "lainr-ffhq-512",
    "ffhq-1024": "lainr-ffhq-1024",
    "ablation": "lainr-ablation",
    "ablation-ffhq-256": "lainr-ablation-ffhq-256",
    "photos": "lainr-photos",
    "photos-178": "lainr-photos-178",
}
"""What is left of a rival's name, and the run it is compared with."""


def split(name):
    system = next(system for system in SYSTEMS if name.startswith(f"{system}-"))
    return system, name.removeprefix(f"{system}-")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(random.integers(0, 256, (23, 19, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_rival_differs_by_its_model_alone(name):
    system, pictures = split(name)
    rival, lainr = RECIPES[name](), RECIPES[PAIRS[pictures]]()
    changed = {"name": name, "model": rival.model}
    if system == "learned-init":  # which adapts at pixel centres and, on ImageNette, trains as long as IPC's code does
        changed |= {"objective": baselines.CENTRES, "steps": rival.steps}
        assert rival.steps == (473_450 if pictures == "imagenette-178" else lainr.steps)
    assert rival == replace(lainr, **changed)
    model, theirs = getattr(rival.model, "lainr", rival.model), lainr.model
    fields = ["size", "channels", "dim", "feature_dim", "encoder_dim", "encoder_depth", "encoder_heads", "dropout"]
    fields += [] if name == "ipc-ffhq-1024" else ["patch"]
    fields += ["start"] if theirs.start == "published" else []
    for field in fields:
        assert getattr(model, field, getattr(theirs, field)) == getattr(theirs, field)


def test_bandwidths_and_patches_of_rivals_are_those_of_the_released_code():
    bandwidths = {"celeba-178": 64, "ffhq-178": 64, "imagenette-178": 128}
    for pictures, sigma in bandwidths.items():
        for system in ("ipc", "trans-inr"):
            assert RECIPES[f"{system}-{pictures}"]().model.sigma == sigma
    large = RECIPES["ipc-ffhq-1024"]().model
    assert (large.sigma, large.patch, large.padding, large.num_patches) == (256, 32, 0, 1024)


@pytest.mark.parametrize("name", [name for name in NAMES if "photos" not in name])
def test_the_docstring_of_a_published_run_names_table_system_and_number(name):
    titles = {"ipc": "IPC", "trans-inr": "TransINR", "learned-init": "Learned Init", "composed": "w/o STA"}
    assert re.match(rf"Tables? \d.*{titles[split(name)[0]]}.*\d\d\.\d\d dB", RECIPES[name].__doc__)


@pytest.mark.parametrize("name", [f"{system}-photos-178" for system in SYSTEMS])
@pytest.mark.parametrize("blocks", [1, 3])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(name, blocks, pictures, tmp_path):
    recipe = tiny(RECIPES[name](), steps=4)
    data = replace(recipe.data, layout="folder", crop="center", holdout=0.3)
    coordinates = replace(recipe.objective, row_blocks=blocks)
    recipe = replace(recipe, data=data, objective=coordinates, checkpoint_every=2)
    quiet = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = pretrained.load(train(recipe, pictures, tmp_path / "whole", **quiet))
    half = replace(recipe, steps=2)  # the rate is constant: a shorter run is the beginning of the longer one
    train(half, pictures, tmp_path / "parts", **quiet)
    parts = pretrained.load(train(recipe, pictures, tmp_path / "parts", resume=True, **quiet))
    assert pretrained.model_hash(parts) == pretrained.model_hash(whole)
    fresh = recipe.model.build().state_dict()
    assert any(not torch.equal(tensor, fresh[key]) for key, tensor in whole.state_dict().items())
