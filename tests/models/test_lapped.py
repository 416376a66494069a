"""Overlapping cells: any picture comes back, from whole tokens; a part of the picture equals the whole's part."""

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.fields.lattice import Lattice
from tokenfield.models.lapped import LappedConfig
from tokenfield.nn.lapped import border_filter, dct, fit_lapped, lapped_pair, sines


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(5, 3, 16, 16), size=(64, 64), mode="bicubic").clamp(0, 1)
    model = LappedConfig(cell=4, prefixes=(3, 12, 48)).build().eval()
    model.initialize(smooth)
    return model


@pytest.fixture(scope="module")
def picture():
    return torch.rand(3, 23, 37, generator=torch.Generator().manual_seed(1))


def test_dct_and_sines_are_orthonormal():
    assert torch.allclose(dct(8) @ dct(8).T, torch.eye(8, dtype=torch.float64))
    pixels = (torch.arange(10, dtype=torch.float64) + 0.5) / 5 - 1
    basis = sines(pixels, 10)
    assert torch.allclose(basis @ basis.T, torch.eye(10, dtype=torch.float64))
    assert sines(torch.tensor([-1.0, 1.0]), 10).abs().max() < 1e-5


def test_synthesis_inverts_analysis():
    odd = torch.eye(3, dtype=torch.float64) + 0.2 * torch.randn(3, 3, dtype=torch.float64)
    analysis, synthesis = lapped_pair(odd)
    signal = torch.randn(18, dtype=torch.float64)
    signal = torch.cat([signal[:6].flip(0), signal, signal[-6:].flip(0)])        # continues evenly
    cells = (signal.unfold(0, 12, 6)) @ analysis.T                               # starts half a cell early
    assert torch.allclose(border_filter(odd) @ torch.ones(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64))
    out = torch.zeros(len(cells) * 6 + 6, dtype=torch.float64)
    for i, cell in enumerate(cells):
        out[6 * i : 6 * i + 12] += synthesis @ cell
    assert torch.allclose(out[6:-6], signal[6 : len(out) - 6])


def test_the_overlap_gains():
    correlation = 0.95 ** torch.arange(16, dtype=torch.float64)
    lag = torch.arange(16)
    covariance = correlation[(lag[:, None] - lag).abs()]

    def gain(odd):
        analysis, synthesis = lapped_pair(odd)
        return -10 * torch.log10(((analysis @ covariance) * analysis).sum(1) * synthesis.square().sum(0)).mean()

    assert gain(torch.eye(4, dtype=torch.float64)) == pytest.approx(8.83, abs=0.01)  # a DCT's, of the textbooks
    assert gain(fit_lapped(correlation, 8, steps=25)) > 9.4


def test_pictures_come_back(model, picture):
    assert torch.allclose(Field.of(model, picture).render(23, 37), picture, atol=1e-5)


def test_points_equal_the_grid_and_chunks_the_whole(model, picture):
    field = Field.of(model, picture)
    grid = Grid.box((-0.9, -1.0), (1.0, 0.7), 29, 31)
    values = field(grid)
    order = torch.randperm(len(values))
    assert torch.allclose(field(grid.coords()[order]), values[order], atol=1e-5)
    tokens = field.tokens[None]
    assert torch.allclose(model.decode(tokens, grid, chunk=50), model.decode(tokens, grid), atol=1e-5)


def test_blocks_equal_the_whole(model, picture):
    small = Lattice((23, 37), model.cell, block=2)
    field, other = Field.of(model, picture), Field.of(model, picture, domain=small)
    assert torch.allclose(field.tokens, other.tokens, atol=1e-5)
    assert torch.allclose(field.render(50, 80), other.render(50, 80), atol=1e-5)


def test_the_field_is_continuous(model, picture):
    field = Field.of(model, picture)
    edge = 2 * 8 / 23 - 1  # between two rows of cells
    x = torch.linspace(-0.8, 0.8, 19)
    above, below = (field(torch.stack([torch.full_like(x, edge + d), x], 1)) for d in (-1e-6, 1e-6))
    assert torch.allclose(above, below, atol=1e-3)


def test_boxes_are_means_of_pixels(model, picture):
    field = Field.of(model, picture[:, :22, :36])
    means = torch.nn.functional.avg_pool2d(picture[None, :, :22, :36], 2)[0]
    assert torch.allclose(field.render(11, 18), means, atol=1e-4)


def test_prefixes_are_coarser(model, picture):
    field = Field.of(model, picture)
    errors = [(field.prefix(width).render(23, 37) - picture).square().mean() for width in model.prefixes]
    assert errors[0] > errors[1] > errors[2]
    assert Field.of(model, picture, rate=0.25).tokens.shape[-1] == 12


def test_sizes_are_checked():
    with pytest.raises(UserError, match="even side"):
        LappedConfig(cell=5, prefixes=(75,))
    with pytest.raises(UserError, match="end with 48"):
        LappedConfig(cell=4, prefixes=(3, 12))
