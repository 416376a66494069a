"""The guard finds what became slower, and nothing else."""

import io
import json

import pytest

from benchmarks import guard


def test_what_became_slower_is_found():
    committed = {"ratio": {"decode": 2.0, "step": 3.0}, "instructions": {"decode": 1000.0}}
    same = {"ratio": {"decode": 1.9, "step": 3.3}, "instructions": {"decode": 1010.0}}
    assert guard.findings(same, committed) == []
    slower = {"ratio": {"decode": 1.6, "new": 0.1}, "instructions": {"decode": 1030.0}}
    assert guard.findings(slower, committed) == ["decode: 1.6, committed 2", "decode: 1030, committed 1000"]


def test_figures_are_committed_by_kernels(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(guard, "COMMITTED", tmp_path / "guard.json")
    monkeypatch.setattr(guard, "TIMED", {})
    monkeypatch.setattr(guard, "ratios", lambda repeats: {"decode": 2.0})
    assert guard.main(guard.Options(write=True, instructions=False)) == 0
    assert json.loads(guard.COMMITTED.read_text()) == {guard.kernels(): {"ratio": {"decode": 2.0}}}
    monkeypatch.setattr(guard, "ratios", lambda repeats: {"decode": 1.0})
    assert guard.main(guard.Options(instructions=False)) == 1
    assert "slower: decode: 1, committed 2" in capsys.readouterr().err


def test_without_valgrind_one_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(guard, "COMMITTED", tmp_path / "guard.json")
    monkeypatch.setattr(guard, "ratios", lambda repeats: {})
    assert guard.main(guard.Options()) == 0
    assert capsys.readouterr().err == (
        "no instruction counts: valgrind is not installed (Debian: apt-get install valgrind)\n")


@pytest.mark.parametrize("name", guard.COUNTED)
def test_counted_cases_run_between_two_lines(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n"))
    assert guard.main(guard.Options(count=name)) == 0
    assert capsys.readouterr().out == "ready\ndone\n"
