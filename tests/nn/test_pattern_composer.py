"""Pattern composers as an aggregator: without selective aggregation and without bands LAINR is IPC, to the bit."""

from dataclasses import replace

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.hyponet_field import IpcConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig
from tokenfield.nn.pattern_composer import NormalizedStack
from tokenfield.nn.token_decoder import SelectiveTokenAggregation, TokenDecoder

IPC = IpcConfig(
    size=(7, 13), patch=3, padding=1, encoder_dim=12, encoder_depth=2, encoder_heads=3, dim=8, feature_dim=16,
    num_latents=5, sigma=32.0,
)  # fmt: skip
SIZES = LainrConfig(
    size=(7, 13), patch=3, padding=1, encoder_dim=12, encoder_depth=2, encoder_heads=3, dim=8, feature_dim=16,
    num_latents=5, latent_dim=8, sigma_q=32.0, plain_depth=2,
)  # fmt: skip
WITHOUT_BOTH = ComposedLainrConfig(SIZES)
WITHOUT_STA = ComposedLainrConfig(replace(SIZES, plain_depth=0, sigma_q=4.0, sigmas=(32.0, 8.0)))


def twins():
    """An IPC and a LAINR without both, with the same weights."""
    torch.manual_seed(0)
    ipc, composed = IPC.build(), WITHOUT_BOTH.build()
    places = {"encoder.out.norm.1.": "encoder.norm.", "encoder.out.linear.1.": "encoder.out."}
    places |= {f"net.layers.{i}.": f"decoder.aggregator.net.layers.{i}." for i in (0, 1)}
    places |= {f"net.layers.{i}.": f"decoder.head.layers.{i - 2}." for i in (2, 3, 4)}

    def renamed(name):
        for theirs, ours in places.items():
            if name.startswith(theirs):
                return name.replace(theirs, ours)
        return name

    composed.load_state_dict({renamed(name): tensor for name, tensor in ipc.state_dict().items()}, strict=True)
    return ipc, composed, renamed


@pytest.mark.parametrize("where", ["grid", "points", "chunks"])
def test_without_both_is_ipc_to_the_bit(where):
    ipc, composed, renamed = twins()
    images = torch.rand(2, 3, 7, 13)
    grid = Grid.cells(11, 5)
    coords, chunk = (grid.coords() if where == "points" else grid), (7 if where == "chunks" else None)
    values = []
    for model in (ipc, composed):
        tokens = model.encode(images)
        values.append((tokens, model.decode(tokens, coords, chunk)))
        values[-1][1].square().mean().backward()
    assert torch.equal(values[0][0], values[1][0]) and torch.equal(values[0][1], values[1][1])
    gradients = {name: p.grad for name, p in composed.named_parameters()}
    for name, p in ipc.named_parameters():
        assert torch.equal(p.grad, gradients[renamed(name)]), name


def test_ipc_is_the_mlp_of_the_paper():
    ipc, *_ = twins()
    ipc = ipc.double()
    tokens, points = torch.randn(2, 5, 8, dtype=torch.float64), torch.rand(11, 2, dtype=torch.float64)
    x = ipc.net.features(points).expand(2, -1, -1)
    for i, layer in enumerate(ipc.net.layers):
        weight = tokens.mT @ layer.factor if i == 1 else layer.weight.T.expand(2, -1, -1)  # W = V U, in x out
        x = x @ (weight / weight.norm(dim=1, keepdim=True)) + layer.bias
        x = x.relu() if i < 4 else x
    torch.testing.assert_close(ipc.decode(tokens, points), x + 0.5, rtol=0, atol=1e-12)


def test_a_normalised_stack_can_follow_attention():
    """`w/o multiFM` with the MLP of IPC: the attention's output map is folded into the first normalised layer."""
    aggregator = SelectiveTokenAggregation(in_dim=2, dim=8, latent_dim=6, feature_dim=12, sigma_q=4.0, num_heads=2)
    head = NormalizedStack(dim=8, depth=1, out_dim=3)
    decoder = TokenDecoder(aggregator, head).double()
    tokens, points = torch.randn(2, 5, 6, dtype=torch.float64), torch.rand(11, 2, dtype=torch.float64)
    values = decoder.combine(decoder.locate(points), decoder.prepare(tokens))
    m = aggregator.output_map(aggregator.combine(aggregator.locate(points), aggregator.prepare(tokens)))
    (w1, b1), (w2, b2) = head.fold(None)
    expected = (m @ w1.T + b1).relu() @ w2.T + b2 + 0.5
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("config", [WITHOUT_STA, WITHOUT_BOTH], ids=["w/o STA", "w/o both"])
def test_every_parameter_learns(config):
    torch.manual_seed(0)
    model, images = config.build(), torch.rand(2, 3, 7, 13)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        values = model.decode(model.encode(images), Grid.cells(7, 13))
        loss = (values - images.flatten(2).mT).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in model.parameters())
    assert losses[-1] < 0.95 * losses[0]


def test_tokens_are_as_wide_as_the_decoder():
    with pytest.raises(UserError, match=r"lainr\.latent_dim 6 and lainr\.dim 8"):
        ComposedLainrConfig(replace(SIZES, latent_dim=6)).build()
