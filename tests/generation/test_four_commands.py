"""From a folder of labelled pictures to new ones: train, latents, train the denoiser, generate; and a fifth, score."""

import json

import pytest
import torch

from tokenfield.cli import main
from tokenfield.data.pictures import read_picture, write_picture
from tokenfield.fields.field import Field

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

FIELD = """
    --model.size 16 16 --model.patch 8 --model.encoder-dim 16 --model.encoder-heads 2 --model.encoder-depth 1
    --model.num-latents 5 --model.latent-dim 11 --model.dim 16 --model.feature-dim 16 --data.size 16 --steps 4
    --batch-size 2 --evaluate-every 4 --evaluate-pictures 2 --checkpoint-every 4 --log-every 2 --quiet
"""
ANCHORED = """
    --model.latent-dim 11 --model.encoder-dim 16 --model.decoder-dim 16 --model.head-dim 8 --model.harmonics 8
    --model.start random --data.size 16 --steps 2 --batch-size 2 --evaluate-every 0 --checkpoint-every 2 --quiet
"""
DENOISER = """
    --model.tokens 5 --model.latent-dim 11 --model.width 16 --model.depth 1 --model.heads 2 --model.classes 2 --steps 4
    --batch-size 3 --evaluate-every 4 --evaluate-pictures 2 --checkpoint-every 4 --log-every 2 --quiet
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Two classes of plain colours, three training and two held-out pictures of each."""
    root = tmp_path_factory.mktemp("labelled")
    draws = torch.Generator().manual_seed(0)
    for split, count in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            for k in range(count):
                colour = torch.rand(3, 1, 1, generator=draws).expand(-1, 18, 16)
                write_picture(root / split / name / f"{split}{k}.png", colour)
    return root


def test_four_commands(pool, tmp_path, monkeypatch):
    """Diffusion and flow matching alike; with fewer pictures than features, FID is a number all the same."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))

    def run(*words):
        assert main([str(word) for word in words]) == 0

    field, latents = tmp_path / "field", tmp_path / "latents"
    run("train", "cutouts-32-lainr", "--data", pool, "--out", field, *FIELD.split())
    run("latents", field, pool, "--layout", "imagenette", "-o", latents)
    for recipe in ("ldm-cutouts-32", "ldm-cutouts-32-flow"):
        denoiser, out = tmp_path / recipe, tmp_path / f"{recipe}-pictures"
        run("train", recipe, "--data", latents, "--out", denoiser, *DENOISER.split())
        run("generate", "samples", denoiser, "--class", "dog", "--count", 6, "--size", 24, "--steps", 3, "-o", out)
        assert read_picture(out / "0005.png").shape == (3, 24, 24) and (out / "sheet.png").is_file()
        assert Field.load(out / "0000.field").tokens.shape == (1, 1, 5, 11)
    anchored, lattices = tmp_path / "anchored", tmp_path / "lattices"
    run("train", "cutouts-32-anchored", "--data", pool, "--out", anchored, *ANCHORED.split())
    run("latents", anchored, pool, "--layout", "imagenette", "--size", 16, "-o", lattices)
    denoiser, wide = tmp_path / "lattice-denoiser", tmp_path / "wide"
    options = [word for pair in zip(DENOISER.split()[::2], DENOISER.split()[1::2], strict=False)
               if pair[0] != "--model.tokens" for word in pair]  # fmt: skip
    run("train", "ldm-cutouts-32-anchored", "--data", lattices, "--out", denoiser, *options, "--quiet")
    run("generate", "samples", denoiser, "--class", "each", "--count", 2, "--size", 24, "--shape", "3:2", "--steps", 3,
        "-o", wide)
    assert read_picture(wide / "0001.png").shape == (3, 16, 24)
    assert Field.load(wide / "0000.field").tokens.shape == (2, 3, 11)
    run("score", out, "--reference", pool, "--layout", "imagenette", "--split", "train", "--size", 16, "--features",
        "random:0", "--field", field, "--json", tmp_path / "score.json")
    facts = json.loads((tmp_path / "score.json").read_text())
    assert facts["distances"]["fid"] > 0 and facts["reconstruction"]["pictures"] == 6
