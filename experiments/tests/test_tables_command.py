"""`python -m experiments.tables` as it is typed."""

import json

import pytest
from fixtures import typist

from experiments.tables.command import main
from tokenfield.data.pictures import write_picture

pytestmark = pytest.mark.usefixtures("sixteen_pixels")


@pytest.fixture
def run(capsys):
    """Types a command line: `run("3", "--budget", "steps=1")`."""
    return typist(capsys, main)


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Two training pictures and one to test on."""
    import torch

    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    for name in ("train/a.png", "train/b.png", "test/c.png"):
        write_picture(tmp_path / "pool" / name, torch.rand(3, 18, 16))
    return tmp_path / "pool"


def test_two_tables_share_their_runs(run, pool, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.tables.memory.of_training", lambda *_: 123_456_789)  # test_memory's matter
    options = ("--budget", "steps=1", "--data", pool, "--seeds", 1, "-o", tmp_path / "out", "--runs", tmp_path / "runs",
               "--device", "cpu")  # fmt: skip
    outcome = run("figure-1", "figure-5", *options, "--json", tmp_path / "all.json")
    assert outcome.code == 0, outcome.err
    assert len([path for path in (tmp_path / "runs").glob("*-seed0-*") if path.is_dir()]) == 3  # once each
    assert "| LAINR | " in outcome.out and "38.72" in outcome.out and "pictures" in outcome.out
    data = json.loads((tmp_path / "out" / "figure-1" / "table.json").read_text())
    assert [row["label"] for row in data["rows"]] == ["LAINR", "LAINR, published start", "IPC"]
    assert data["rows"][0]["steps"] == 1 and "| 123 |" in outcome.out
    assert str(tmp_path) not in (tmp_path / "out" / "figure-1" / "table.json").read_text()  # no path of this machine
    names = {"table.json", "table.md", "table.csv", "table.tex", "figure.png"}
    assert {path.name for path in (tmp_path / "out" / "figure-5").iterdir()} == names
    assert set(json.loads((tmp_path / "all.json").read_text())["tables"]) == {"figure-1", "figure-5"}


def test_the_time_was_over(run, pool, tmp_path):
    options = ("--budget", "steps=1", "--data", pool, "-o", tmp_path / "out", "--runs", tmp_path / "runs")
    outcome = run("figure-1", *options, "--max-seconds", 0)
    assert outcome.code == 1 and "0 of 9 runs" in outcome.lines[-1] and "the same command goes on" in outcome.lines[-1]
    assert (tmp_path / "out" / "figure-1" / "table.md").exists()


def test_control_c_writes_what_is_finished(run, pool, tmp_path, monkeypatch):
    """It comes while the second row trains; the first is in the table, and the same command makes the second."""
    from experiments.tables import memory
    from tokenfield.comparison import running
    from tokenfield.training import Interrupted

    monkeypatch.setattr(memory, "of_training", lambda *_: None)  # seconds, and another test's matter
    train, calls = running.train, []

    def interrupted_once(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise Interrupted(130)
        return train(*args, **options)

    monkeypatch.setattr(running, "train", interrupted_once)
    argv = ("figure-1", "--budget", "steps=1", "--data", pool, "--seeds", 2, "-o", tmp_path / "out")
    argv += ("--runs", tmp_path / "runs", "--device", "cpu")
    outcome = run(*argv)
    assert outcome.code == 130 and outcome.lines[-1].count("interrupted after 1 of 6 runs") == 1 and len(calls) == 2
    rows = json.loads((tmp_path / "out" / "figure-1" / "table.json").read_text())["rows"]
    assert [row["seeds"] for row in rows] == [1, 0, 0]
    assert run(*argv).code == 0 and len(calls) == 7


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("9", "--budget", "steps=1", "--data", "."), 1, "no table is called '9'"),
        (("1", "--budget", "epochs=1", "--data", "."), 1, "give steps=1200"),
        (("1", "--budget", "steps=1", "--data", ".", "--seeds", "0"), 1, "at least 1"),
        (("1", "--data", "."), 2, "--budget"),
    ],
)
def test_bad_input(run, argv, code, message):
    outcome = run(*argv)
    assert outcome.code == code and message in outcome.err and len(outcome.lines) == 1
