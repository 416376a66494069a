"""Heads: Eq. 6-9 written out for every number of bands, folding, and the plain stack of `w/o multiFM`."""

import pytest
import torch
import torch.nn.functional as F
from tensors import normal
from torch import nn

from tokenfield.coords import Grid
from tokenfield.nn.affine import fold, wide
from tokenfield.nn.token_decoder import MultiBandModulation, PlainMLP

B, Q, DIM = 2, 7, 8


def head(bands=2, in_dim=2, out_dim=3, **options):
    torch.manual_seed(bands)
    sigmas = (128.0, 64.0, 32.0, 16.0)[:bands]
    width = 8 if options.get("linear_frequency", True) is False else 13
    return MultiBandModulation(
        in_dim=in_dim, dim=DIM, feature_dim=width, sigmas=sigmas, out_dim=out_dim, **options
    ).double()


def written_out(net, coords, m):
    """Eq. 6-9, line by line."""
    h_f = [feature(coords) for feature in net.frequency]
    m_l = [F.relu(h + w(m)) for h, w in zip(h_f, net.modulate, strict=True)]
    h = [m_l[0]]
    for i in range(1, len(m_l)):
        h.append(F.relu(net.compose[i - 1](m_l[i] + h[i - 1])))
    return sum(out(x) for out, x in zip(net.out, h, strict=True))


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize(("in_dim", "out_dim"), [(1, 1), (2, 3), (6, 5)])
def test_equations(bands, in_dim, out_dim):
    net, coords, attended, out = head(bands, in_dim, out_dim), normal(Q, in_dim), normal(B, Q, DIM), nn.Linear(DIM, DIM)
    out = out.double()
    values = net.combine(net.locate(coords), net.fold(out), attended)
    assert values.shape == (B, Q, out_dim)
    torch.testing.assert_close(values, written_out(net, coords, out(attended)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("then", [True, False])
def test_folding_is_one_map_after_the_other(first, then):
    a, b = (nn.Linear(5, 7).double() if first else None), (nn.Linear(7, 3).double() if then else None)
    x = normal(2, 5 if first else 7)
    expected = x if a is None else a(x)
    expected = expected if b is None else b(expected)
    folded = fold(a, b)
    assert (folded is None) == (not first and not then)
    torch.testing.assert_close(x if folded is None else F.linear(x, *folded), expected)


def test_without_the_linear_map_of_eq_7_the_vector_itself_modulates():
    net, coords, m = head(linear_modulation=False), normal(Q, 2), normal(B, Q, DIM)
    identity = [lambda x: x] * 2
    net.modulate, expected_net = None, net
    values = net.combine(net.locate(coords), net.fold(None), m)
    h1 = F.relu(expected_net.frequency[0](coords) + identity[0](m))
    h2 = F.relu(net.compose[0](F.relu(net.frequency[1](coords) + m) + h1))
    torch.testing.assert_close(values, net.out[0](h1) + net.out[1](h2))


def test_without_the_linear_map_of_eq_6_features_are_the_harmonics():
    net, coords = head(linear_frequency=False), normal(Q, 2)
    assert not list(net.frequency.parameters())
    (first, _) = net.locate(coords)
    torch.testing.assert_close(first.square().sum(-1), torch.full((Q,), 4.0, dtype=torch.float64))  # cos^2 + sin^2


def test_a_grid_equals_its_points():
    net, grid, m = head(3), Grid.cells(3, 5).to(torch.float64), normal(B, 15, DIM)
    on_grid = net.combine(net.locate(grid), net.fold(None), m)
    torch.testing.assert_close(on_grid, net.combine(net.locate(grid.coords()), net.fold(None), m))


def test_the_arguments_are_unchanged():
    net, located, m = head(), None, normal(B, Q, DIM)
    located = net.locate(normal(Q, 2))
    before = [x.clone() for x in (*located, m)]
    for _ in range(2):  # ReLUs work in place, but on sums of their own
        net.combine(located, net.fold(None), m)
    assert all(torch.equal(a, b) for a, b in zip((*located, m), before, strict=True))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_plain_stack(depth):
    net, m, out = PlainMLP(dim=DIM, depth=depth, out_dim=3).double(), normal(B, Q, DIM), nn.Linear(DIM, DIM).double()
    hidden, before = out(m), m.clone()
    for layer in net.layers:
        hidden = F.relu(layer(hidden))
    torch.testing.assert_close(net.combine(net.locate(normal(Q, 2)), net.fold(out), m), net.out(hidden))
    assert torch.equal(m, before)


def test_values_are_never_narrower_than_float32():
    assert wide(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert wide(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
    net = head().bfloat16()
    values = net.combine(net.locate(Grid.cells(3, 5)), net.fold(None), torch.randn(B, 15, DIM).bfloat16())
    assert values.dtype == torch.float32


def test_no_bands_is_no_head():
    with pytest.raises(ValueError, match="at least one bandwidth"):
        MultiBandModulation(in_dim=2, dim=DIM, feature_dim=8, sigmas=(), out_dim=3)
