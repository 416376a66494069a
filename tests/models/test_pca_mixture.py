"""Switched linear codes: choice, fit, prefixes, and the field that they make."""

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.data.demo_pictures import held_out
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.metrics import decibels
from tokenfield.models import pretrained
from tokenfield.models.pca_mixture import SHORTLIST, PcaMixtureConfig
from tokenfield.nn.pca_mixture import Subspaces, principal

CONFIG = PcaMixtureConfig(cell=4, codes=5, prefixes=(2, 5, 11), harmonics=8, sharpness=200.0)


def toy():
    """A model whose subspaces are random and orthonormal."""
    torch.manual_seed(0)
    model = CONFIG.build().eval()
    model.subspaces.components.copy_(torch.linalg.qr(torch.randn(5, 48, 10))[0])
    model.subspaces.mean.copy_(0.1 * torch.randn(5, 48))
    return model


def test_cells_of_known_subspaces_are_recognized_and_restored():
    spaces = toy().subspaces
    index, coefficients = torch.tensor([3, 0, 4, 4, 1, 2, 0]), torch.randn(7, 10)
    cells = spaces.restore(index, coefficients)
    indices, again, errors = spaces.choose(cells)
    assert torch.equal(indices, index) and errors[:, -1].max() < 1e-5
    torch.testing.assert_close(again, coefficients, atol=1e-5, rtol=0)


def test_the_choice_is_the_best_of_all():
    spaces = toy().subspaces
    cells = torch.randn(23, 48)
    index, coefficients, errors = spaces.choose(cells)
    scores = torch.stack([every @ (1 / spaces.usual) for every, _ in spaces.errors(cells)], 1)
    assert torch.equal(scores.argmin(1), index)
    for n, column in zip(spaces.prefixes, range(3), strict=True):
        residual = (cells - spaces.restore(index, coefficients[:, :n])).square().sum(1)
        torch.testing.assert_close(errors[:, column], residual, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_short_list_costs_a_tenth_of_a_decibel():
    """Of the packaged model on held-out crops: the mean over its five rates, and what the finest loses."""
    model = pretrained.load("photos-ladder")
    crops = torch.stack([held_out(name)[:, 100:196, 60:156] for name in ("astronaut", "chelsea", "coffee", "rocket")])
    cells = model.pixels(crops).flatten(0, 2)
    errors = [model.subspaces.choose(cells, **options)[2] for options in ({}, {"shortlist": SHORTLIST})]
    every, short = (decibels(error.view(4, -1, 5).mean(1) / cells.shape[1]).mean(0) for error in errors)
    assert (short - every).mean() > -0.12 and (short - every).min() > -0.35


def test_components_stored_as_float16_choose_as_well():
    """The error of the chosen subspace is that of the exact components but for the rounding of the cell itself."""
    exact, rounded = toy().subspaces, toy().subspaces
    rounded.components.copy_(rounded.components.half().float())
    cells = 3 * torch.randn(50, 5, 10)[:, 0] @ exact.components[2].T + exact.mean[2]
    index, coefficients, errors = rounded.choose(cells)
    assert (index == 2).all()
    residual = (cells - rounded.restore(index, coefficients)).square().sum(1)
    torch.testing.assert_close(errors[:, -1], residual, atol=1e-4, rtol=0)


def test_a_fit_to_planted_subspaces_beats_one_linear_code():
    torch.manual_seed(1)
    planted = torch.linalg.qr(torch.randn(3, 12, 2))[0]  # three planes in 12 dimensions
    which = torch.arange(3000) % 3
    cells = torch.einsum("mpn,mn->mp", planted[which], torch.randn(3000, 2)) + 0.01 * torch.randn(3000, 12)
    spaces = Subspaces(3, 12, 2, (2,))
    spaces.fit(cells, torch.arange(3000) // 100, rounds=12)
    residual = spaces.choose(cells)[2].mean()
    mean, _, axes = principal(cells, torch.ones(len(cells)))
    one = (cells - mean).square().sum(1).mean() - ((cells - mean) @ axes[:, :2]).square().sum(1).mean()
    assert residual < 0.5 * one  # alternating finds a good optimum, not the best one


def test_the_same_cells_and_seed_give_the_same_subspaces():
    cells, picture = torch.randn(700, 12), torch.arange(700) // 70
    fits = [Subspaces(3, 12, 4, (1, 4)) for _ in range(2)]
    for spaces in fits:
        spaces.fit(cells, picture, rounds=3)
    assert torch.equal(fits[0].components, fits[1].components)


def test_pixels_are_shown_as_coded():
    """With sharp windows and nothing added by the transformer, decoding a grid of pixels gives the restored cells."""
    model = toy()
    picture = torch.rand(1, 3, 12, 20)
    tokens = model.encode(picture)
    assert tokens.shape == (1, 3, 5, 11)
    pixels = model.decode(tokens, Grid.cells(12, 20))[0].T.unflatten(1, (12, 20))
    cells = model.subspaces.restore(tokens[..., 0].flatten().long(), tokens[..., 1:].flatten(0, 2)) + 0.5
    expected = cells.view(3, 5, 3, 4, 4).permute(2, 0, 3, 1, 4).reshape(3, 12, 20)
    torch.testing.assert_close(pixels, expected, atol=1e-4, rtol=0)


def test_more_values_restore_better_and_fields_can_be_cut():
    model, picture = toy(), torch.rand(3, 13, 21)
    field = Field.of(model, picture)
    errors = [(field.prefix(n).render(13, 21) - picture).square().mean() for n in (2, 5, 11)]
    assert errors[0] > errors[1] > errors[2]
    assert field.prefix(2).values_stored == 2 * 4 * 6
    with pytest.raises(UserError, match="prefixes of this model: 2, 5, 11"):
        field.prefix(3)
    with pytest.raises(UserError, match="rates of this model"):
        Field.of(model, picture, rate=0.01)


def test_encoding_for_a_rate_is_the_best_choice_at_that_rate():
    model, picture = toy(), torch.rand(3, 16, 24)
    whole = Field.of(model, picture)
    for rate, width in ((0.05, 2), (0.11, 5), (0.3, 11)):
        own = Field.of(model, picture, rate=rate)
        assert own.tokens.shape[-1] == width and own.model is model
        cells = [
            f.model.subspaces.restore(f.tokens[..., 0].flatten().long(), f.tokens[..., 1:].flatten(0, 1))
            for f in (own, whole.prefix(width))
        ]
        pixels = torch.nn.functional.unfold(picture[None], 4, stride=4)[0].T - 0.5
        errors = [(c - pixels).square().sum() for c in cells]
        assert errors[0] <= errors[1] + 1e-5


def test_every_rate_has_its_own_sharpness():
    model, picture = toy(), torch.rand(1, 3, 12, 20)
    tokens, grid = model.encode(picture), Grid.cells(37, 61)
    before = [model.decode(tokens[..., :n], grid) for n in model.prefixes]
    with torch.no_grad():
        model.log_sharpness[1] = 0.5
    after = [model.decode(tokens[..., :n], grid) for n in model.prefixes]
    assert [torch.equal(a, b) for a, b in zip(after, before, strict=True)] == [True, False, True]


def test_a_crop_on_cell_borders_has_the_picture_s_tokens():
    model, picture = toy(), torch.rand(1, 3, 16, 24)
    tokens = model.encode(picture)
    crop = model.encode(picture[:, :, 4:12, 8:20])
    assert torch.equal(crop[..., 0], tokens[:, 1:3, 2:5, 0])
    torch.testing.assert_close(crop, tokens[:, 1:3, 2:5], atol=1e-5, rtol=0)


def test_tokens_survive_float16(tmp_path):
    field = Field.of(toy(), torch.rand(3, 8, 12))
    field.save(tmp_path / "half.field", dtype=torch.float16)
    half = Field.load(tmp_path / "half.field", field.model)
    assert torch.equal(half.tokens[..., 0], field.tokens[..., 0])
    torch.testing.assert_close(half.render(8, 12), field.render(8, 12), atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefixes": (1, 5)}, "rising widths from 2"),
        ({"prefixes": (5, 3)}, "rising"),
        ({"prefixes": (6, 200)}, "to 49"),
        ({"codes": 5000}, "1 to 2048"),
    ],
)
def test_what_no_model_could_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        PcaMixtureConfig(**({"cell": 4, "prefixes": (2, 5)} | changes))
