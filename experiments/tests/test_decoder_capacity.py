"""The study of decoders without encoders: which rows, how they grow, and that a stopped study goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.capacity import decoders as decoder_capacity
from experiments.miniature import shrink
from tokenfield.models.lainr import LainrConfig


@pytest.fixture
def study():
    return decoder_capacity


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        folder = tmp_path / "pool" / split
        folder.mkdir(parents=True)
        for i in range(2):
            Image.fromarray(rng.integers(0, 256, (53, 47, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "pool"


def test_every_row_of_the_three_tables_is_there_once(study):
    labels = [row.label for _, row in study.rows()]
    assert len(set(labels)) == len(labels) == 10
    assert labels[0] == "LAINR" and "IPC (w/o both)" in labels


def test_tokens_grow_with_the_area_and_bandwidths_with_the_side(study):
    small = shrink(LainrConfig())
    large = study.enlarged(small, 48)
    assert large.size == (48, 48) and large.num_latents == 9 * small.num_latents
    assert [*large.sigmas, large.sigma_q] == pytest.approx([48.0, 12.0, 6.0])  # 48 / 128 of 128, 32 and 16
    assert (large.dim, large.patch, large.latent_dim) == (small.dim, small.patch, small.latent_dim)
    same = study.enlarged(small, 16)
    assert replace(same, sigmas=small.sigmas, sigma_q=small.sigma_q) == small


def test_a_study_is_made_row_by_row_and_goes_on(study, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "STUDIED", ("3",))
    sizes = {"seeds": 1, "pictures": 2, "unseen": 2, "side": 32, "steps": 5}
    options = study.Options(photographs, tmp_path / "out", tmp_path / "runs", **sizes)
    study.main(options)
    setting = json.loads((tmp_path / "out" / "capacity.json").read_text())
    assert [row["label"] for row in setting["rows"]] == ["LAINR", "w/o STA", "w/o multiFM", "IPC (w/o both)"]
    first = study.path(options, study.rows()[0][1], 0)
    before = first.read_text()
    assert json.loads(before)["curve"][-1][0] == 5
    study.path(options, study.rows()[1][1], 0).unlink()
    torch.manual_seed(7)  # a run depends on nothing but its own seed
    study.main(options)
    assert first.read_text() == before
    again = json.loads((tmp_path / "out" / "capacity.json").read_text())
    assert [row["psnr"] for row in again["rows"]] == [row["psnr"] for row in setting["rows"]]
    assert (tmp_path / "out" / "figure.png").stat().st_size > 1000
