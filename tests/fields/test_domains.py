"""Domains against models whose answer is known: what goes in comes out, however it was cut up."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lookup import Lookup, LookupConfig, interpolate

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.fields import tiles
from tokenfield.fields.domains import DOMAINS, Lattice, Tiles, domain_from_dict, domain_of, for_pictures
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.registry import MODELS

SIZES = [(1, 1), (1, 5000), (211, 1), (7, 5), (6, 4), (8, 6), (13, 11), (31, 2), (2, 31), (29, 37)]
FIXED, NATIVE = LookupConfig(), LookupConfig(size=None)


def picture(size, seed=0):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))


def padded(model, image):
    """The picture continued by its last pixels to whole cells."""
    h, w = (-(-n // model.cell) * model.cell for n in image.shape[1:])
    ys, xs = (torch.arange(n).clamp(max=m - 1) for n, m in zip((h, w), image.shape[1:], strict=True))
    return image[:, ys[:, None], xs]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("config", [FIXED, NATIVE], ids=["tiles", "lattice"])
@torch.no_grad()
def test_pixels_come_back(config, size):
    model, image = Lookup(config), picture(size)
    domain = domain_of(model, size)
    tokens = domain.encode(model, image)
    domain.check(model, tokens)
    torch.testing.assert_close(domain.on_grid(model, tokens, Grid.cells(*size)), image, atol=2e-3, rtol=0)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([FIXED, NATIVE]), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
@torch.no_grad()
def test_the_field_interpolates_the_picture_anywhere(h, w, config, seed):
    """Tiles interpolate the pixels they share alike, so blending them must give the same as one big picture."""
    model, image = Lookup(config), picture((h, w), seed)
    domain = domain_of(model, (h, w))
    points = torch.rand(53, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    values = domain.at_points(model, domain.encode(model, image), points)
    torch.testing.assert_close(values, interpolate(image[None], points[None])[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [FIXED, LookupConfig(size=None, context=0.5)], ids=["tiles", "lattice"])
@torch.no_grad()
def test_grid_equals_points_in_any_order(config):
    model, image = Lookup(config), picture((23, 19))
    domain = domain_of(model, (23, 19)) if config.size else Lattice((23, 19), config.cell, block=2)
    tokens = domain.encode(model, image)
    grid = Grid((torch.rand(11) * 2 - 1, torch.rand(13) * 2 - 1))  # in no order
    whole = domain.on_grid(model, tokens, grid)
    points = grid.coords()
    torch.testing.assert_close(domain.at_points(model, tokens, points), whole.flatten(1).T, atol=1e-5, rtol=0)
    order = torch.randperm(len(points))
    torch.testing.assert_close(
        domain.at_points(model, tokens, points[order]), whole.flatten(1).T[order], atol=1e-5, rtol=0
    )
    rows = torch.cat([domain.on_grid(model, tokens, band) for band in grid.split(26)], 1)
    torch.testing.assert_close(rows, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("block", [1, 2, 5, 64])
@pytest.mark.parametrize("size", [(1, 1), (2, 47), (23, 19), (24, 18)], ids=str)
@torch.no_grad()
def test_lattice_in_blocks_equals_whole(size, block):
    model, image = Lookup(LookupConfig(size=None, context=0.5)), picture(size)
    domain = Lattice(size, 3, block)
    tokens, whole = domain.encode(model, image), model.encode(padded(model, image)[None])
    assert torch.equal(tokens, whole[0])
    grid = Grid.cells(*(2 * n for n in size))
    scale = torch.tensor(size) / (3 * torch.tensor(domain.shape))  # picture [-1, 1] -> lattice [-1, 1]
    direct = model.decode(whole, (grid.coords() + 1) * scale - 1)[0]
    torch.testing.assert_close(domain.on_grid(model, tokens, grid).flatten(1).T, direct, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def anchored():
    """The native-resolution model at toy size, every weight drawn: nothing is hidden by a zero."""
    torch.manual_seed(0)
    model = AnchoredConfig(
        cell=3, latent_dim=7, encoder_dim=8, encoder_depth=2, decoder_dim=8, decoder_depth=1, head_dim=4, harmonics=4
    ).build()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("block", [1, 3, 64])
@pytest.mark.parametrize("size", [(1, 1), (2, 31), (23, 17)], ids=str)
@torch.no_grad()
def test_the_anchored_model_in_blocks_equals_whole(anchored, size, block):
    """Its declared halo and reach are enough context, at every side of every block and of the picture."""
    image, domain = picture(size), Lattice(size, 3, block)
    tokens, whole = domain.encode(anchored, image), anchored.encode(padded(anchored, image)[None])
    torch.testing.assert_close(tokens, whole[0], atol=1e-5, rtol=0)
    scale = torch.tensor(size) / (3 * torch.tensor(domain.shape))
    for grid in (Grid.cells(*(2 * n for n in size)), Grid((torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 0.1, -1.0])))):
        direct = anchored.decode(whole, (grid.coords() + 1) * scale - 1)[0]
        close = {"atol": 2e-4 * float(direct.std()), "rtol": 0}
        torch.testing.assert_close(domain.on_grid(anchored, tokens, grid).flatten(1).T, direct, **close)
        torch.testing.assert_close(domain.at_points(anchored, tokens, grid.coords()), direct, **close)


@torch.no_grad()
def test_less_context_than_declared_would_show(anchored, monkeypatch):
    """The test above is able to fail: one cell of halo or reach less changes the result."""
    image, domain = picture((41, 37)), Lattice((41, 37), 3, 5)
    tokens, grid = domain.encode(anchored, image), Grid.cells(82, 74)
    values = domain.on_grid(anchored, tokens, grid)
    monkeypatch.setattr(anchored, "reach", anchored.reach - 1)
    assert (domain.on_grid(anchored, tokens, grid) - values).abs().max() > 1e-3 * values.std()
    monkeypatch.setattr(anchored, "halo", anchored.halo - 1)
    assert (domain.encode(anchored, image) - tokens).abs().max() > 1e-3 * tokens.std()


@torch.no_grad()
def test_no_seam_between_tiles_that_disagree():
    """Tiles of random, unrelated tokens: the blend is still continuous, to its slope times the step."""
    model, domain = Lookup(FIXED), Tiles((31, 29), (7, 5), 1 / 3)
    rows, columns = domain.shape
    tokens = torch.rand(rows, columns, 35, 3)
    fine = 6001
    for grid in (
        Grid((torch.linspace(-1, 1, fine, dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64))),
        Grid((torch.tensor([-0.3], dtype=torch.float64), torch.linspace(-1, 1, fine, dtype=torch.float64))),
    ):
        values = domain.on_grid(model, tokens, grid).flatten(1)
        # Slope per pixel: at most 1 within a tile, and 3/2 over a ramp of one pixel or more between two.
        assert values.diff(dim=1).abs().max() < 2.6 * 31 / fine


@torch.no_grad()
def test_equal_tiles_blend_to_themselves():
    model, domain = Lookup(FIXED), Tiles((31, 29), (7, 5))
    tokens = torch.full((*domain.shape, 35, 3), 0.375)
    values = domain.on_grid(model, tokens, Grid.cells(41, 43))
    assert (values - 0.375).abs().max() < 1e-6


@pytest.mark.parametrize("config", [FIXED, NATIVE], ids=["tiles", "lattice"])
def test_gradients_reach_coordinates_through_the_blend(config):
    """Of a ramp c_x x the derivative is c_x, in the overlaps as elsewhere: the weights' own derivatives cancel."""
    model = Lookup(config).double()
    image = torch.linspace(0, 1, 22, dtype=torch.float64).expand(3, 17, 22)
    domain = domain_of(model, (17, 22))
    points = (torch.rand(41, 2, dtype=torch.float64) * 1.8 - 0.9).requires_grad_()
    values = domain.at_points(model, domain.encode(model, image), points)
    (slope,) = torch.autograd.grad(values.sum(), points)
    expected = torch.tensor([0.0, 3 * 11 / 21], dtype=torch.float64).expand(41, 2)  # 11 pixels a unit, 3 channels
    torch.testing.assert_close(slope, expected, atol=1e-9, rtol=0)


@torch.no_grad()
def test_pieces_are_encoded_a_few_at_a_time(monkeypatch):
    """Memory: no call sees more than a bounded number of values, whatever the picture."""
    monkeypatch.setattr(tiles, "BATCH_PIXELS", 1000)
    reports, model, image = [], Lookup(FIXED), torch.zeros(3, 59, 97)
    domain = domain_of(model, (59, 97))
    domain.encode(model, image, lambda done, total: reports.append((done, total)))
    assert max(model.calls) <= 3 * 1000 and len(model.calls) > 1
    assert reports[-1][0] == reports[-1][1] == domain.shape[0] * domain.shape[1] and reports == sorted(reports)
    native = Lookup(NATIVE)
    Lattice((59, 97), 3, block=5).encode(native, image)
    assert max(native.calls) <= 3 * (3 * (5 + 2)) ** 2


@torch.no_grad()
def test_only_tiles_under_the_box_are_decoded():
    reports = []
    model, domain = Lookup(FIXED), Tiles((700, 500), (7, 5))
    tokens = torch.zeros(*domain.shape, 35, 3)
    domain.on_grid(model, tokens, Grid.box((0.0, 0.0), (0.01, 0.01), 31, 31), lambda *done: reports.append(done))
    assert reports[-1][1] <= 9
    domain.at_points(model, tokens, torch.zeros(0, 2))


@pytest.mark.parametrize("domain", [Tiles((5, 9), (7, 7), 0.25), Lattice((5, 9), 3, 11)], ids=lambda d: d.kind)
def test_domains_survive_files(domain):
    import json

    assert domain_from_dict(json.loads(json.dumps(domain.to_dict()))) == domain
    assert str(domain)


@pytest.mark.parametrize(
    "data",
    [None, {}, {"kind": "torus"}, {"kind": "tiles"}, {"kind": "tiles", "size": [3], "tile": [9, 9]},
     {"kind": "tiles", "size": [0, 3], "tile": [9, 9]}, {"kind": "lattice", "size": [3, 3], "cell": 8.5},
     {"kind": "lattice", "size": [3, 3], "cell": 8, "origin": 1}],
    ids=str,
)  # fmt: skip
def test_damaged_domains_are_refused(data):
    with pytest.raises(UserError):
        domain_from_dict(data)


def test_foreign_tokens_are_refused():
    assert {"tiles", "lattice"} <= set(DOMAINS)
    fixed, native = Lookup(FIXED), Lookup(NATIVE)
    blended, lattice = Tiles((13, 11), (7, 5)), Lattice((13, 11), 3)
    for domain, model, shape in [
        (blended, native, (3, 3, 35, 3)),
        (blended, fixed, (2, 3, 35, 3)),
        (blended, fixed, (35, 3)),
        (lattice, fixed, (5, 4, 30)),
        (lattice, native, (4, 4, 30)),
    ]:
        with pytest.raises(UserError):
            domain.check(model, torch.zeros(shape))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_of_something_else_says_which_command_takes_it(name):
    """What is not for pictures has a command of its own, and says so in one line."""
    system = MODELS[name]
    if name.startswith(("gridded", "lainr-views", "sound", "film")) or name.endswith(("denoiser", "radiance")):
        line = f"the {name} model takes .*, not pictures; use tokenfield (vi|cl|gen|so|film)"
        with pytest.raises(UserError, match=line):
            for_pictures(system)
    else:
        for_pictures(system)
