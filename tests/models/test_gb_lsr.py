"""GB-LSR: the authors' formula re-derived, patch by patch; pictures of any size in tiles."""

from dataclasses import replace
from math import pi

import pytest
import torch

from tokenfield import Field
from tokenfield.coords import Grid
from tokenfield.models.gb_lsr import GbLsrConfig

CONFIG = GbLsrConfig(size=(16, 24), patch=8, dim=6, groups=3, modes=5)


def make(config=CONFIG):
    torch.manual_seed(0)
    model = config.build().double().eval()
    for part in (model.coefficients, model.order):
        torch.nn.init.normal_(part.weight, std=0.5)
    torch.nn.init.constant_(model.raw_bandwidth, 0.3)
    return model


def images(size=(16, 24)):
    return torch.rand(2, 3, *size, dtype=torch.double, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_pixels_of_a_patch_are_its_series():
    model = make()
    tokens = model.encode(images())
    values = model.decode(tokens, Grid.cells(16, 24).to(torch.double)).unflatten(1, (16, 24))
    low, high = CONFIG.bandwidths
    bandwidth = low ** (1 - model.raw_bandwidth.sigmoid()) * high ** model.raw_bandwidth.sigmoid()
    u = torch.linspace(-1, 1, 8, dtype=torch.double)  # corners of a patch are -1 and 1
    phi = [torch.ones(8, dtype=torch.double)]
    for j in (1, 2):
        phi += [(j * pi * u * bandwidth).cos(), (j * pi * u * bandwidth).sin()]
    phi = torch.stack(phi)
    for row, column in ((0, 0), (1, 2)):
        token = tokens[1, row, column]
        order = 1 + 15 * model.order(token).sigmoid()
        fade = torch.tensor([[torch.sigmoid(4 * (order - max(i, j))) for j in range(5)] for i in range(5)])
        expected = torch.einsum("cij,iy,jx->yxc", model.coefficients(token).view(3, 5, 5) * fade, phi, phi)
        patch = values[1, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        torch.testing.assert_close(patch, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_points_are_a_grid_s():
    model, grid = make(), Grid.cells(5, 7)
    tokens = model.encode(images())
    values = model.decode(tokens, grid)
    order = torch.randperm(35)
    torch.testing.assert_close(model.decode(tokens, grid.coords()[order]), values[:, order])
    own = torch.stack([grid.coords(), grid.coords().flip(0)])
    torch.testing.assert_close(model.decode(tokens, own), torch.stack([values[0], values[1].flip(0)]))
    torch.testing.assert_close(model.decode(tokens, grid, chunk=4), values)


@torch.no_grad()
def test_sides_that_are_no_multiple_are_reflected():
    """Padding is shared out to both sides: of 13 pixels to 16, one before and two after."""
    model = make(replace(CONFIG, size=(13, 24)))
    seen = images((13, 24))
    padded = torch.cat([seen[:, :, 1:2], seen, seen[:, :, [11, 10]]], 2)
    whole = make()
    torch.testing.assert_close(model.encode(seen), whole.encode(padded))
    values = model.decode(model.encode(seen), Grid.cells(13, 24)).unflatten(1, (13, 24))
    expected = whole.decode(whole.encode(padded), Grid.cells(16, 24)).unflatten(1, (16, 24))
    torch.testing.assert_close(values, expected[:, 1:14], rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_picture_of_any_size_is_tiled():
    field = Field.of(CONFIG.build(), images((37, 53))[0].float())
    assert field.render(19, 23).shape == (3, 19, 23)
    assert field.tokens.shape[2:] == (2, 3, 6) and field.values_stored == field.tokens.numel()


def test_the_published_sizes_are_the_defaults():
    model = GbLsrConfig().build()
    assert model.coefficients.out_features == 768 and sum(isinstance(m, torch.nn.GroupNorm) for m in model.encoder) == 6
    assert model.bandwidth.item() == pytest.approx(0.5**0.5)
