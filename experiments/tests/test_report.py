"""From results to a table: means, deviations, what is missing, and figures that need the JSON alone."""

import json

import pytest

from experiments.tables import report
from experiments.tables.tables import TABLES
from tokenfield.comparison.report import as_markdown, cells, mean_curve, reached

pytestmark = pytest.mark.usefixtures("sixteen_pixels")

FACTS = {"scale": "miniature", "budget": "steps=8", "seed_list": [0, 1], "date": "2026-11-22"}
FACTS |= {"command": "tokenfield ..."}


def result(seed: int, psnr: float, **changes) -> dict:
    """What `run` returns."""
    points = [{"step": step, "seconds": 1.0 * step, "psnr": psnr - 8 + step} for step in (2, 4, 8)]
    return {"system": "lainr", "seed": seed, "failure": None, "psnr": psnr, "pictures": {"a": psnr}, "size": [16, 16],
            "values_stored": 576, "values_per_pixel_value": 0.75, "parameters": 1000, "locality": 0.5,
            "macs_per_pixel": {"encode": 10.0, "decode": 20.0}, "curve": points, "steps": 8, "seconds": 8.0,
            "peak_memory": 1_000_000 * (seed + 1), "machine": {"device": "cpu", "name": "x", "threads": 1}} | changes


def gathered(name: str, results: dict) -> dict:
    table = TABLES[name]
    return report.gather(name, table, results, FACTS)


def test_means_and_deviations():
    data = gathered("3", {"LAINR": [result(0, 20.0), result(1, 22.0)]})
    first, second = data["rows"][:2]
    assert first["psnr"] == 21 and first["deviation"] == pytest.approx(2**0.5, abs=1e-3) and first["seeds"] == 2
    assert first["peak_memory"] == 1_000_000 and first["published"] == 37.46
    assert second["psnr"] is None and second["seeds"] == 0


def test_differences_are_taken_seed_by_seed():
    """What a seed does to both rows cancels; a seed that only one row has says nothing."""
    data = gathered("3", {"LAINR": [result(0, 20.0), result(1, 23.0)], "w/o STA": [result(1, 22.5), result(0, 19.7)],
                          "w/o multiFM": [result(2, 30.0)]})
    first, second, third, last = data["rows"]
    assert first["above_reference"] == 0 and second["above_reference"] == pytest.approx(-0.4)
    assert second["above_reference_deviation"] == pytest.approx(0.02**0.5, abs=1e-3)
    assert third["above_reference"] is None and last["above_reference"] is None
    lines = [line for line in as_markdown(data).splitlines() if line.startswith("| ")]
    assert lines[0].split(" | ")[2] == "above LAINR, same seeds" and lines[2].split(" | ")[2] == "-0.40 ± 0.14"
    assert [line.split(" | ")[2] for line in (lines[1], lines[3], lines[4])] == ["-", "-", "-"]


def test_a_diverged_run_is_counted_and_not_averaged():
    failed = {"system": "lainr", "seed": 1, "failure": "diverged", "steps": 1, "seconds": 1.0, "peak_memory": None}
    row = gathered("3", {"LAINR": [result(0, 20.0), failed]})["rows"][0]
    assert row["psnr"] == 20 and row["deviation"] is None and (row["seeds"], row["failed"]) == (1, 1)
    assert cells({"rows": [row]})[1][2] == "1 (1 diverged)"


def test_the_table_for_people():
    data = gathered("3", {"LAINR": [result(0, 20.0), result(1, 22.0)]})
    text = as_markdown(json.loads(json.dumps(data)))
    assert "| LAINR | 21.00 ± 1.41 | - | 37.46 | 10 | 20 | 1 | 0.500 | 2 | 576 | 0.75 |" in text
    assert "| w/o STA | - | - | 34.54 | - | - | - | - | 0 |" in text  # not measured yet, and shown as such
    for word in ("clamp: none", "coordinates: cell centres", "64-pixel crops", "steps=8", "tokenfield ..."):
        assert word in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1 and len(rows) == 2 + len(TABLES["3"].rows)


@pytest.mark.parametrize("name", ["3", "figure-1", "figure-5", "locality", "sizes"])
def test_figures_need_the_json_alone(name, tmp_path):
    results = {row.label: [result(0, 20.0 + i), result(1, 21.0 + i)] for i, row in enumerate(TABLES[name].rows)}
    files = report.write(json.loads(json.dumps(gathered(name, results))), tmp_path / name)
    assert [path.name for path in files] == ["table.json", "table.md", "table.csv", "table.tex", "figure.png"]
    assert files[-1].read_bytes().startswith(b"\x89PNG")


def test_where_a_curve_reaches_another_ones_end():
    row = {"runs": [result(0, 20.0), result(1, 22.0)]}
    assert mean_curve(row) == [(2, 15.0), (4, 17.0), (8, 21.0)]
    assert reached(mean_curve(row), 16.0) == 3.0 and reached(mean_curve(row), 19.0) == 6.0
    assert reached(mean_curve(row), 14.0) == 2.0 and reached(mean_curve(row), 21.5) is None
    uneven = {"runs": [result(0, 20.0), result(1, 22.0, curve=[{"step": 4, "seconds": 4.0, "psnr": 18.0}])]}
    assert mean_curve(uneven) == [(4, 17.0)]  # only where all seeds were measured
