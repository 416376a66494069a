"""Test-time optimisation: the gradient is the picture's, the best is kept, what is not asked to move stays."""

from itertools import pairwise

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.fields import optimization
from tokenfield.fields.domains import Tiles
from tokenfield.fields.field import Field
from tokenfield.fields.optimization import (
    Optimization,
    Target,
    decoder_parameters,
    save_with_model,
    scratch,
    untrained,
)
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import LainrConfig

ANCHORED = AnchoredConfig(
    cell=4, latent_dim=7, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1, head_dim=8, harmonics=8,
    start="random",
)
LAINR = LainrConfig(
    size=(11, 16), patch=5, padding=2, num_latents=3, latent_dim=5, encoder_dim=12, encoder_depth=1, encoder_heads=3,
    dim=8, feature_dim=8, sigmas=(8.0, 4.0), sigma_q=2.0,
)
CONFIGS = {"any size": ANCHORED, "tiles": LAINR}


def waves(height, width):
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return torch.stack([0.5 + 0.4 * torch.sin(a * y + b * x) for a, b in [(1, 0), (1, 1), (0, 2)]])


@pytest.fixture(params=CONFIGS)
def field(request):
    torch.manual_seed(0)
    return Field.of(CONFIGS[request.param].build().eval(), waves(11, 13))


@pytest.fixture
def picture():
    return waves(11, 13)


@pytest.mark.parametrize("what", ["latents", "decoder", "all"])
def test_psnr_rises_and_is_that_of_the_best_field(field, picture, what):
    fitting = Optimization(field, picture, what)
    points = list(fitting.run(steps=8))
    assert [point.step for point in points] == list(range(9))
    assert points[-1].psnr > points[0].psnr + 0.02
    assert all(a.seconds < b.seconds for a, b in pairwise(points))
    score = psnr(fitting.best.render(11, 13)[None], picture[None]).item()
    assert score == pytest.approx(max(point.psnr for point in points), abs=1e-4) == fitting.best_psnr


@pytest.mark.parametrize("what", ["latents", "decoder", "all"])
def test_only_the_selected_parameters_move_and_the_input_field_never(field, picture, what):
    tokens, before = field.tokens.clone(), pretrained.model_hash(field.model)
    fitting = Optimization(field, picture, what)
    list(fitting.run(steps=3))
    assert torch.equal(field.tokens, tokens) and pretrained.model_hash(field.model) == before
    assert all(p.grad is None for p in field.model.parameters())
    assert torch.equal(fitting.best.tokens, tokens) == (what == "decoder")
    assert (pretrained.model_hash(fitting.best.model) == before) == (what == "latents")
    assert not fitting.best.tokens.requires_grad


def test_the_encoder_is_no_part_of_the_decoder(field):
    parameters = {id(p) for p in decoder_parameters(field.model, field.tokens, field.domain)}
    names = {name.split(".")[0] for name, p in field.model.named_parameters() if id(p) in parameters}
    assert "decoder" in names and "encoder" not in names


@pytest.mark.parametrize("points", [60, 10_000])
def test_the_gradient_does_not_depend_on_the_blocks(field, picture, points, monkeypatch):
    monkeypatch.setattr(optimization, "BLOCK_POINTS", points)
    fitting = Optimization(field, picture, "latents")
    with torch.enable_grad():
        error = fitting._gradient(fitting.target)
    tokens = field.tokens.clone().requires_grad_()
    grid = Target.of(picture).grid
    expected = (field.domain.on_grid(field.model, tokens, grid) - picture).square().mean()
    assert error == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(expected, tokens)
    torch.testing.assert_close(fitting.tokens.grad, gradient, rtol=1e-4, atol=1e-7)


def test_the_best_field_survives_steps_that_do_harm(field, picture):
    fitting = Optimization(field, picture, "latents", rates={"latents": 50.0})
    points = list(fitting.run(steps=2))
    assert points[1].psnr < points[0].psnr == fitting.best_psnr
    assert torch.equal(fitting.best.tokens, field.tokens)


def test_whoever_stops_reading_keeps_what_there_is(field, picture):
    fitting = Optimization(field, picture, "all")
    for point in fitting.run(steps=50):
        if point.step == 4:
            break
    assert fitting.best_psnr == point.psnr
    score = psnr(fitting.best.render(11, 13)[None], picture[None]).item()
    assert score == pytest.approx(point.psnr, abs=1e-4)


def test_steps_are_a_function_of_their_number(field, picture):
    """Same steps, same seed: the same field, with drawn pixels too."""
    runs = [Optimization(field, picture, "latents", pixels=50, seed=3) for _ in range(2)]
    first, second = ([(p.step, p.psnr) for p in run.run(steps=5)] for run in runs)
    assert first == second
    assert torch.equal(runs[0].best.tokens, runs[1].best.tokens)


def test_drawn_pixels_are_pixels_of_the_picture(picture):
    sample = Target.of(picture).draw(50, seed=1, step=7)
    assert 35 <= len(sample.grid) <= 60
    for i, y in enumerate(sample.grid.axes[0]):
        for j, x in enumerate(sample.grid.axes[1]):
            row, column = round(((y.item() + 1) * 11 - 1) / 2), round(((x.item() + 1) * 13 - 1) / 2)
            assert torch.equal(sample.picture[:, i, j], picture[:, row, column])
    everything = Target.of(picture).draw(10_000, seed=1, step=7)
    assert everything.grid.shape == (11, 13) and torch.equal(everything.picture, picture)


def test_a_thinned_picture_keeps_every_nth_row_and_column(picture):
    thin = Target.of(picture).thinned(40)
    assert torch.equal(thin.picture, picture[:, ::2, ::2]) and thin.grid.shape == (6, 7)
    assert torch.equal(thin.grid.axes[0], Target.of(picture).grid.axes[0][::2])


def test_the_budget_is_what_the_timer_says(field, picture):
    """Two seconds between readings: a gradient and a step take four, and six seconds end with the second step."""
    readings = iter(range(0, 100, 2))
    fitting = Optimization(field, picture, timer=lambda: float(next(readings)))
    assert [(point.step, point.seconds) for point in fitting.run(seconds=6.0)] == [(0, 0.0), (1, 4.0), (2, 8.0)]


def test_no_steps_measure_what_is_there(field, picture):
    (only,) = Optimization(field, picture, "latents").run(steps=0)
    assert only.psnr == pytest.approx(psnr(field.render(11, 13)[None], picture[None]).item(), abs=1e-4)


@pytest.mark.parametrize("kind", ["ffnet", "siren"])
def test_an_untrained_mlp_is_a_field_that_is_fitted_by_the_same_loop(kind, picture):
    start = untrained(kind, (11, 13), dim=16, depth=3, feature_dim=16, sigma=8.0)
    model = start.model
    assert start.tokens.shape[:2] == (1, 1) and start.values_stored == start.model.net.layout.values
    fitting = Optimization(start, picture, "latents", rates={"latents": 1e-2}, pixels=80)
    points = list(fitting.run(steps=40))
    assert points[0].step == 0 and points[-1].step == 40 and 3 <= len(points) <= optimization.MEASUREMENTS + 2
    assert fitting.best_psnr > points[0].psnr + 1
    direct = next(model.fit(picture[None], steps=1))[1].item()
    assert points[0].psnr == pytest.approx(-10 * torch.tensor(direct).log10().item(), abs=1e-3)
    with pytest.raises(UserError, match="no decoder of its own"):
        Optimization(start, picture, "decoder")


def test_scratch_forgets_the_picture(field):
    assert scratch(field).tokens.abs().max() == 0 and field.tokens.abs().max() > 0


@pytest.mark.parametrize("what", ["decoder", "all"])
def test_a_field_with_a_model_of_its_own_is_saved_and_loaded(field, picture, what, tmp_path):
    fitting = Optimization(field, picture, what)
    list(fitting.run(steps=2))
    path = save_with_model(fitting.best, tmp_path / "own", "waves")
    again = Field.load(path)
    torch.testing.assert_close(again.tokens, fitting.best.tokens, rtol=0, atol=0)
    mine, theirs = again.model.state_dict(), fitting.best.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    # Products of the same numbers in memory that is aligned otherwise may be rounded otherwise.
    torch.testing.assert_close(again.render(9, 7), fitting.best.render(9, 7), rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="mean nothing to another model"):
        Field.load(path, field.model)
    with pytest.raises(UserError, match="exists already"):
        save_with_model(fitting.best, tmp_path / "own", "waves")


def test_a_field_with_optimised_latents_belongs_to_the_model_it_came_from(field, picture, tmp_path):
    fitting = Optimization(field, picture, "latents")
    list(fitting.run(steps=2))
    fitting.best.save(tmp_path / "a.field")
    assert torch.equal(Field.load(tmp_path / "a.field", field.model).tokens, fitting.best.tokens)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_is_fitted_where_nothing_is_recorded(field, picture, mode):
    fitting = Optimization(field, picture, "all")
    points = [point.psnr for point in fitting.run(steps=2)]
    with mode():
        inside = Optimization(field, picture * 1.0, "all")
        assert [point.psnr for point in inside.run(steps=2)] == points


def test_impossible_settings_are_one_line(field, picture):
    with pytest.raises(UserError, match="pixels and a picture"):
        Optimization(field, picture[:, 1:])
    with pytest.raises(UserError, match="at least 1"):
        Optimization(field, picture, pixels=0)
    for budget in ({}, {"steps": -1}, {"seconds": -1.0}):
        with pytest.raises(UserError, match="at least 0"):
            list(Optimization(field, picture).run(**budget))
    with pytest.raises(UserError, match="too small"):
        untrained("ffnet", (3, 100))


def test_tiles_of_a_domain_of_its_own():
    """Two overlapping tiles: the shared pixels pull at both tiles' tokens."""
    torch.manual_seed(0)
    model, picture = LAINR.build().eval(), waves(11, 20)
    field = Field.of(model, picture, domain=Tiles.fit(model, (11, 20), overlap=1 / 3))
    fitting = Optimization(field, picture, "latents")
    assert len(list(fitting.run(steps=4))) == 5
    assert fitting.best(Grid((torch.zeros(1), torch.zeros(1)))).isfinite().all()
    assert (fitting.best.tokens != field.tokens).flatten(2).any(2).all()
