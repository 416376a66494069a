"""Every recipe: it is what its name and docstring say, and at miniature size it trains."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.miniature import tiny
from tokenfield.data import DataConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.recipes import published
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.journal import read
from tokenfield.training.recipe import from_json, to_json
from tokenfield.training.session import Session

NAMES = [name for name in RECIPES if RECIPES.places[name].module.startswith("tokenfield.")]
PICTURES = [name for name in NAMES if type(RECIPES[name]().data) is DataConfig]
"""Recipes of other data are executed beside those data's own tests."""

PUBLISHED = [name for name in PICTURES if name.startswith("lainr-") and "photos" not in name]


def write(path: Path, number: int, mode: str = "RGB") -> None:
    """A picture of coloured waves, 35 x 33 pixels, or of grey ones: "L"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:35, 0:33] / 5
    waves = np.sin(np.cos(number) * y[..., None] + np.sin(number) * x[..., None] + np.array([0, 2, 4]))
    Image.fromarray(np.uint8(127.5 + 100 * waves)).convert(mode).save(path)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """A folder in every layout, two pictures for training and one for testing."""
    root = tmp_path_factory.mktemp("layouts")
    names = {
        "folder": ("train/a.png", "train/b.png", "test/c.png"),
        "celeba": tuple(f"img_align_celeba/{n:06d}.jpg" for n in (1, 2, 182638)),
        "ffhq": ("00001.png", "00002.png", "00000.png"),
        "imagenette": ("train/n01440764/a.JPEG", "train/n02102040/b.JPEG", "val/n01440764/c.JPEG"),
        "imagenet": ("train/n01440764/a.JPEG", "train/n02102040/b.JPEG", "val/n01440764/c.JPEG"),
        "celeba_anr": tuple(f"img_align_celeba/{n:06d}.jpg" for n in (1, 2, 3)),
        "lsun": ("bedroom/0/1a.webp", "bedroom/f/2b.webp", "bedroom/a/3c.webp"),
    }
    for layout, files in names.items():
        for number, name in enumerate(files):
            write(root / layout / name, number)
            write(root / "grey" / layout / name, number, "L")
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_survives_json_under_its_own_name(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert from_json(to_json(recipe)) == recipe


@pytest.mark.parametrize("name", PICTURES)
def test_at_miniature_size_it_trains(name, roots, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    recipe = tiny(RECIPES[name]())
    session = Session(device="cpu", quiet=True, workers=0)
    root = roots / "grey" if recipe.data.channels == 1 else roots
    out = train(recipe, root / recipe.data.layout, tmp_path / "run", session=session)
    lines = read(out / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 2]
    assert lines[-1]["evaluation_pictures"] >= 1


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_docstring_of_a_published_run_names_table_and_number(name):
    assert re.match(r"Tables? \d.*\d\d\.\d+ dB", RECIPES[name].__doc__)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_run_has_the_paper_s_hyperparameters(name):
    recipe = RECIPES[name]()
    optim, model = recipe.optim, recipe.model
    assert (optim.name, optim.rate, optim.betas, optim.schedule) == ("adam", 1e-4, (0.9, 0.999), "constant")
    assert (recipe.batch_size, model.dim, model.feature_dim) == (16, 256, 256)
    assert (model.num_latents, model.latent_dim) == (256, 256)
    assert (model.encoder_dim, model.encoder_depth, model.encoder_heads, model.mlp_ratio) == (768, 6, 12, 4)


@pytest.mark.parametrize(
    ("name", "tokens", "sigmas", "heads"),
    [
        ("lainr-celeba-178", 400, (128, 32, 16), 2),
        ("lainr-ffhq-256", 256, (128, 32, 16), 2),
        ("lainr-ffhq-256-l1", 256, (128, 16), 2),
        ("lainr-ffhq-512", 256, (128, 32, 16), 4),
        ("lainr-ffhq-512-l3", 256, (128, 64, 32, 16), 4),
        ("lainr-ffhq-1024", 484, (256, 64, 32), 4),
        ("lainr-ffhq-1024-l4", 484, (256, 180, 128, 64, 32), 4),
        ("lainr-imagenet-256", 256, (128, 32, 16), 8),
        ("lainr-ablation", 400, (128, 32, 16), 1),
        ("lainr-ablation-sigmas-rising", 400, (32, 128, 16), 1),
        ("lainr-ablation-sigma-q-high", 400, (128, 32, 128), 1),
    ],
)
def test_patches_bandwidths_and_heads_are_those_of_the_tables(name, tokens, sigmas, heads):
    model: LainrConfig = RECIPES[name]().model
    side = (model.size[0] + 2 * model.padding) / model.patch
    assert (side**2, (*model.sigmas, model.sigma_q), model.heads) == (tokens, sigmas, heads)


def test_epochs_become_steps():
    assert published.steps(300, 162_770) == 3_051_938  # 300 x 162770 / 16 = 3051937.5
    assert RECIPES["lainr-imagenette-178"]().steps == 2_367_250
    assert RECIPES["lainr-ablation"]().steps == 236_725


def test_the_paper_s_178_pixel_model_has_its_size():
    assert 42e6 < LainrConfig().build().num_parameters < 46e6
