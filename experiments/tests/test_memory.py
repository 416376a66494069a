"""Peak memory: what it sees, that it is measured apart and once, and that it follows the model alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import start

from experiments.miniature import base
from experiments.tables import memory
from experiments.tables.memory import of_training
from tokenfield.comparison.setting import Budget, Setting
from tokenfield.data.pictures import write_picture

LAINR = base()


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    for name in ("train/a.png", "train/b.png", "test/c.png"):
        write_picture(tmp_path / "pool" / name, torch.rand(3, 18, 16))
    return Setting(Budget("steps", 1), tmp_path / "pool", tmp_path / "runs", device="cpu")


def test_peak_memory_sees_what_was_held_for_a_moment():
    """In a small process of its own: what a large one holds may go to the disk meanwhile."""
    code = ("import torch\nfrom experiments.tables.memory import with_peak_memory\n"
            "print(*with_peak_memory(lambda: int(torch.ones(16, 1024, 1024).sum())))")
    result, peak = start(f"-c {code}", PYTHONPATH=Path(__file__).parents[2]).stdout.split()
    assert int(result) == 16 * 1024**2
    assert peak == "None" or int(peak) >= 48 * 1024**2  # 64 MB, less what lay free before


def test_a_larger_batch_needs_more_whatever_this_process_holds(setting):
    """Some 500 MB held and freed here change nothing there; the seed has no say, and the number is kept."""
    block = torch.ones(128, 1024, 1024)
    small = LAINR
    first = of_training(small, setting, lambda: None)
    del block
    large = of_training(replace(small, batch_size=512), setting, lambda: None)
    if first is None or large is None:
        pytest.skip("this system does not tell peak memory")
    assert 1 << 20 < first < large
    files = sorted((setting.runs / "memory").glob("*.json"))
    assert len(files) == 2 and {json.loads(path.read_text())["peak_memory"] for path in files} == {first, large}
    assert of_training(replace(small, seed=7), setting, lambda: 0.0) == first  # no time: it is there already


def test_no_time_left(setting):
    assert of_training(LAINR, setting, lambda: 0.0) is None
    assert not (setting.runs / "memory").exists()


def test_a_model_that_fails_has_no_number(setting):
    """The process reports the failure; the row itself says what it was."""
    broken = replace(LAINR, data=replace(LAINR.data, size=15))
    assert memory.of_training(broken, setting, lambda: None) is None
