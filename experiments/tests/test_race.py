"""The race: what its runs share, what is measured on them, and the figure that needs the JSON alone."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from experiments.race.figure import mean_course, split_name, spread
from experiments.race.recipes import SIZES, SYSTEMS, held_out, lainr, race, values
from experiments.race.rows import analysis, findings
from experiments.tables import memory, report
from experiments.tables.measuring import macs_per_pixel, run
from experiments.tables.tables import TABLES
from tokenfield.comparison.held_out import Doubling, HeldOut, sampled_psnr, spaced
from tokenfield.comparison.setting import Budget, Setting
from tokenfield.comparison.systems import describe, timing
from tokenfield.data import DataConfig
from tokenfield.data.pictures import write_picture
from tokenfield.errors import UserError
from tokenfield.evaluation.evaluate import measure
from tokenfield.fields.field import Field
from tokenfield.models.anchored import AnchoredConfig


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_every_system_stores_what_lainr_does(size, full):
    """Within two percent, at both scales, by the sizes alone (full models are too large to build here)."""
    expected = values(lainr(size, full=full))
    assert expected == (6144 if size == 64 else 65536)
    stored = {}
    for system in SYSTEMS:
        model = race(system, size, full=full).model
        if isinstance(model, AnchoredConfig):
            stored[system] = math.ceil(size / model.cell) ** 2 * model.latent_dim
        elif system == "trans-inr":
            assert model.dim % model.groups == 0
            stored[system] = (4 * model.groups + model.channels) * model.dim
        elif system == "gb-lsr":
            stored[system] = math.prod(model.lattice) * model.dim
        elif system == "liif":
            assert model.dim == (64 if full else 32)  # of every pixel: it has no fewer
        else:
            stored[system] = model.num_latents * getattr(model, "latent_dim", model.dim)
    assert {system: count for system, count in stored.items() if abs(count / expected - 1) > 0.02} == {}


@pytest.mark.parametrize("system", SYSTEMS)
def test_models_store_what_the_sizes_say(system):
    model = race(system, 64).model.build().eval()
    field = Field.of(model, torch.rand(3, 64, 64))
    assert field.values_stored == {"trans-inr": 6120, "liif": 64 * 64 * 32}.get(system, 6144)


def test_rows_at_a_size_share_pictures_and_the_optimiser():
    for size in SIZES:
        runs = {system: race(system, size, seed=3) for system in SYSTEMS}
        rivals = [run for system, run in runs.items() if not system.startswith(("anchored", "liif"))]
        assert len({run.data for run in rivals}) == 1 and rivals[0].data.size == size
        assert len({(run.objective, run.batch_size, run.seed) for run in rivals}) == 1
        assert len({(run.optim, run.clip_norm, run.ema_decay, run.precision) for run in runs.values()}) == 1
        starts = runs["lainr"].model.start, runs["lainr-published"].model.start
        assert starts == ("local", "published")
        assert replace(runs["lainr-published"].model, start="local") == runs["lainr"].model
        assert held_out(size).size == size
    with pytest.raises(UserError, match="race of lainr at 65; systems: anchored,"):
        race("lainr", 65)
    with pytest.raises(UserError, match="the race is run on photographs"):
        TABLES["race"].rows[0].at("published", 0)


@pytest.mark.parametrize(("n", "most"), [(512, 64), (1024, 64), (1024, 256)])
def test_pixels_are_spread_evenly_and_over_all_places_of_a_cell(n, most):
    """One in every share; and of the eight places in cells of eight pixels none is preferred."""
    rows = spaced(n, most)
    assert (rows * most // n).tolist() == list(range(most))
    counts = torch.bincount(rows % 8, minlength=8)
    assert counts.min() >= most // 8 - 3 and counts.max() <= most // 8 + 3
    assert spaced(5, 7).tolist() == [0, 1, 2, 3, 4]


def test_psnr_of_all_pixels_is_the_protocols(tmp_path):
    """Of a model of one size, and of one that takes any, on a picture that is no whole number of its cells."""
    picture = torch.rand(3, 19, 21)
    model = AnchoredConfig(cell=4, latent_dim=7, encoder_dim=16, decoder_dim=16, head_dim=8, harmonics=8).build().eval()
    scores = sampled_psnr(model, [("a", picture)], 64)
    assert scores["a"] == pytest.approx(measure(model, "a", picture)[0].psnr, abs=1e-3)
    assert describe(model, scores, picture, tmp_path)["values_stored"] == 5 * 6 * 7
    assert macs_per_pixel(model, picture) == macs_per_pixel(model, picture[:, :16, :20])
    assert min(timing(model, picture).values()) > 0


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """A fifth of a second of the processor on four small pictures."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    draw = torch.Generator().manual_seed(0)
    for number in range(4):
        split = "train" if number < 2 else "test"
        write_picture(tmp_path / "pool" / split / f"{number}.png", torch.rand(3, 64, 70, generator=draw))
    return Setting(Budget("processor", 0.2), tmp_path / "pool", tmp_path / "runs", device="cpu")


def test_a_run_is_trained_on_one_size_and_measured_on_another(setting, monkeypatch):
    recipe = race("anchored-random", 64)
    other = HeldOut(DataConfig(size=50, levels=1), pictures=1)
    monkeypatch.setattr(memory, "of_training", lambda *_: None)
    result = run(recipe, setting, held_out=other)
    assert result["size"] == [50, 50] and list(result["pictures"]) == ["test/2.png"] and result["locality"] is None
    assert result["values_stored"] == 7 * 7 * 96 and result["seconds"] >= 0.2
    assert result["curve"][-1]["step"] == result["steps"] and result["curve"][-1]["seconds"] == result["seconds"]
    assert result["curve"][-1]["psnr"] == pytest.approx(result["psnr"], abs=1e-3)  # 50 x 50 is all of it, both times
    assert run(recipe, setting, held_out=other) == result
    assert setting.folder(recipe) != setting.folder(recipe, other)


def test_measurements_double():
    probe = Doubling.__new__(Doubling)
    assert [step for step in range(1, 70) if probe.due(step)] == [4, 8, 16, 32, 64]


def test_budgets_of_the_processor():
    assert str(Budget.parse("processor=60")) == "processor=60" and Budget.parse("processor=2").timed
    with pytest.raises(UserError, match="processor=60"):
        Budget.parse("processor=0")


def test_labels_stand_apart_and_near_their_lines():
    places = [3.0, 1.0, 1.1, 1.2, 9.0]
    heights = spread(places, 0.5)
    ordered = sorted(heights)
    assert all(b - a >= 0.5 - 1e-9 for a, b in pairwise(ordered))
    assert sorted(range(5), key=lambda i: heights[i]) == sorted(range(5), key=lambda i: places[i])
    assert heights[0] == 3.0 and heights[4] == 9.0 and heights[2] == pytest.approx(1.1)


def result(seed: int, psnr: float) -> dict:
    """What `run` returns of a row of the race."""
    points = [{"step": s, "seconds": (1.0 + seed) * s, "psnr": psnr - 8 + s} for s in (4, 8, 9 + seed)]
    return {"system": "lainr", "seed": seed, "failure": None, "psnr": psnr, "pictures": {"a": psnr}, "size": [64, 64],
            "values_stored": 6144, "values_per_pixel_value": 0.5, "parameters": 1000, "locality": None,
            "macs_per_pixel": {"encode": 10.0, "decode": 20.0}, "curve": points, "steps": 9, "seconds": 9.0,
            "peak_memory": None}


def test_the_figure_needs_the_json_alone(tmp_path):
    table = TABLES["race"]
    results = {row.label: [result(0, 20.0 + i), result(1, 21.0 + i)] for i, row in enumerate(table.rows)}
    facts = {"scale": "miniature", "budget": "processor=60", "seed_list": [0, 1], "date": "", "command": "x"}
    data = json.loads(json.dumps(report.gather("race", table, results, facts | {"date": "2026-11-29"})))
    assert split_name(data["rows"][0]["recipe"]) == ("anchored", 64)
    assert mean_course(data["rows"][0]) == [(6.0, 16.5), (12.0, 20.5), (14.5, 22.0)]
    files = report.write(data, tmp_path / "race")
    assert files[-1].read_bytes().startswith(b"\x89PNG")
    text = files[1].read_text()
    assert "64 x 64 along the curves" in text and "| size | IPC ends at, dB |" in text


def test_when_a_system_reaches_another_ones_end():
    """IPC ends at 20 dB after 9 steps; the other is at 13, 17, 24 dB after 4, 8, 9 steps."""
    def row(system, psnr, curve):
        return {"recipe": f"race-{system}-178", "psnr": psnr, "runs": [result(0, psnr) | {"curve": curve}]}

    def points(*levels):
        return [{"step": s, "seconds": 2.0 * s, "psnr": float(y)} for s, y in zip((4, 8, 9), levels, strict=True)]

    ipc = row("ipc", 20.0, points(12, 16, 20))
    (goal,) = analysis([ipc, row("anchored-random", 24.0, points(13, 17, 24))])
    assert (goal["size"], goal["ipc_steps"], goal["ipc_seconds"]) == (178, 9, 9.0)
    assert goal["steps"] == pytest.approx(8 + 3 / 7, abs=0.05) and goal["seconds"] == pytest.approx(16.9, abs=0.05)
    (never,) = analysis([ipc, row("anchored", 19.0, points(13, 17, 19))])
    assert never["steps"] is None and "not reached" in findings([never])[-1]
