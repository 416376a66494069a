"""Two processes, as torchrun starts them, train what one process trains with the same global batch."""

from pathlib import Path

import pytest
from processes import start
from safetensors.torch import load_file

from tokenfield.training.journal import read

HERE = Path(__file__).parent


def test_two_processes_with_two_parts_each_equal_one(pictures, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    start(HERE / "share.py", pictures, one, 1)
    start(HERE / "share.py", pictures, two, 2, processes=2)
    weights, others = (load_file(out / "step-00000004" / "model.safetensors") for out in (one, two))
    moved = {name: (others[name] - tensor).abs().mean().item() for name, tensor in weights.items()}
    # Sums of four gradients in another order. Adam turns the rounding of a gradient that is all but zero into a step
    # of up to 1e-3, so single weights may differ by several of them, and means over a tensor hardly.
    assert max(moved.values()) < 5e-5, moved
    for mine, theirs in zip(*(read(out / "metrics.jsonl") for out in (one, two)), strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - {"seconds", "images_per_second"}:  # of the whole batch, and of all held-out pictures
            assert mine[key] == pytest.approx(theirs[key], rel=1e-4), key
