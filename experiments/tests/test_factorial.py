"""The factorial: an orthogonal design, rows that store the same, and effects that come out as they were put in."""

import json
import math
from dataclasses import replace
from itertools import combinations

import pytest

from experiments import miniature
from experiments.factorial.recipes import DEPTH, FACTORS, design, factorial
from experiments.factorial.rows import NAMES, aliases, analysis
from experiments.tables import report
from experiments.tables.tables import TABLES
from tokenfield.errors import UserError
from tokenfield.training.recipe import decisive

ROWS = TABLES["factorial"].rows
LETTERS = dict(zip(FACTORS, "ABCDEFG", strict=True))


def sign(run: dict, *names: str) -> int:
    return math.prod(1 if run[name] else -1 for name in names)


def test_the_design_is_orthogonal_and_of_resolution_four():
    """All products of one, two and three columns are balanced, and only products of four or more are constant."""
    runs = design()
    assert len(runs) == 16 and len({tuple(run.values()) for run in runs}) == 16
    assert not any(runs[0].values()) and all(runs[-1].values())
    for count in (1, 2, 3):
        for names in combinations(FACTORS, count):
            assert sum(sign(run, *names) for run in runs) == 0
    words = {"".join(LETTERS[name] for name in names) for count in range(1, 8) for names in combinations(FACTORS, count)
             if len({sign(run, *names) for run in runs}) == 1}
    assert words == {"ABCE", "BCDF", "ACDG", "ADEF", "BDEG", "ABFG", "CEFG"}


def test_interactions_of_two_fall_together_as_the_docstring_says():
    groups = {"+".join(LETTERS[a] + LETTERS[b] for a, b in group) for group in aliases()}
    assert groups == {"AB+CE+FG", "AC+BE+DG", "AD+CG+EF", "AE+BC+DF", "AF+BG+DE",
                      "AG+BF+CD", "BD+CF+EG"}


def test_rows_are_distinct_runs_that_store_the_same():
    recipes = [row.at("miniature", 2) for row in ROWS]
    assert len({row.label for row in ROWS}) == len(ROWS) == 16 + 8 + 2 * 7 + 1
    assert len({json.dumps(decisive(recipe)) for recipe in recipes}) == len(ROWS)
    assert {recipe.model.lainr.num_latents * recipe.model.lainr.latent_dim for recipe in recipes} == {576}
    assert {(recipe.seed, recipe.batch_size, recipe.optim.rate, recipe.data) for recipe in recipes} == {
        (2, 16, miniature.base().optim.rate, miniature.base().data)
    }
    for recipe in recipes:
        recipe.model.build()


def test_a_row_changes_what_it_says():
    by_label = {row.label: row.at("miniature", 0) for row in ROWS}
    lainr, everything = by_label["LAINR"], by_label["all changes"]
    base = miniature.base()
    assert lainr.optim == replace(base.optim, schedule="constant") and lainr.model.lainr.encoder_depth == DEPTH
    assert not any(getattr(lainr.model, name) for name in ("anchors", "distance", "relative", "multiplicative", "skip"))
    assert everything.optim.name == "muon" and everything.model.lainr.encoder_depth == 1 and everything.model.skip
    assert by_label["all changes; no content"].model.content is False
    assert by_label["all changes; 0 blocks"].model.lainr.encoder_depth == 0
    for name in FACTORS:
        assert by_label[f"LAINR + {NAMES[name]}"] == factorial({name: True})
    with pytest.raises(UserError, match="in miniature alone"):
        ROWS[0].at("photos", 0)


def results(effects: dict[str, float], noise: float = 0.0) -> list[dict]:
    """Rows of a table whose PSNR is 20 plus the effects of what they have, and +-noise for two seeds."""
    rows = []
    for row in ROWS:
        on = dict(row.changes) | {"content": row.changes.get("content", True)}
        psnr = 20 + sum(effect for name, effect in effects.items() if on.get(name))
        runs = [{"psnr": psnr - noise}, {"psnr": psnr + noise}]
        rows.append({"label": row.label, "changes": dict(row.changes), "psnr": psnr, "seeds": 2, "runs": runs})
    return rows


def test_effects_come_out_as_they_were_put_in():
    true = {"anchors": 3.0, "distance": -1.0, "muon": 0.5, "content": 2.0}
    effects = analysis(results(true, noise=0.3))
    assert {item["name"]: item["effect"] for item in effects["main"]} == {
        NAMES[name]: pytest.approx(true.get(name, 0.0)) for name in FACTORS
    }
    assert effects["content"][0]["effect"] == 2.0
    assert all(item["effect"] == pytest.approx(0, abs=1e-9) for item in effects["aliased"])
    ablations = {item["name"]: item["effect"] for item in effects["taken"]}
    assert ablations["anchors"] == -3.0 and ablations["content"] == -2.0 and ablations["Muon"] == -0.5
    assert {item["name"]: item["effect"] for item in effects["added"]}["distance term"] == -1.0
    of_a_run = math.sqrt(2 * 0.3**2 / 2)  # two seeds: variance 2 x 0.3^2, of their mean half of that
    assert effects["main"][0]["error"] == pytest.approx(of_a_run / 2, abs=1e-3)  # of a mean of 8 less a mean of 8
    assert effects["added"][0]["error"] == pytest.approx(of_a_run * math.sqrt(2), abs=1e-3)


def test_what_is_not_measured_is_left_out_and_the_figure_needs_the_json_alone(tmp_path):
    table = TABLES["factorial"]
    run = {"system": "x", "failure": None, "pictures": {"a": 1.0}, "values_stored": 576, "values_per_pixel_value": 0.75,
           "parameters": 9, "locality": None, "macs_per_pixel": {"encode": 1.0, "decode": 1.0}, "curve": [], "steps": 8,
           "seconds": 1.0, "peak_memory": None}
    results_of = {row.label: [run | {"seed": s, "psnr": 20.0 + i + s} for s in (0, 1)] for i, row in enumerate(ROWS)}
    facts = {"scale": "miniature", "budget": "steps=8", "seed_list": [0, 1], "date": "", "command": "x"}
    data = json.loads(json.dumps(report.gather("factorial", table, results_of, facts)))
    files = report.write(data, tmp_path / "factorial")
    assert files[-1].read_bytes().startswith(b"\x89PNG") and "main effect (8 runs with" in files[1].read_text()
    few = report.gather("factorial", table, {"LAINR": results_of["LAINR"]}, facts)
    assert few["analysis"]["main"] == few["analysis"]["added"] == []
    assert report.write(few, tmp_path / "few")
