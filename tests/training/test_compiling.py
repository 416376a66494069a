"""A compiled step is the step: the same losses and gradients, the same names of parameters."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toys import toy

from tokenfield.errors import UserError
from tokenfield.training.compiling import compile_loss
from tokenfield.training.recipe import decisive


def test_a_compiled_step_is_the_step(tmp_path):
    program = Path(__file__).with_name("compiled_step.py")
    subprocess.run([sys.executable, program, tmp_path / "steps.pt"], check=True)
    plain, compiled = torch.load(tmp_path / "steps.pt")
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-7)


def test_inductor_without_a_compiler_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"none of the compilers g\+\+, clang\+\+ is installed"):
        compile_loss(torch.nn.Linear(2, 2), "inductor", torch.device("cpu"))


def test_only_a_compiled_run_is_another_run():
    assert "compile" not in decisive(toy())
    assert decisive(toy(compile="aot_eager"))["compile"] == "aot_eager"
