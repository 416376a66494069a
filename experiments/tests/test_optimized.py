"""Figure 7 as a table: what a row optimises, from which run, and that it is kept."""

import json
from itertools import pairwise

import pytest
import torch

from experiments.tables import optimized, report
from experiments.tables.measuring import describe_run
from experiments.tables.tables import TABLES
from tokenfield.comparison import running
from tokenfield.comparison.report import as_markdown
from tokenfield.comparison.setting import Budget, Setting
from tokenfield.data.pictures import write_picture

pytestmark = pytest.mark.usefixtures("sixteen_pixels")

ROWS = {row.what: row for row in TABLES["figure-7"].rows}


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """One step on two pictures, then a twentieth of a second on each of three others."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(optimized, "PICTURES", 2)
    monkeypatch.setitem(optimized.SECONDS, "miniature", 0.05)
    draw = torch.Generator().manual_seed(0)
    for number in range(5):
        split = "train" if number < 2 else "test"
        write_picture(tmp_path / "pool" / split / f"{number}.png", torch.rand(3, 64, 65, generator=draw))
    return Setting(Budget("steps", 1), tmp_path / "pool", tmp_path / "runs", device="cpu")


def unlimited() -> None:
    return None


def test_all_rows_optimise_the_same_run_and_are_stored(setting, monkeypatch):
    results = {what: row.run("miniature", 0, setting, unlimited) for what, row in ROWS.items()}
    assert len([path for path in setting.runs.iterdir() if path.is_dir()]) == 1
    latents, decoder, both, ffnet, siren = (results[what] for what in ("latents", "decoder", "all", "ffnet", "siren"))
    assert latents["start_psnr"] == decoder["start_psnr"] == both["start_psnr"] != ffnet["start_psnr"]
    assert latents["values_stored"] == 12 * 48 < decoder["values_stored"] == both["values_stored"]
    assert ffnet["parameters"] == ffnet["values_stored"] == 48 * 48 * 4 + 4 * 48 + 48 * 3 + 3
    assert siren["values_stored"] < ffnet["values_stored"]  # two coordinates in place of 48 features
    for result in results.values():
        assert set(result["pictures"]) == {"test/2.png", "test/3.png"} and result["psnr"] >= result["start_psnr"]
        seconds, psnr = zip(*((point["seconds"], point["psnr"]) for point in result["curve"]), strict=True)
        assert seconds[-1] == 0.05 and all(a <= b for a, b in pairwise(seconds))
        assert all(a <= b for a, b in pairwise(psnr))  # the best so far
    monkeypatch.setattr(running, "train", None)
    monkeypatch.setattr(optimized, "Optimization", None)  # calling either would fail
    assert {what: row.run("miniature", 0, setting, unlimited) for what, row in ROWS.items()} == results


def test_no_time_for_it(setting):
    """Trained, and then the time was over: the next call optimises."""
    row = ROWS["latents"]
    assert row.run("miniature", 0, setting, lambda: 0.0) is None
    running.run(row.at("miniature", 0), setting, describe_run)
    assert row.run("miniature", 0, setting, lambda: 0.0) is None
    assert row.run("miniature", 0, setting, unlimited)["system"] == "latents"


def test_an_mlp_is_like_the_decoder_beside_it():
    """64 pixels for 1024: the same bandwidth by the picture's side."""
    small, published = (optimized.like(ROWS["ffnet"].at(scale, 0).model) for scale in ("miniature", "published"))
    assert small == {"dim": 48, "feature_dim": 48, "sigma": 16.0}
    assert published == {"dim": 256, "feature_dim": 256, "sigma": 256.0}


def test_the_table_and_the_figure_need_the_json_alone(setting, tmp_path):
    results = {row.label: [row.run("miniature", seed, setting, unlimited) for seed in (0, 1)] for row in ROWS.values()}
    facts = {"scale": "miniature", "budget": "steps=1", "seed_list": [0, 1], "date": "2026-11-29",
             "command": "tokenfield ..."}
    data = json.loads(json.dumps(report.gather("figure-7", TABLES["figure-7"], results, facts)))
    text = as_markdown(data)
    assert "| FFNet from scratch | " in text and "processor seconds a picture" in text
    files = report.write(data, tmp_path / "out")
    assert files[-1].name == "figure.png" and files[-1].read_bytes().startswith(b"\x89PNG")
