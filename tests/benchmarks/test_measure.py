"""What the benchmarks rest on: turns, peaks of memory, and a run of the whole at toy size."""

import json
from pathlib import Path

import pytest
import torch
from processes import start

from benchmarks import measure, peers
from tokenfield.errors import UserError

ROOT = Path(__file__).parents[2]


def test_variants_take_turns():
    calls = []
    variants = {name: lambda name=name: calls.append(name) or len(calls) for name in "AB"}
    seconds, results = measure.interleave(variants, repeats=3)
    assert "".join(calls) == "ABABAB"
    assert [len(times) for times in seconds.values()] == [3, 3]
    assert results == {"A": 5, "B": 6}


def allocate(megabytes):
    return measure.peak_memory(lambda: torch.ones(megabytes, 10**6, dtype=torch.uint8))


def test_peak_memory_is_what_the_work_adds():
    resident = torch.ones(200, 10**6, dtype=torch.uint8)  # resident before: not counted
    assert measure.in_own_process(allocate, 64) == pytest.approx(64e6, rel=0.05)
    assert allocate(64) == pytest.approx(64e6, rel=0.05)
    assert len(resident) == 200


def test_matmul_does_what_it_counts():
    run, work = measure.matmul(torch.float32, m=3, k=5, n=7)
    assert run().shape == (3, 7)
    assert work == 2 * 3 * 5 * 7


@pytest.mark.parametrize("options", [["--no-memory"], ["--only", "encode", "--malloc", "tuned"]])
def test_the_whole_at_toy_size(options):
    memory = "--no-memory" not in options
    process = start("benchmarks.lainr_178", "--quick", "--repeats", 1, "--threads", 1, *options, cwd=ROOT)
    assert "median ms" in process.stdout  # the table for people
    record = json.loads(process.stdout.splitlines()[-1])  # the line for machines
    assert {"device", "torch", "commit", "date", "malloc", "load before", "load after"} <= record.keys()
    assert record["malloc"] == ("tuned" if "tuned" in options else "default")
    for row in record["rows"]:
        if row["dtype"] == "float32":
            assert row["median_s"] > 0
            assert (row["peak_mb"] is not None) == memory
        if row["max_abs_diff"] is not None:
            exact = row["dtype"] == "float32" and "nodes" not in row["name"]
            assert row["max_abs_diff"] < (1e-4 if exact else 0.1)


def test_the_accelerator_s_script_writes_as_it_goes_and_stops_in_time(tmp_path):
    out = tmp_path / "rehearsal.json"
    options = "--quick", "--device", "cpu", "--repeats", 1, "--out", out, "--seconds", 1
    start("benchmarks.accelerator", *options, cwd=ROOT)
    record = json.loads(out.read_text())
    assert {row["name"].split(",")[0] for row in record["rows"]} == {"plain fp32", "tokenfield fp32", "tokenfield bf16"}
    assert all(row["median_s"] > 0 and row["share_of_matmul"] > 0 for row in record["rows"])
    assert any(title.startswith("decode") for title in record["left out"])


def test_a_folder_without_a_peer_s_code_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"give a checkout of kakaobrain/ginr-ipc"):
        peers.open_ginr_ipc(tmp_path)
