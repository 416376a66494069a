"""Two processes under torchrun train what one process trains with the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tokenfield.training.journal import read

HERE = Path(__file__).parent
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(pictures: Path, out: Path, launcher: list[str], accumulate: int) -> Path:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, HERE / "share.py", pictures, out, str(accumulate)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return out


def test_two_processes_with_two_parts_each_equal_one(pictures, tmp_path):
    one = run(pictures, tmp_path / "one", [], 1)
    two = run(pictures, tmp_path / "two", TORCHRUN, 2)
    weights, others = (load_file(out / "step-00000004" / "model.safetensors") for out in (one, two))
    moved = {name: (others[name] - tensor).abs().mean().item() for name, tensor in weights.items()}
    # Sums of four gradients in another order. Adam turns the rounding of a gradient that is all but zero into a step
    # of up to 1e-3, so single weights may differ by several of them, and means over a tensor hardly.
    assert max(moved.values()) < 5e-5, moved
    for mine, theirs in zip(*(read(out / "metrics.jsonl") for out in (one, two)), strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - {"seconds", "images_per_second"}:  # of the whole batch, and of all held-out pictures
            assert mine[key] == pytest.approx(theirs[key], rel=1e-4), key
