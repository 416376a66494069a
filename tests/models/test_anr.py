"""ANR end to end: what must not change its values, its compositions with LAINR, narrow types, gradients, files."""

import json
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from tensors import random, same

from tokenfield.configs import from_dict
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.models.anr import AnrConfig
from tokenfield.models.lainr import LainrConfig, LocalizedLainrConfig
from tokenfield.nn.hypernetwork import HyperNetwork
from tokenfield.nn.localized_attention import LocalizedAggregation
from tokenfield.nn.token_decoder import MultiBandModulation

B, HEIGHT, WIDTH, R, DIM = 2, 7, 13, 5, 10

TOY = AnrConfig(
    size=(HEIGHT, WIDTH),
    patch=3,
    padding=1,
    num_latents=R,
    dim=DIM,
    encoder_dim=11,
    encoder_depth=1,
    decoder_depth=2,
    encoder_heads=3,
    encoder_head_dim=2,
    encoder_hidden=17,
    heads=2,
    head_dim=3,
    depth=3,
    sigma=64.0,
)

LAINR = LainrConfig(
    size=(HEIGHT, WIDTH),
    patch=3,
    padding=1,
    num_latents=R,
    latent_dim=DIM,
    encoder_dim=12,
    encoder_depth=1,
    encoder_heads=3,
    dim=8,
    feature_dim=12,
)

SYSTEMS = {
    "paper": TOY,
    "D1": replace(TOY, depth=1),
    "D2": replace(TOY, depth=2),
    "D6": replace(TOY, depth=6),
    "plain attention": replace(TOY, cutoff=0.0),
    "above the average weight": replace(TOY, cutoff=2.5),
    "padded encoding": replace(TOY, dim=DIM + 1),
    "1 channel": replace(TOY, channels=1),
    "narrow tokens from a wide network": replace(TOY, encoder_dim=24, dim=8),
    "ANR with LAINR's head": replace(TOY, dim=8, sigmas=(16.0, 4.0)),
    "LAINR with localized attention": LocalizedLainrConfig(LAINR),
    "LAINR, 4 heads": LocalizedLainrConfig(replace(LAINR, heads=4), cutoff=0.8),
}


def make(config=TOY, dtype=torch.float64):
    torch.manual_seed(0)
    return config.build().to(dtype)


def waves(channels):
    """Two pictures that a small field can learn: one bright on the left, one at the top."""
    y, x = torch.meshgrid(*Grid.cells(HEIGHT, WIDTH).to(torch.float64).axes, indexing="ij")
    return (0.5 + 0.4 * torch.stack([torch.sin(-2 * x), torch.sin(-2 * y)]))[:, None].repeat(1, channels, 1, 1)


def target_of(images):
    return images.flatten(2).transpose(1, 2)


def test_pictures_are_in_minus_one_to_one_inside_only():
    model, images = make(), random(B, 3, HEIGHT, WIDTH)
    tokens = model.encode(images)
    assert tokens.shape == (B, R, DIM)
    patches = F.unfold(2 * images - 1, 3, padding=1, stride=3).mT  # zeros around a picture in [-1, 1] are mid-grey
    same(model.encoder(patches), tokens)
    grid = Grid.cells(5, 7).to(torch.float64)
    inside = model.decoder.combine(model.decoder.locate(grid), model.decoder.prepare(tokens))
    same(2 * model.decode(tokens, grid) - 1, inside)
    with torch.no_grad():
        model.decoder.head.out.weight.zero_()
        model.decoder.head.out.bias.zero_()
    same(model.decode(tokens, grid), torch.full((B, 35, 3), 0.5, dtype=torch.float64))


def test_the_papers_model_has_the_papers_sizes():
    with torch.device("meta"):
        model = AnrConfig().build()
    assert model.encoder.position.shape == (169, 512)
    assert model.encoder.latents.shape == (256, 512)
    assert [layer.weight.shape for layer in model.decoder.head.layers] == [(512, 512)] * 4
    assert model.decoder.aggregator.attention.cutoff / 256 == pytest.approx(0.0015)


def test_a_picture_of_no_whole_patches_is_refused_or_cut():
    images = random(B, 3, 8, WIDTH)  # 8 + 2 = 3 x 3 + 1
    with pytest.raises(ValueError, match="no whole number of 3-pixel patches"):
        make(replace(TOY, size=(8, WIDTH))).encode(images)
    model = make(replace(TOY, size=(8, WIDTH), drop_rest=True))
    same(model.encode(images), model.encoder(F.unfold(2 * images - 1, 3, padding=1, stride=3).mT))


def test_permuting_coordinates_permutes_values_and_permuting_tokens_changes_nothing():
    model, coords, tokens = make(), random(11, 2), random(B, R, DIM)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    values = model.decode(tokens, coords)
    same(model.decode(tokens, coords[order]), values[:, order])
    same(model.decode(tokens[:, [3, 0, 4, 2, 1]], coords), values)


def test_patches_without_positions_are_a_set_of_any_size():
    torch.manual_seed(0)
    sizes = {"encoder_depth": 1, "decoder_depth": 2, "num_heads": 2, "head_dim": 3, "hidden": 7}
    network = HyperNetwork(patch_dim=4, num_patches=None, num_latents=R, latent_dim=3, dim=5, **sizes).double()
    patches = random(B, 6, 4)
    same(network(patches[:, [5, 2, 0, 1, 4, 3]]), network(patches))
    assert network(random(B, 9, 4)).shape == (B, R, 3)


@pytest.mark.parametrize("chunk", [1, 6, 10])
@pytest.mark.parametrize("kind", ["grid", "shared", "own"])
def test_chunks_equal_the_whole(kind, chunk):
    model, tokens = make(), random(B, R, DIM)
    coords = {"grid": Grid.cells(5, 7).to(torch.float64), "shared": random(11, 2), "own": random(B, 11, 2)}[kind]
    same(model.decode(tokens, coords, chunk), model.decode(tokens, coords, 10**6))


def test_instances_of_a_batch_do_not_meet():
    model, coords, images = make(), random(11, 2), random(3, 3, HEIGHT, WIDTH)
    alone = torch.cat([model.decode(model.encode(image[None]), coords) for image in images])
    same(model.decode(model.encode(images), coords), alone)


def test_both_compositions_are_what_they_say():
    anr, lainr = make(SYSTEMS["ANR with LAINR's head"]), make(SYSTEMS["LAINR with localized attention"])
    assert isinstance(anr.encoder, HyperNetwork) and isinstance(anr.decoder.head, MultiBandModulation)
    assert isinstance(lainr.decoder.aggregator, LocalizedAggregation)
    assert isinstance(lainr.decoder.head, MultiBandModulation)
    same(lainr.encode(images := random(B, 3, HEIGHT, WIDTH)), make(LAINR).encode(images))  # the encoder is LAINR's


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_composition_trains_and_survives_files(name, tmp_path):
    config = SYSTEMS[name]
    model = make(config)
    images, grid = waves(model.channels), Grid.cells(HEIGHT, WIDTH).to(torch.float64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        loss = (model.decode(model.encode(images), grid) - target_of(images)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    same(model.decode(model.encode(images), grid), model.decode(model.encode(images), grid.coords()))

    assert from_dict(type(config), json.loads(json.dumps(asdict(config)))) == config
    model.float()
    loaded = pretrained.load(pretrained.save(model, tmp_path / "model"))
    assert type(loaded) is type(model) and loaded.config == config
    assert torch.equal(loaded.encode(images.float()), model.encode(images.float()))


def test_gradients_by_finite_differences():
    model, images = make(replace(TOY, sigma=8.0)), random(1, 3, HEIGHT, WIDTH)
    tokens, coords = model.encode(images).detach().requires_grad_(), random(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(model.decode, (tokens, coords))
    axes = [random(2).requires_grad_(), random(3).requires_grad_()]
    assert torch.autograd.gradcheck(lambda z, y, x: model.decode(z, Grid((y, x))), (tokens, *axes))
    assert torch.autograd.gradcheck(lambda x: model.encode(x)[:, :2], images.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("depth", [0, -1])
def test_no_layer_at_all_is_refused(depth):
    with pytest.raises(UserError, match="depth"):
        replace(TOY, depth=depth).build()


@pytest.mark.parametrize("how", ["weights", "autocast"])
@torch.no_grad()
def test_bfloat16_keeps_to_the_exact_values(how):
    wide_enough = replace(TOY, dim=64, heads=4, head_dim=16, num_latents=17, sigma=1024.0)  # rounding averages out
    model, grid = make(wide_enough, torch.float32), Grid.cells(23, 29)
    tokens = torch.randn(B, 17, 64, generator=torch.Generator().manual_seed(0))
    exact = model.decode(tokens, grid)
    if how == "weights":
        narrow = model.bfloat16().decode(tokens, grid)
    else:
        with torch.autocast("cpu", torch.bfloat16):
            narrow = model.decode(tokens, grid)
    assert narrow.dtype == torch.float32
    assert -10 * (narrow - exact).square().mean().log10() > 50


@torch.no_grad()
def test_bfloat16_encodes_float32_pictures():
    model, images = make(dtype=torch.float32), torch.rand(B, 3, HEIGHT, WIDTH)
    exact = model.encode(images)
    assert ((model.bfloat16().encode(images) - exact).norm() / exact.norm()).item() < 0.03
