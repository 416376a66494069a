"""SIGKILL at any moment, then resume: the weights are those of a run that was never disturbed, bit for bit."""

from pathlib import Path

import pytest
import torch
from processes import start
from safetensors.torch import load_file

from tokenfield.training.checkpoint import folders
from tokenfield.training.journal import read

HERE = Path(__file__).parent


def run(pictures: Path, out: Path, mode: str) -> str:
    return start(HERE / "kill.py", pictures, out, mode).stdout


@pytest.fixture(scope="module")
def undisturbed(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(pictures, out, "undisturbed")
    return out


@pytest.mark.parametrize(("mode", "said"), [("random", "killed after"), ("writing", "killed while writing .tmp-step-")])
def test_a_killed_run_that_is_resumed_ends_as_if_nothing_had_happened(undisturbed, pictures, tmp_path, mode, said):
    out = tmp_path / "run"
    assert said in run(pictures, out, mode)
    last, expected = folders(out)[-1], folders(undisturbed)[-1]
    assert last.name == expected.name == "step-00000016"
    for file in ("model.safetensors", "ema.safetensors"):
        weights, others = load_file(last / file), load_file(expected / file)
        assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())
    assert (out / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    numbers = [
        [(line["step"], line["loss"], line["psnr"], line["rate"]) for line in read(folder / "metrics.jsonl")]
        for folder in (out, undisturbed)
    ]
    assert numbers[0] == numbers[1]
    assert not list(out.glob(".tmp-*"))
