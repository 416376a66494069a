"""The comparison of fields of views, whole, at a size that takes seconds: what it writes, and that it goes on."""

import json

import pytest
from posed_scenes import write_scene
from view_tools import miniature

from experiments.views import comparison as module


@pytest.fixture
def script(monkeypatch):
    """The script with miniature recipes, three of its runs, and costs that are known already."""
    small = {name: lambda run=run: miniature(run()) for name, run in module.SYSTEMS.items()}
    monkeypatch.setattr(module, "SYSTEMS", small)
    monkeypatch.setattr(module, "SHOWN", [5, 6])
    monkeypatch.setattr(module, "TIMED", 4)
    return module


def test_runs_are_made_once_and_everything_is_written(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    root, out = write_scene(tmp_path / "objects"), tmp_path / "out"
    cost = {"system": "LAINR", "sizes": "small", "size": 8, "evaluations": 64, "seconds": 0.1, "peak_megabytes": 1.0}
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "costs.json").write_text(json.dumps([cost]))  # which take a process of their own
    options = script.Options(data=root, out=out, runs=tmp_path / "runs", seconds=0.05, targets=2)
    others = script.RUNS[6:9]
    for run in others:  # another process is at these
        (tmp_path / "runs" / f"{script.recipe_of(*run, 0).name}.claim").mkdir()
    monkeypatch.setattr(script, "RUNS", (*others, ("LAINR", 3), ("IPC", 3)))
    script.main(options)
    first = json.loads((out / "comparison.json").read_text())
    assert [(row["system"], row["support"]) for row in first["runs"]] == [("LAINR", 3), ("IPC", 3)]
    assert all(score["targets"] == 2 and score["name"] == "balls/c" for row in first["runs"] for score in row["scores"])
    assert first["locality"]["views"] == 6 and 0 < first["locality"]["median_area"] <= 0.91
    names = {"comparison.json", "comparison.md", "comparison.png", "locality.png", "views-lainr.png", "views-ipc.png"}
    assert {path.name for path in out.iterdir()} == names
    monkeypatch.setattr(script, "RUNS", (("LAINR", 3), ("IPC", 3), ("LAINR", 0)))
    script.main(options)
    second = json.loads((out / "comparison.json").read_text())
    assert second["runs"][:2] == first["runs"] and second["runs"][2]["support"] == 0
    assert sorted(score["support"] for score in second["runs"][2]["scores"]) == [1, 2, 3, 4, 5]
    assert "all runs are there" in capsys.readouterr().out
    assert str(tmp_path) not in (out / "comparison.json").read_text()


def test_ablations_and_baselines_are_built_for_their_number_of_views(script):
    for system, support in script.RUNS:
        recipe = script.recipe_of(system, support, 0)
        assert (recipe.data.support, recipe.data.fewest) == ((support, 0) if support else (5, 1))
        assert recipe.model.views >= support
    names = [script.recipe_of(*run, 0).name for run in script.RUNS]
    assert len(set(names)) == len(script.RUNS) == 14
