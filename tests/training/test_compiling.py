"""A compiled step is the step, and so is one that computes blocks again: losses, gradients, names of parameters."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import start
from torch.autograd.graph import saved_tensors_hooks
from toys import LAINR, toy

from tokenfield.errors import UserError
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.nn.attention import differentiated_once
from tokenfield.training.compiling import compile_loss, recompute_blocks
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.recipe import decisive, fresh_model


def test_a_compiled_step_is_the_step(tmp_path):
    program = Path(__file__).with_name("compiled_step.py")
    start(program, tmp_path / "steps.pt")
    plain, compiled = torch.load(tmp_path / "steps.pt")
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("model", [replace(LAINR, dropout=0.1), AnchoredConfig(start="random")])
def test_recomputed_blocks_give_the_same_gradient_and_hold_less(model):
    images, held = torch.rand(2, 3, *getattr(model, "size", (24, 32))), []

    def gradients(*, recompute: bool) -> dict[str, torch.Tensor]:
        net = fresh_model(toy(model=model)).train()
        if recompute:
            recompute_blocks(net)
        loss, sizes = ReconstructionConfig().build(net), []
        torch.manual_seed(5)  # of dropout
        with differentiated_once():
            with saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
                value = loss(images, torch.Generator().manual_seed(2))[0]
            held.append(sum(sizes))
            value.backward()
        return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}

    plain, again = gradients(recompute=False), gradients(recompute=True)
    torch.testing.assert_close(again, plain, rtol=0, atol=0)
    assert held[1] < 0.8 * held[0]


def test_inductor_without_a_compiler_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"none of the compilers g\+\+, clang\+\+ is installed"):
        compile_loss(torch.nn.Linear(2, 2), "inductor", torch.device("cpu"))


def test_only_a_compiled_run_is_another_run():
    assert "compile" not in decisive(toy())
    assert decisive(toy(compile="aot_eager"))["compile"] == "aot_eager"
