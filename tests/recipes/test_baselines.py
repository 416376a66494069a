"""The rivals' runs: LAINR's with another model, and nothing else changed."""

import re
from dataclasses import replace

import pytest

from tokenfield.recipes import baselines
from tokenfield.registry import RECIPES

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
}
"""What is left of a rival's name, and the run it is compared with."""


def split(name):
    system = next(system for system in SYSTEMS if name.startswith(f"{system}-"))
    return system, name.removeprefix(f"{system}-")


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
