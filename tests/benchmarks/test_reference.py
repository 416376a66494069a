"""The plain reference computes what ours does, so the benchmarks compare like with like."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tensors import random
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import cases, flops, reference
from tokenfield.coords import Grid
from tokenfield.training.objective import reconstruction_loss
from tokenfield.training.sampling import Sampling

B = 2
CONFIG = replace(cases.TOY, size=(7, 14), heads=2)


@pytest.fixture
def pair():
    model = cases.build(CONFIG).double()
    plain = reference.Reference(CONFIG).double()
    plain.load_state_dict(model.state_dict(), strict=True)
    return model, plain


@pytest.mark.parametrize("bands", [(128.0,), (128.0, 32.0), (128.0, 90.0, 64.0, 32.0)])
def test_same_weights_give_the_same_values(bands):
    model = cases.build(replace(CONFIG, sigmas=bands))
    plain = reference.Reference.of(model)
    images = random(B, 3, 7, 14).float()
    tokens = plain.encode(images)
    torch.testing.assert_close(model.encode(images), tokens, rtol=0, atol=1e-5)
    values = plain.decode(tokens, reference.pixel_coords(B, 5, 11))
    torch.testing.assert_close(model.decode(tokens, Grid.cells(5, 11)), values, rtol=0, atol=1e-4)
    torch.testing.assert_close(plain.decode(tokens, reference.pixel_coords(B, 5, 11), 7), values)


def test_it_is_a_copy():
    model = cases.build(CONFIG)
    plain = reference.Reference.of(model)
    with torch.no_grad():
        model.encoder.out.weight.zero_()
    assert plain.encoder.out.weight.abs().sum() > 0


@pytest.mark.parametrize("row_blocks", [1, 3])
def test_same_coordinates_give_the_same_gradients(pair, row_blocks):
    model, plain = pair
    plain.decoder.double()
    images, grid = random(B, 3, 7, 14), Grid.cells(7, 14).to(torch.float64)
    sampling = Sampling(grid, torch.arange(7)[:, None], torch.arange(14))
    ours, _ = reconstruction_loss(model, images, sampling, row_blocks)
    values = plain.decode(plain.encode(images), grid.coords().expand(B, -1, -1))
    theirs = F.mse_loss(values, images.flatten(2).transpose(1, 2))
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=0)
    ours.backward()
    theirs.backward()
    expected = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-7, msg=name)


def test_noise_stays_within_the_pixel():
    noisy, exact = reference.pixel_coords(3, 5, 7, noise=True), reference.pixel_coords(3, 5, 7)
    assert ((noisy - exact).abs() <= torch.tensor([1 / 5, 1 / 7]) + 1e-6).all()
    assert not torch.equal(noisy[0], noisy[1])  # every picture has coordinates of its own
    torch.testing.assert_close(exact[1], Grid.cells(5, 7).coords())


@pytest.mark.parametrize("fraction", [1.0, 0.1])
def test_a_step_moves_every_weight(fraction):
    plain = reference.Reference.of(cases.build(CONFIG))
    before = {name: p.detach().clone() for name, p in plain.named_parameters()}
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    loss = reference.step(plain, optimizer, random(B, 3, 7, 14).float(), fraction)
    assert loss.isfinite()
    assert all(not torch.equal(p, before[name]) for name, p in plain.named_parameters())


def counted(run):
    # The counter sees the products of attention only where they are not fused.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        run()
    return counter.get_total_flops()


def test_operations_by_formula_are_those_that_run():
    config = replace(CONFIG, size=(14, 14), sigmas=(128.0, 64.0, 32.0))
    model, images, size = cases.build(config), torch.rand(1, 3, 14, 14), 13
    plain = reference.Reference.of(model)
    tokens = plain.encode(images)
    assert counted(lambda: plain.encode(images)) == flops.encoder(config, last_block_whole=True)
    assert counted(lambda: model.encode(images)) == flops.encoder(config, last_block_whole=False)
    coords, grid = reference.pixel_coords(1, size, size), Grid.cells(size, size)
    assert counted(lambda: plain.decode(tokens, coords)) == flops.reference_decoder(config, size**2)
    two = tokens.repeat(2, 1, 1)
    ours = counted(lambda: model.decode(two, grid))
    assert ours == pytest.approx(flops.our_decoder(config, size**2, batch=2, axes=(size, size)), rel=0.02)
    ours = counted(lambda: model.decode(two, coords[0]))
    assert ours == pytest.approx(flops.our_decoder(config, size**2, batch=2), rel=0.02)
