"""Outputs of other projects' own code, from their checkpoints (`tests/golden`, experiments/release/golden_peers.py)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.interop.checkpoints import import_checkpoint
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.views.radiance_field import Integral, field_of, render
from tokenfield.views.rays import rays, with_rays

GOLDEN = Path(__file__).parents[1] / "golden"

TOLERANCE = 1e-6
"""Coordinates, frequencies and phases of an imported model are rounded as its project's code rounds them."""


def golden(name):
    with np.load(GOLDEN / f"{name}_dev_io.npz") as arrays:
        return {key: torch.from_numpy(value) for key, value in arrays.items()}


def pictures(values, grid):
    return values.mT.unflatten(-1, grid.shape)


def close(values, expected):
    torch.testing.assert_close(values, expected, rtol=2e-6, atol=TOLERANCE)  # rtol: processors add up in other orders


@pytest.mark.parametrize("name", ["ipc", "transinr", "yinboc_transinr"])
@torch.no_grad()
def test_pictures_on_every_grid(name):
    model, io = import_checkpoint(GOLDEN / f"{name}_dev.pt"), golden(name)
    tokens = model.encode(io["image"] if "image" in io else io["inp"])
    reconstructions = [expected for key, expected in io.items() if key.startswith("reconstruction")]
    assert len(reconstructions) == 2
    for expected in reconstructions:
        grid = Grid.cells(*expected.shape[-2:])
        close(pictures(model.decode(tokens, grid), grid), expected)
        close(pictures(model.decode(tokens, grid, chunk=97), grid), expected)
        theirs = Grid(tuple(-1.0 + 2.0 * ((0.5 + torch.arange(n)) / n) for n in expected.shape[-2:]))
        close(pictures(model.decode(tokens, theirs.coords(), chunk=97), grid), expected)


@pytest.mark.parametrize(("name", "steps"), [("learned_init", 2), ("meta_ipc", 3)])
@pytest.mark.parametrize("recording", [False, True])
def test_adaptation(name, steps, recording):
    model, io = import_checkpoint(GOLDEN / f"{name}_dev.pt"), golden(name)
    assert model.config.inner_steps == steps
    grid, target = Grid.cells(*io["image"].shape[-2:]), io["image"].flatten(2).mT
    with torch.set_grad_enabled(recording):
        close(pictures(model.decode(model.encode(io["image"]), grid), grid), io["reconstruction"])
        values = [model.decode(tokens, grid) for tokens in model.adapt(io["image"], steps - 1)]
    history = torch.stack([psnr(v, target).sum() for v in values])
    torch.testing.assert_close(history, io["inner_psnr_sum"], rtol=0, atol=1e-4)  # dB


@pytest.mark.parametrize(("name", "points"), [("ipc_nerf", 16), ("transinr_nerf", 16), ("yinboc_transinr_nerf", 9)])
@torch.no_grad()
def test_radiance_fields(name, points):
    model, io = import_checkpoint(GOLDEN / f"{name}_dev.pt"), golden(name)
    views = io["support_imgs"]
    assert model.config.views == views.shape[1]
    origins, directions = rays(io["query_poses"], io["query_focals"], *views.shape[-2:])
    if "rays_o" in io:
        torch.testing.assert_close(origins, io["rays_o"], rtol=0, atol=0)
        torch.testing.assert_close(directions, io["rays_d"], rtol=0, atol=0)
    tokens = model.encode(with_rays(views, io["support_poses"], io["support_focals"]))
    flat = origins.flatten(1, -2), directions.flatten(1, -2)
    close(render(field_of(model, tokens), *flat, Integral(points=points)), io["render"].flatten(1, -2))
    close(render(field_of(model, tokens), *flat, Integral(points=points), chunk=100), io["render"].flatten(1, -2))


@pytest.mark.parametrize("name", ["ipc", "learned_init", "transinr_nerf", "yinboc_transinr"])
def test_what_is_imported_is_what_is_saved_and_loaded(name, tmp_path):
    model = import_checkpoint(GOLDEN / f"{name}_dev.pt")
    loaded = pretrained.load(pretrained.save(model, tmp_path / "model"))
    assert loaded.config == model.config and loaded.config.rounding == "ginr-ipc"
    assert pretrained.model_hash(loaded) == pretrained.model_hash(model)
    assert not loaded.training and all(p.dtype == torch.float32 for p in loaded.parameters())
