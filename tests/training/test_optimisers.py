"""Who is trained by which optimiser, at which rate, and that Muon is Muon."""

import copy
import math

import pytest
import torch
from torch import nn
from toys import LAINR

from tokenfield.errors import UserError
from tokenfield.models.base import Model
from tokenfield.training.muon import Muon, iterated, orthogonalize, through_gram
from tokenfield.training.optimisers import OptimConfig, build_optimizers, muon_parameters, schedule, set_rate


def names(model, optimizer):
    by_id = {id(p): name for name, p in model.named_parameters()}
    return {by_id[id(p)] for group in optimizer.param_groups for p in group["params"]}


class Small(Model):
    """One parameter of every kind."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(48, 37)
        self.inner = nn.Linear(37, 37)
        self.narrow = nn.Linear(37, 31)
        self.norm = nn.LayerNorm(37)
        self.tokens = nn.Parameter(torch.zeros(41, 37))

    def muon_excluded(self):
        return {"first.weight"}


def test_muon_takes_the_weights_of_inner_linear_layers():
    assert muon_parameters(Small()) == {"inner.weight"}  # not: excluded, a side of 31, biases, norms, tokens


def test_muon_and_adamw_share_out_every_parameter_once():
    model = LAINR.build()
    rest, matrices = build_optimizers(OptimConfig(name="muon"), model)
    assert names(model, rest) & names(model, matrices) == set()
    assert names(model, rest) | names(model, matrices) == {name for name, _ in model.named_parameters()}
    assert {"encoder.latents", "encoder.position"} <= names(model, rest)
    assert "encoder.transformer.blocks.0.attention.q.weight" in names(model, matrices)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_one_optimizer_for_everything(name, kind):
    model = Small()
    (optimizer,) = build_optimizers(OptimConfig(name=name, rate=0.25, betas=(0.8, 0.9)), model)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["fused"]) == (0.25, (0.8, 0.9), True)
    assert names(model, optimizer) == {name for name, _ in model.named_parameters()}


def test_frozen_parameters_are_nobodys():
    model = Small()
    model.inner.requires_grad_(False)
    optimizers = build_optimizers(OptimConfig(name="muon"), model)
    assert all("inner.weight" not in names(model, optimizer) for optimizer in optimizers)


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 37, 61), (1, 61, 37), (3, 33, 53), (2, 37, 83), (2, 83, 37)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    result = orthogonalize(matrices)
    values = torch.linalg.svdvals(result)
    assert values.max() < 1.3  # Jordan's post: about 0.7 to 1.2, and small ones of the input stay lower
    assert values.median() > 0.65
    aligned = (result * (u @ v)).sum((-2, -1)) / (result.norm(dim=(-2, -1)) * (u @ v).norm(dim=(-2, -1)))
    assert aligned.min() > 0.97  # the directions are those of U V^T


@pytest.mark.parametrize("shape", [(3, 33, 53), (3, 31, 79)])
def test_stacked_matrices_are_orthogonalized_one_by_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(orthogonalize(matrices), torch.cat([orthogonalize(m[None]) for m in matrices]))


def test_iterating_among_gram_matrices_is_the_same_iteration():
    matrices = torch.randn(2, 37, 113, generator=torch.Generator().manual_seed(1)).double()
    matrices /= matrices.norm(dim=(-2, -1), keepdim=True)
    torch.testing.assert_close(through_gram(matrices), iterated(matrices), rtol=0, atol=1e-12)


def test_bfloat16_products_are_near():
    matrices = torch.randn(2, 37, 83, generator=torch.Generator().manual_seed(1))
    narrow = orthogonalize(matrices, torch.bfloat16)
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow, orthogonalize(matrices), rtol=0, atol=0.03)


def test_muon_multiplies_in_bfloat16_where_the_run_does():
    _, exact = build_optimizers(OptimConfig(name="muon"), Small())
    _, narrow = build_optimizers(OptimConfig(name="muon"), Small(), bf16=True)
    assert (exact.dtype, narrow.dtype) == (torch.float32, torch.bfloat16)


def test_the_zero_matrix_stays_zero():
    assert orthogonalize(torch.zeros(1, 32, 40)).abs().max() == 0
    assert orthogonalize(torch.zeros(1, 32, 80)).abs().max() == 0


def test_it_is_the_library_s_muon_but_for_bfloat16():
    def train(make):
        weight = nn.Parameter(torch.randn(61, 37, generator=torch.Generator().manual_seed(1)) / 6)
        optimizer = make([weight])
        for step in range(3):
            weight.grad = torch.randn(61, 37, generator=torch.Generator().manual_seed(step))
            optimizer.step()
        return weight.detach()

    mine = train(lambda p: Muon(p, lr=0.1, momentum=0.9, weight_decay=0.3))
    theirs = train(lambda p: torch.optim.Muon(p, lr=0.1, momentum=0.9, weight_decay=0.3, adjust_lr_fn="original"))
    # Each of the 3 x 5 bfloat16 iterations there is good to about 1%; a step moves by 0.1 x 1.28 of a unit matrix.
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0.01)


def test_muon_resumes_from_its_state():
    def make():
        weight = nn.Parameter(torch.ones(33, 35))
        return weight, Muon([weight], lr=0.1)

    def step(weight, optimizer, seed):
        weight.grad = torch.randn(33, 35, generator=torch.Generator().manual_seed(seed))
        optimizer.step()

    weight, optimizer = make()
    step(weight, optimizer, 0)
    other, resumed = make()
    other.data.copy_(weight)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(weight, optimizer, 1)
    step(other, resumed, 1)
    assert torch.equal(weight, other)


def test_schedules():
    constant = OptimConfig()
    assert [schedule(constant, step, 10) for step in (0, 9)] == [1, 1]
    linear = OptimConfig(schedule="linear", warmup=4)
    assert [schedule(linear, s, 14) for s in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert schedule(linear, 9, 14) == pytest.approx(0.5)
    assert schedule(linear, 13, 14) == pytest.approx(0.1)  # the last step still moves; the one after would not
    cosine = OptimConfig(schedule="cosine")
    assert schedule(cosine, 5, 20) == pytest.approx(0.5 + math.sqrt(0.125))
    assert schedule(cosine, 20, 20) == pytest.approx(0)


def test_the_rate_is_scaled_from_its_height_and_not_from_its_last_value():
    optimizers = build_optimizers(OptimConfig(name="muon", rate=0.5, muon_rate=0.25), Small())
    for factor in (0.5, 0.1, 1.0):
        assert set_rate(optimizers, factor) == 0.5 * factor
        assert optimizers[1].param_groups[0]["lr"] == 0.25 * factor


@pytest.mark.parametrize("changes", [{"name": "adam", "weight_decay": 0.1}, {"rate": -1.0}, {"warmup": -1}])
def test_meaningless_settings_are_refused(changes):
    with pytest.raises(UserError, match="optim"):
        OptimConfig(**changes)
