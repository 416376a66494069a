"""LIIF: the authors' formula re-derived, any size without seams, pixels of any size."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tokenfield import Field, save
from tokenfield.coords import Grid, centers
from tokenfield.fields.lattice import Lattice
from tokenfield.models.liif import Edsr, LiifConfig

CONFIG = LiifConfig(dim=5, depth=1, hidden=(11, 7))
SIZE = (13, 17)


def make(config=CONFIG):
    torch.manual_seed(0)
    model = config.build().double().eval()
    for weight in model.layers[-1].parameters():  # with a skip they begin at zero
        torch.nn.init.normal_(weight, std=0.1)
    return model


def picture(height=SIZE[0], width=SIZE[1]):
    return torch.rand(3, height, width, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def as_published(model, images, points, cell):
    """Section 3 of the paper with the constants of the authors' code: unfold, nearest features, areas opposite."""
    images = images * 2 - 1
    features = F.unfold(model.encoder(images), 3, padding=1).unflatten(2, images.shape[-2:])
    height, width = images.shape[-2:]
    weight = torch.cat([model.unfolded.weight.flatten(1), model.place.weight], 1)
    ys, xs = (centers(n, dtype=torch.double) for n in (height, width))
    scale, epsilon = torch.tensor([height, width]), 1e-6
    answers, areas = [], []
    for y in (-1, 1):
        for x in (-1, 1):
            shifted = points + torch.tensor([y / height, x / width]) + epsilon
            rows, columns = (((shifted.clamp(-1 + epsilon, 1 - epsilon) + 1) / 2 * scale).long()).unbind(-1)
            offset = (points - torch.stack([ys[rows], xs[columns]], -1)) * scale
            seen = torch.cat([features[0, :, rows, columns].T, offset, (cell * scale).expand(len(points), 2)], -1)
            answers.append(model.layers(F.linear(seen, weight, model.unfolded.bias)))
            areas.append(offset.prod(-1).abs() + 1e-9)
    blended = sum(answer * area[:, None] for answer, area in zip(answers, areas[::-1], strict=True))
    return blended / sum(areas)[:, None] / 2 + 0.5


@torch.no_grad()
def test_it_is_the_published_formula():
    model, points = make(), torch.rand(50, 2, dtype=torch.double) * 2 - 1
    spans = (0.5, 0.3)
    y, x = centers(9, dtype=torch.double), centers(8, dtype=torch.double)
    grid = Grid((y, x), spans)
    tokens = model.encode(picture()[None])
    cell = 2 * torch.tensor(spans, dtype=torch.double) / torch.tensor(SIZE)
    expected = as_published(model, picture()[None], grid.coords(), cell)
    torch.testing.assert_close(model.decode(tokens, grid)[0], expected, rtol=0, atol=1e-7)
    whole = as_published(model, picture()[None], points, 2 / torch.tensor(SIZE, dtype=torch.double))
    torch.testing.assert_close(model.decode(tokens, points)[0], whole, rtol=0, atol=1e-7)


def test_the_published_sizes_are_the_defaults():
    model = LiifConfig().build()
    assert model.num_parameters == 1_220_416 + 346_883  # EDSR-baseline without its upsampling, and the MLP
    assert (model.halo, model.reach, model.encode(torch.rand(1, 3, 5, 7)).shape) == (34, 2, (1, 5, 7, 64))


@torch.no_grad()
@pytest.mark.parametrize("skip", ["none", "bilinear", "bicubic"])
def test_blocks_make_no_seams(skip):
    """Whole, in blocks, in overlapping crops, in chunks: one field, to the last bits."""
    model = make(replace(CONFIG, skip=skip))
    field = Field.of(model, picture())
    whole = field.render(29, 41)
    blocks = Field.of(model, picture(), domain=Lattice(SIZE, 1, block=4))
    torch.testing.assert_close(blocks.tokens, field.tokens, rtol=0, atol=1e-13)
    torch.testing.assert_close(blocks.render(29, 41), whole, rtol=0, atol=1e-13)
    for top, left, height, width in ((0, 0, 15, 20), (9, 14, 20, 27), (14, 20, 3, 1)):
        box = (2 * top / 29 - 1, 2 * left / 41 - 1, 2 * (top + height) / 29 - 1, 2 * (left + width) / 41 - 1)
        part = whole[:, top : top + height, left : left + width]
        torch.testing.assert_close(field.crop(box, (height, width)), part, rtol=0, atol=1e-12)
    whole = model.decode(field.tokens[None], Grid.cells(7, 11))
    torch.testing.assert_close(model.decode(field.tokens[None], Grid.cells(7, 11), chunk=5), whole)


@torch.no_grad()
def test_values_are_continuous_where_neighbours_hand_over():
    field = Field.of(make(), picture())
    middle = centers(SIZE[0], dtype=torch.double)[3:9]
    points = torch.stack([middle, torch.full_like(middle, 0.2)], -1)
    above, below = (field(points + torch.tensor([e, 0.0])) for e in (1e-9, -1e-9))
    torch.testing.assert_close(above, below, rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_render_says_how_large_its_pixels_are():
    model = make()
    field = Field.of(model, picture())
    double = Grid.cells(26, 34).axes
    doubles = Grid(tuple(axis.double() for axis in double), (0.5, 0.5))
    torch.testing.assert_close(field.render(26, 34).flatten(1).T, field(doubles), rtol=0, atol=1e-7)
    assert not torch.allclose(field.render(26, 34).flatten(1).T, field(doubles.coords()), atol=1e-4)
    eighth, quarter = (model.decode(field.tokens[None], Grid(doubles.axes, (s, s))) for s in (1 / 8, 1 / 4))
    torch.testing.assert_close(eighth, quarter, rtol=0, atol=0)  # no training saw smaller ones


@torch.no_grad()
def test_smaller_pictures_are_means():
    field = Field.of(make(), picture(12, 20))
    means = F.avg_pool2d(field.render(12, 20), 4)
    torch.testing.assert_close(field.render(3, 5), means, rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(("skip", "mode"), [("bilinear", "bilinear"), ("bicubic", None)])
def test_with_a_skip_it_begins_as_interpolation(skip, mode):
    model = replace(CONFIG, skip=skip).build().double()
    field = Field.of(model, picture())
    assert field.tokens.shape == (*SIZE, CONFIG.dim + 3) and field.values_stored == 13 * 17 * 8
    torch.testing.assert_close(field.render(*SIZE), picture(), rtol=0, atol=1e-6)
    if mode:
        large = F.interpolate(picture()[None], (26, 34), mode=mode)[0]
        torch.testing.assert_close(field.render(26, 34), large, rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_field_is_a_file(tmp_path):
    model = CONFIG.build()
    field = Field.of(model, picture())
    save(model, tmp_path / "model")
    field.save(tmp_path / "a.field")
    torch.testing.assert_close(Field.load(tmp_path / "a.field", model).render(5, 7), field.render(5, 7))


@torch.no_grad()
def test_a_feature_depends_on_what_the_encoder_reaches():
    encoder, images = Edsr(3, 4, 2).double(), torch.rand(1, 3, 31, 31, dtype=torch.double)
    other = images.clone()
    other[..., 15, 15] += 1
    changed = (encoder(images) - encoder(other)).abs().amax((0, 1)) > 0
    rows, columns = changed.nonzero().T
    assert encoder.reach == 6
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (9, 21, 9, 21)
