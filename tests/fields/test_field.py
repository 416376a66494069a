"""Field: every way of asking gives the same function, at any size, and bad questions get one clear line."""

import pytest
import torch
from lookup import Lookup, LookupConfig

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.fields.domains import Lattice, Tiles
from tokenfield.fields.field import Field
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig

TOY = LainrConfig(
    size=(16, 16), patch=4, padding=0, num_latents=5, latent_dim=7, encoder_dim=16, encoder_depth=1, encoder_heads=2,
    dim=16, feature_dim=16, sigma_q=2.0, sigmas=(8.0, 4.0), heads=2,
)  # fmt: skip


def toy_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return TOY.build().eval()


def picture(*size, seed=0):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["lainr", "tiles", "lattice"])
def field(request):
    if request.param == "lainr":
        return Field.of(toy_model(), picture(23, 37))
    model = Lookup(LookupConfig(size=(7, 5) if request.param == "tiles" else None, context=0.5))
    return Field.of(model, picture(23, 37))


def close(a, b, atol=1e-5):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


def test_render_crop_rows_grid_and_points_agree(field):
    whole = field.render(29, 41)
    assert whole.shape == (3, 29, 41) and whole.is_contiguous()
    close(field.crop((-1, -1, 1, 1), (29, 41)), whole)
    bands = list(field.rows(29, 41, points=130))
    assert [band.shape[1] for band in bands] == [3] * 9 + [2]
    close(torch.cat(bands, 1), whole)
    grid = Grid.cells(29, 41)
    close(field(grid), whole.flatten(1).T)
    close(field(grid.coords()), whole.flatten(1).T)
    order = torch.randperm(len(grid))
    close(field(grid.coords()[order]), whole.flatten(1).T[order])


def test_a_crop_is_a_part_of_the_picture_at_that_zoom(field):
    """Rows 8..16, columns 4..28 of a 32 x 32 render are the box with edges 2 i / 32 - 1."""
    whole, box = field.render(32, 32), (2 * 8 / 32 - 1, 2 * 4 / 32 - 1, 2 * 16 / 32 - 1, 2 * 28 / 32 - 1)
    close(field.crop(box, (8, 24)), whole[:, 8:16, 4:28])
    assert field.pixel_box(0, 0, 23, 37) == (-1, -1, 1, 1)
    assert field.pixel_box(11.5, 0, 23, 18.5) == (0, -1, 1, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (16, 16), (15, 17), (17, 33), (5, 9)], ids=str)
def test_any_size_and_shape(size):
    field = Field.of(toy_model(), picture(*size))
    assert field.native_size == size and field.render(*size).isfinite().all()
    assert field.render(3, 5).shape == (3, 3, 5)
    assert field.values_stored == field.tokens.numel() == field.tokens.shape[0] * field.tokens.shape[1] * 5 * 7


def test_a_picture_of_the_model_s_size_is_one_call_of_each_verb():
    model, image = toy_model(), picture(16, 16)
    field = Field.of(model, image)
    with torch.no_grad():
        tokens = model.encode(image[None])
        assert torch.equal(field.tokens[0, 0][None], tokens)
        close(field.render(16, 16).flatten(1).T, model.decode(tokens, Grid.cells(16, 16))[0], 1e-6)


def test_no_seams():
    """Along a fine line over four tiles the largest step is no larger in the ramps than a smooth function allows."""
    field = Field.of(toy_model(), picture(16, 53))
    fine = 20001
    line = torch.stack([torch.full((fine,), 0.2, dtype=torch.float64), torch.linspace(-1, 1, fine).double()], -1)
    step = field(line).diff(dim=0).abs()
    coarse = field(line[::2]).diff(dim=0).abs()
    assert step.max() < 0.6 * coarse.max()  # halving the step halves the largest difference: no jump anywhere


def test_a_tile_alone_is_the_model_s_own_field():
    """At the picture's corner only the first tile is there: coordinates map by an affine map and nothing else."""
    model, image = toy_model(), picture(23, 37)
    field = Field.of(model, image)
    with torch.no_grad():
        direct = model.decode(model.encode(image[None, :, :16, :16]), Grid.cells(16, 16))[0].unflatten(0, (16, 16))
    close(field.render(23, 37)[:, :4, :4], direct[:4, :4].movedim(-1, 0))


def test_gradients_flow_to_coordinates_and_tokens_and_never_to_weights_alone():
    field = Field.of(toy_model(), picture(23, 37))
    points = (torch.rand(11, 2) * 1.6 - 0.8).requires_grad_()
    assert not field(points.detach()).requires_grad and not field.render(5, 5).requires_grad
    (slope,) = torch.autograd.grad(field(points).sum(), points)
    assert slope.shape == (11, 2) and slope.abs().max() > 0
    tokens = field.tokens.clone().requires_grad_()
    (change,) = torch.autograd.grad(Field(field.model, tokens, field.domain).render(5, 5).sum(), tokens)
    assert change.isfinite().all() and change.abs().max() > 0
    with torch.no_grad():
        assert not field(points).requires_grad


def test_half_precision_is_a_choice_and_close():
    field = Field.of(toy_model(), picture(23, 37), dtype=torch.bfloat16)
    assert field.tokens.dtype == torch.float32
    full, half = field.render(23, 37), field.render(23, 37, dtype=torch.bfloat16)
    assert half.dtype == torch.float32
    assert 0 < (full - half).abs().max() < 0.03
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(field.render(23, 37), full)  # what is set outside does not leak in


def test_domains_are_an_argument():
    model, image = toy_model(), picture(23, 37)
    more = Field.of(model, image, domain=Tiles.fit(model, (23, 37), overlap=1 / 3))
    assert more.values_stored > Field.of(model, image).values_stored
    with pytest.raises(UserError, match="make one for this size"):
        Field.of(model, image, domain=Tiles.fit(model, (37, 23)))
    native = Lookup(LookupConfig(size=None))
    assert isinstance(Field.of(native, image).domain, Lattice)


def test_memory_does_not_grow_with_the_render():
    """Rows of a render of 9 megapixels come in bands; a band is all that was allocated."""
    field = Field.of(Lookup(LookupConfig()), picture(9, 9))
    band = next(field.rows(3001, 3001, points=10_000))
    assert band.shape == (3, 3, 3001) and band.untyped_storage().nbytes() == 3 * 3 * 3001 * 4


def test_progress_is_reported():
    reports = []
    field = Field.of(toy_model(), picture(23, 37), progress=lambda *n: reports.append(n))
    assert reports[-1][0] == reports[-1][1] == 6
    reports.clear()
    field.render(29, 41, progress=lambda *n: reports.append(n))
    assert [n for n, _ in reports] == [1, 2, 3, 4, 5, 6]
    reports.clear()
    field.render(9, 9, progress=lambda *n: reports.append(n))  # means over boxes: pieces of pieces
    assert reports and reports[-1][0] == reports[-1][1]


def test_repr_says_what_it_is():
    text = repr(Field.of(toy_model(), picture(23, 37)))
    assert "23 x 37 picture" in text and "2 x 3 tiles of 16 x 16" in text and "210 values" in text and "lainr" in text


NAN, INF = torch.tensor(float("nan")), torch.tensor(float("inf"))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.rand(2, 16, 16), "(3, H, W)"),
        (torch.rand(3, 0, 16), "(C, H, W)"),
        (torch.rand(1, 3, 16, 16), "(C, H, W)"),
        (torch.zeros(3, 16, 16, dtype=torch.int16), "uint8 or uint16"),
        (torch.rand(3, 16, 16) * 255, "in [0, 1]"),
        (torch.rand(3, 16, 16) - 1, "in [0, 1]"),
        (torch.rand(3, 16, 16).where(torch.eye(16) == 0, NAN), "NaN or infinite"),
        (torch.rand(3, 16, 16).where(torch.eye(16) == 0, INF), "NaN or infinite"),
    ],
    ids=lambda v: v if isinstance(v, str) else "x".join(map(str, v.shape)),
)
def test_bad_pictures(bad, message):
    with pytest.raises(UserError) as error:
        Field.of(toy_model(), bad)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda f: f(torch.rand(5)), "(Q, 2)"),
        (lambda f: f(torch.rand(5, 3)), "(Q, 2)"),
        (lambda f: f(torch.zeros(5, 2, dtype=torch.long)), "(Q, 2)"),
        (lambda f: f([[0.0, 0.0]]), "(Q, 2)"),
        (lambda f: f(torch.tensor([[0.0, 1.5]])), "in [-1, 1]"),
        (lambda f: f(torch.tensor([[0.0, float("nan")]])), "in [-1, 1]"),
        (lambda f: f(Grid.cells(3)), "2, (y, x)"),
        (lambda f: f(Grid((torch.tensor([2.0]), torch.tensor([0.0])))), "in [-1, 1]"),
        (lambda f: f.render(0, 5), "at least 1"),
        (lambda f: f.crop((0.5, 0, 0.5, 1), (4, 4)), "box"),
        (lambda f: f.crop((0, 0, 100, 100), (4, 4)), "pixel_box"),
        (lambda f: f.crop((0, 0, 1, float("nan")), (4, 4)), "box"),
        (lambda f: f.crop((0, 0, 1, 1), (4, -4)), "at least 1"),
        (lambda f: f.render(10**6, 10**6), "GB of memory, and there are"),
        (lambda f: f.render((10**6, 10**6)), "height and width"),
        (lambda f: f(Grid.cells(10**6, 10**6)), "draw parts with crop(box, size)"),
        (lambda f: f.rows(1, 2**31 - 1), "GB of memory"),
        (lambda f: f.render(4, 4, dtype=torch.float64), "precision"),
    ],
)
def test_bad_questions(ask, message):
    with pytest.raises(UserError) as error:
        ask(Field.of(toy_model(), picture(16, 16)))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_arrays_and_empty_questions_are_fine():
    field = Field.of(toy_model(), picture(16, 16).numpy())
    assert field(torch.zeros(0, 2)).shape == (0, 3)
    assert field.to("cpu").render(2, 2).shape == (3, 2, 2)


def test_a_model_beside_the_file_is_found_after_both_have_moved(tmp_path):
    model, here, there = toy_model(), tmp_path / "here", tmp_path / "there"
    pretrained.save(model, here)
    Field.of(pretrained.load(here), picture(16, 16)).save(here / "picture.field")
    here.rename(there)
    assert Field.load(there / "picture.field").render(5, 7).shape == (3, 5, 7)
