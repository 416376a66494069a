"""Measuring views: the protocol's questions, scores of known fields, and fitting that lowers what it minimises."""

from dataclasses import replace

import pytest
import torch
from posed_scenes import SIDE, write_scene
from view_tools import miniature

from tokenfield.errors import UserError
from tokenfield.metrics import psnr
from tokenfield.training.recipe import fresh_model
from tokenfield.views import recipes as recipes
from tokenfield.views.data import ViewsConfig
from tokenfield.views.light_field import move_camera, render_from
from tokenfield.views.objective import RadianceRays
from tokenfield.views.radiance_field import Integral
from tokenfield.views.scores import Fitting, comparison, field_of_views, figure_4a, means, score_objects


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    """One ball with seven views."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENFIELD_CACHE", str(tmp_path_factory.mktemp("cache")))
        root = write_scene(tmp_path_factory.mktemp("balls"))
        return next(iter(ViewsConfig(size=SIDE).open(root, "test").objects()))


def make(run=recipes.views_lainr_64):
    return fresh_model(miniature(run())).eval()


def test_scores_are_of_the_held_out_views(item):
    model = make()
    scores = score_objects(model, [item, replace(item, name="again")], [1, 2, 5])
    assert [(s.name, s.support, s.targets) for s in scores[:3]] == [(item.name, n, 2) for n in (1, 2, 5)]
    field = field_of_views(model, item, [0, 1])
    expected = psnr(render_from(field, item.poses[5:]), item.images[5:]).mean()
    assert scores[1].psnr == pytest.approx(expected.item(), abs=1e-4)
    assert scores[1].values_stored == field.tokens.numel()
    lines = means(scores)
    assert [line["support"] for line in lines] == [1, 2, 5] and all(line["objects"] == 2 for line in lines)
    assert lines[0]["psnr"] == pytest.approx(scores[0].psnr, abs=1e-6)
    assert len(scores) == 6
    assert score_objects(model, [item], [1], targets=2, reserved=3)[0].targets == 2


def test_models_say_which_numbers_of_views_they_take(item):
    assert make().support_numbers(5) == [1, 2, 3, 4, 5]
    assert make(recipes.views_ipc_64).support_numbers(5) == [3]
    assert make(recipes.views_anr_cars).support_numbers(5) == [1, 2, 3, 4, 5]
    with pytest.raises(UserError, match="6 support views, and this lainr-views takes 1 to 5"):
        field_of_views(make(), item, range(6))
    with pytest.raises(UserError, match="2 support views, and this ipc-radiance takes 3"):
        field_of_views(make(recipes.views_ipc_64), item, range(2))
    with pytest.raises(UserError, match="are 4x4, the model takes 8x8"):
        field_of_views(make(), replace(item, images=item.images[..., ::2, ::2]), [0])


@pytest.mark.parametrize("run", [recipes.views_lainr_64, recipes.views_ipc_64])
def test_fitting_brings_the_input_views_nearer_and_leaves_the_model_alone(run, item):
    model, integral = make(run), Integral(points=6)
    before = {name: p.clone() for name, p in model.named_parameters()}
    support = [0, 1, 2]

    def error(fitting):
        field = field_of_views(model, item, support, integral, fitting)
        return (render_from(field, item.poses[support]) - item.images[support]).square().mean().item()

    assert error(Fitting(steps=25, rays=60, rate=0.05)) < 0.95 * error(Fitting())
    assert error(Fitting(steps=3)) == error(Fitting(steps=3))
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())


def test_figures(item, tmp_path):
    from PIL import Image

    path = figure_4a(tmp_path / "curve.png", {"a": [(1, 20.0), (2, 21.0)], "b": [(2, 19.0)]}, "title")
    assert Image.open(path).size == (1330, 644)
    field = field_of_views(make(), item, [0, 1, 2])
    assert comparison(field, item, [0, 1, 2], [3, 4, 5, 6]).width > 4 * 128
    moved = move_camera(field, item.poses[4])
    assert moved.tokens is field.tokens and moved.domain != field.domain


def test_a_radiance_field_is_rendered_as_it_was_trained():
    assert RadianceRays(near=1.0, far=3.0, points=7).integral == Integral(1.0, 3.0, 7)
