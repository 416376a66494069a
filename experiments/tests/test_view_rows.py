"""Posed views as a table: same objects and views for all rows, trained and measured like any other run."""

import json

import pytest
from posed_scenes import write_scene
from view_tools import miniature

from experiments.tables import memory, report, views
from experiments.tables.tables import TABLES
from tokenfield.comparison.report import as_markdown
from tokenfield.comparison.setting import Budget, Setting
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.registry import RECIPES

ROWS = TABLES["3-lamps"].rows


def test_rows_share_objects_optimiser_and_batch():
    runs = [row.at("miniature", 5) for row in ROWS]
    assert len({(run.data, run.optim, run.batch_size, run.seed) for run in runs}) == 1
    assert runs[0].data.support == 3 and runs[0].data.category == "lamps" and runs[0].seed == 5
    for run in runs:
        model: FieldModel = run.model.build()
        assert model.takes == "views" and model.input_size == (64, 64)


def test_published_rows_are_the_recipes():
    for row in ROWS:
        assert row.at("published", 2).model == RECIPES[row.recipe]().model
        if row.published:
            assert f"{row.published:.2f}" in RECIPES[row.recipe].__doc__
    with pytest.raises(UserError, match="posed views; give --scale miniature or published"):
        ROWS[0].at("photos", 0)


@pytest.fixture
def objects(tmp_path, monkeypatch):
    """Two balls to train on and one to test on, seven views of 8 x 8 pixels each."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    return write_scene(tmp_path / "balls")


@pytest.mark.parametrize("row", [ROWS[0], ROWS[-1]], ids=lambda row: row.label)
def test_a_row_is_trained_measured_and_stored(row, objects, tmp_path, monkeypatch):
    """At 8 pixels: a light field and a radiance field."""
    monkeypatch.setattr(memory, "of_training", lambda *_: 7)
    monkeypatch.setattr(views, "SMALL", {name: lambda f=f: tiny(f) for name, f in views.SMALL.items()})
    monkeypatch.setattr(views, "CATEGORY", "balls")
    setting = Setting(Budget("steps", 2), objects, tmp_path / "runs", device="cpu")
    result = row.run("miniature", 0, setting, lambda: None)
    assert result["steps"] == 2 and result["peak_memory"] == 7 and result["curve"][-1]["step"] == 2
    assert result["psnr"] == pytest.approx(sum(result["pictures"].values()) / len(result["pictures"]), abs=1e-3)
    assert result["macs_per_pixel"]["encode"] > 0 and result["macs_per_pixel"]["decode"] > 0
    assert result["values_per_pixel_value"] == result["values_stored"] / (3 * 3 * 64)
    assert row.run("miniature", 0, setting, lambda: 0.0) == result
    facts = {"scale": "miniature", "budget": "steps=2", "seed_list": [0], "date": "2026-11-29", "command": "..."}
    data = json.loads(json.dumps(report.gather("3-lamps", TABLES["3-lamps"], {row.label: [result]}, facts)))
    assert "of the support views" in as_markdown(data)


def tiny(run):
    """A small recipe at 8 pixels, of all categories."""
    return miniature(run())
