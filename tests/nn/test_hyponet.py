"""The MLP with weights of an instance's own: kinds of layers by hand, tables per axis, precision of phases."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors import normal, same

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.nn.hyponet import (
    AffineLayer,
    FactorLayer,
    Fourier,
    Hyponet,
    Layout,
    MatrixLayer,
    Raw,
    ScaledLayer,
    SharedLayer,
    sizes,
)

IN, OUT, B = 5, 6, 3


def test_rows_of_scaled_layers_take_turns():
    layer, rows = ScaledLayer(IN, OUT, 2).double(), normal(B, 2, IN)
    weight, bias = layer.affine(rows)
    for j in range(OUT):
        row = layer.weight[j] * rows[:, j % 2]
        same(weight[:, j], row / row.norm(dim=-1, keepdim=True))
    assert bias is layer.bias


def test_composed_layers_are_v_times_u():
    layer, rows = FactorLayer(IN, OUT, 4).double(), normal(B, 4, IN)
    product = rows.mT @ layer.factor  # (B, in, out), as the paper writes it
    same(layer.affine(rows)[0].mT, product / product.norm(dim=1, keepdim=True))


def test_matrix_and_shared_layers_are_normalised_and_affine_ones_are_not():
    rows = normal(B, OUT, IN)
    same(MatrixLayer(IN, OUT, OUT).double().affine(rows)[0], rows / rows.norm(dim=-1, keepdim=True))
    shared = SharedLayer(IN, OUT).double()
    same(shared.affine()[0].norm(dim=-1), torch.ones(OUT, dtype=torch.float64))
    weight, bias = AffineLayer(IN, OUT).affine(normal(B, OUT, IN + 1))
    same(torch.cat([weight, bias.mT], -1), normal(B, OUT, IN + 1))


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="4 groups do not divide a layer of 6 outputs"):
        ScaledLayer(IN, OUT, 4)
    with pytest.raises(UserError, match="depth 1"):
        sizes(4, 8, 1, 3)
    with pytest.raises(UserError, match="use at least 6"):
        Fourier(3, 5, 8.0)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 7)), min_size=1, max_size=5).filter(
        lambda x: any(n for n, _ in x)
    )
)
@settings(max_examples=30, deadline=None)
def test_tokens_are_rows_side_by_side(layers):
    layout = Layout(tuple(n for n, _ in layers), tuple(w for _, w in layers))
    rows = [normal(B, n, w) for n, w in layers]
    tokens = layout.join(rows)
    assert tokens.shape == (B, layout.count, layout.width)
    assert layout.values == sum(n * w for n, w in layers) <= layout.count * layout.width
    for before, after in zip(rows, layout.split(tokens), strict=True):
        assert torch.equal(before, after) or before.numel() == after.numel() == 0


def build(kind, features, depth=4, dim=7, channels=2):
    bounds = sizes(features.out_dim, dim, depth, channels)
    layers = [kind(i, o, min(o, 3) if kind is FactorLayer else o) for i, o in bounds]
    return Hyponet(features, layers, output_bias=0.25).double()


KINDS = {
    "composed": lambda i, o, _: FactorLayer(i, o, 3),
    "given": MatrixLayer,
    "scaled": ScaledLayer,
    "whole": lambda i, o, _: AffineLayer(i, o),
}


def mlp(net, tokens, gamma):
    """By hand, one instance at a time."""
    rows, values = net.layout.split(tokens), []
    for b in range(len(tokens)):
        x = gamma
        for i, layer in enumerate(net.layers):
            weight, bias = layer.affine(rows[i][b : b + 1])
            x = x @ weight.reshape(weight.shape[-2:]).T + bias.reshape(-1)
            x = F.relu(x) if i < len(net.layers) - 1 else x
        values.append(x + net.output_bias)
    return torch.stack(values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [(5,), (5, 3), (2, 5, 3)], ids=len)
@pytest.mark.parametrize("features", ["fourier", "raw"])
def test_grids_and_points_are_the_same_mlp(kind, axes, features):
    features = Fourier(len(axes), 30, 4.0) if features == "fourier" else Raw(len(axes))
    net = build(KINDS[kind], features)
    tokens = normal(B, net.layout.count, net.layout.width)
    grid = Grid(tuple(normal(n) for n in axes))
    points = grid.coords()
    gamma = features(points)
    expected = mlp(net, tokens, gamma)
    prepared = net.prepare(tokens)
    same(net.combine(net.locate(grid), prepared), expected)
    same(net.combine(net.locate(points), prepared), expected)
    same(net.combine(net.locate(points.expand(B, -1, -1)), prepared), expected)


@pytest.mark.parametrize("first", [True, False])
def test_some_layers_modulated(first):
    features = Fourier(2, 12, 4.0)
    shapes = sizes(features.out_dim, 7, 3, 2)
    layers = [FactorLayer(*s, 3) if (i == 0) == first and i < 2 else SharedLayer(*s) for i, s in enumerate(shapes)]
    net = Hyponet(features, layers).double()
    tokens, points = normal(B, 3, net.layout.width), normal(11, 2)
    expected = mlp(net, tokens, features(points))
    same(net.combine(net.locate(points), net.prepare(tokens)), expected)
    assert net.locate(points).shape == (11, features.out_dim if first else 7)


@pytest.mark.parametrize(("sigma", "unit"), [(128.0, math.pi), (1024.0, math.pi), (256.0, 1.0)])
def test_phases_are_exact_in_float32(sigma, unit):
    features = Fourier(2, 64, sigma, unit)
    points = torch.rand(97, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact = features(points.double())
    assert features(points).dtype == torch.float32
    torch.testing.assert_close(features(points).double(), exact, rtol=0, atol=4e-7)
    w = sigma ** (torch.arange(16, dtype=torch.float64) / 15)
    phase = (points.double().unsqueeze(-1) * w * unit).flatten(-2)
    torch.testing.assert_close(exact, torch.cat([phase.cos(), phase.sin()], -1), rtol=0, atol=1e-9)


def test_gradients_by_finite_differences():
    net = build(KINDS["composed"], Fourier(2, 12, 2.0))
    tokens = normal(2, net.layout.count, net.layout.width).requires_grad_()
    axes = [normal(2).requires_grad_(), normal(3).requires_grad_()]

    def values(tokens, *axes):
        return net.combine(net.locate(Grid(axes)), net.prepare(tokens))

    assert torch.autograd.gradcheck(values, (tokens, *axes))
    points = normal(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda t, p: net.combine(net.locate(p), net.prepare(t)), (tokens, points))
