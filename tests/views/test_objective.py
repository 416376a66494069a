"""Training on rays: which ones are drawn, that fields learn from them, that a stopped run goes on as if it had not."""

from dataclasses import replace

import pytest
import torch
from posed_scenes import SIDE, write_scene
from view_tools import RUNS, miniature

from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.training import seeding, train
from tokenfield.training.journal import read
from tokenfield.training.recipe import fresh_model
from tokenfield.training.session import Session
from tokenfield.views import recipes as views
from tokenfield.views.data import ViewsConfig
from tokenfield.views.objective import LightFieldRays, RadianceRays, held_out_views, pick

QUIET = {"session": Session(device="cpu", quiet=True, workers=0)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(autouse=True)
def swift(tmp_path_factory, monkeypatch):
    """One cache for all, and no learning curve drawn: a third of the time of a run."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path_factory.getbasetemp() / "views-cache"))


def target(coverage):
    """B views of 6 x 5 pixels of which the first `shown[b]` show an object."""
    image = torch.ones(len(coverage), 3, 30)
    for b, count in enumerate(coverage):
        image[b, 1, :count] = 0.5
    return image.unflatten(-1, (6, 5))


def draw(image, count, seeds, biased, step=0):
    flags = torch.tensor(biased)
    return pick(image, count, torch.tensor(seeds), flags, seeding.generator(0, step, seeding.COORDINATES))


def test_rays_are_distinct_functions_of_seed_and_step_and_not_of_the_batch():
    image, seeds = target([9, 9, 9]), [5, 2**30, 123456789]
    rays = draw(image, 11, seeds, [True] * 3)
    assert rays.shape == (3, 11) and all(len(row.unique()) == 11 for row in rays)
    assert torch.equal(rays, draw(image, 11, seeds, [True] * 3))
    assert torch.equal(rays[1:], draw(image[1:], 11, seeds[1:], [True] * 2))  # another batch or process
    assert not torch.equal(rays[0], rays[1])
    assert not torch.equal(rays, draw(image, 11, seeds, [True] * 3, step=1))


@pytest.mark.parametrize(("coverage", "expected"), [(0, 0), (3, 3), (20, 5)])
def test_at_first_half_of_the_rays_meet_the_object_if_it_has_so_many_pixels(coverage, expected):
    rays = draw(target([coverage]), 10, [77], [True])
    assert (rays < coverage).sum() >= expected
    assert draw(target([coverage]), 30, [77], [True])[0].tolist() == list(range(30))  # asked for all: every one once


def test_without_bias_every_pixel_is_as_likely():
    counts = torch.zeros(30)
    for step in range(300):
        counts[draw(target([9]), 10, [42], [False], step)[0]] += 1
    assert counts.sum() == 3000
    assert (counts - 100).abs().max() < 4.5 * (300 * 1 / 3 * 2 / 3) ** 0.5  # binomial


@pytest.mark.parametrize("name", ["views-lainr-64", "views-ablation-without-both", "views-ipc-64"])
def test_a_field_learns_an_object_from_its_rays(name, root):
    recipe = miniature(RUNS[name]())
    source = replace(recipe.data, support=recipe.data.support, fewest=0).open(root, "train")
    model = fresh_model(recipe)
    objective = replace(recipe.objective, rays=24).build(model, bf16=False)
    batch = {key: value[None] for key, value in source.sample(0, 0, 0).items()}
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=5e-3), []
    for step in range(25):
        loss, errors = objective(batch, seeding.generator(0, step, seeding.COORDINATES))
        assert loss.item() == pytest.approx(errors.mean().item(), rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize("name", RUNS)
def test_every_recipe_of_views_trains_at_miniature_size(name, root, tmp_path):
    recipe = miniature(RUNS[name]())
    out = train(recipe, root, tmp_path / "run", **QUIET)
    lines = read(out / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 2]
    assert lines[-1]["evaluation_pictures"] == 1 and lines[-1]["evaluation_psnr"] > 0


@pytest.mark.parametrize("name", ["views-lainr-64", "views-ipc-64"])
def test_a_resumed_run_equals_an_uninterrupted_one(name, root, tmp_path):
    recipe = miniature(RUNS[name](), steps=4)
    recipe = replace(recipe, checkpoint_every=2, optim=replace(recipe.optim, schedule="constant"))
    whole = pretrained.load(train(recipe, root, tmp_path / "whole", **QUIET))
    train(replace(recipe, steps=2), root, tmp_path / "parts", **QUIET)
    parts = pretrained.load(train(recipe, root, tmp_path / "parts", resume=True, **QUIET))
    assert pretrained.model_hash(parts) == pretrained.model_hash(whole)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(root):
    """Every ray belongs to its instance, not to its place in the batch."""
    recipe = miniature(views.views_lainr_64())
    source, model = replace(recipe.data, fewest=0).open(root, "train"), fresh_model(recipe).double()
    objective = recipe.objective.build(model, bf16=False)
    samples = [source.sample(0, 0, slot) for slot in range(4)]

    def gradient(part):
        batch = {key: torch.stack([sample[key] for sample in part]) for key in part[0]}
        batch = {key: value.double() if value.is_floating_point() else value for key, value in batch.items()}
        model.zero_grad()
        objective(batch, seeding.generator(0, 0, seeding.COORDINATES))[0].backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole, first, second = gradient(samples), gradient(samples[:2]), gradient(samples[2:])
    torch.testing.assert_close((first + second) / 2, whole, rtol=0, atol=1e-7)  # `mse` is of float32 colours


@pytest.mark.parametrize("average", ["errors", "decibels"])
def test_targets_of_an_object_are_asked_of_one_encoding(average, root):
    """The loss is the mean over all targets, as if each were a sample of its own; one of them was encoded as well."""
    recipe = miniature(views.views_lainr_64())
    source = ViewsConfig(size=SIDE, support=2, targets=3, again=1).open(root, "train")
    objective = LightFieldRays(average=average).build(fresh_model(recipe))
    batch = {key: torch.stack([source.sample(0, 0, slot)[key] for slot in (0, 1)]) for key in source.sample(0, 0, 0)}
    assert batch["targets"].shape[:2] == (2, 4) and torch.equal(batch["targets"][:, 3], batch["support"][:, 0])
    assert len(set(batch["seeds"].flatten().tolist())) == 8
    draws = seeding.generator(0, 0, seeding.COORDINATES)
    loss, errors = objective(batch, draws)
    each = [objective(batch | {key: batch[key][:, t : t + 1] for key in ("targets", "target_poses", "seeds")}, draws)[1]
            for t in range(4)]
    torch.testing.assert_close(errors, torch.stack(each, 1).flatten())
    expected = errors.mean() if average == "errors" else (errors + 1e-6).log().mean()
    torch.testing.assert_close(loss, expected)


def test_input_views_are_nested_and_never_targets(root):
    item = next(iter(ViewsConfig(size=SIDE).open(root, "test").objects()))
    assert held_out_views(item, 3, 3) == ([0, 1, 2], [3, 4, 5, 6])
    assert held_out_views(item, 1, 5) == ([0], [5, 6])
    assert held_out_views(item, 1, 1, 3) == ([0], [1, 3, 5])
    with pytest.raises(UserError, match="leave no target"):
        held_out_views(item, 7, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": RadianceRays(rays=6)}, "trains a radiance field, and lainr-views is a light field"),
        ({"objective": LightFieldRays(rays=65)}, "65 of 64 pixels"),
        ({"data": ViewsConfig(size=4, support=5)}, "views are 4x4, the model takes 8x8"),
        ({"data": ViewsConfig(size=8, support=6)}, "support 6, and the model takes 5 views"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(change, message, root, tmp_path):
    recipe = replace(miniature(views.views_lainr_64()), **change)
    with pytest.raises(UserError, match=message):
        train(recipe, root, tmp_path / "run", **QUIET)


def test_a_model_of_one_number_of_views_refuses_another(root, tmp_path):
    recipe = miniature(views.views_ipc_64())
    with pytest.raises(UserError, match="support 2, and the model takes 3 views"):
        train(replace(recipe, data=replace(recipe.data, support=2)), root, tmp_path / "run", **QUIET)
    with pytest.raises(UserError, match="set it to 0"):
        train(replace(recipe, data=replace(recipe.data, fewest=1)), root, tmp_path / "run", **QUIET)


@pytest.mark.parametrize("config", [{"rays": -1}, {"evaluate_views": 0}])
def test_impossible_numbers_are_refused(config):
    with pytest.raises(UserError, match=r"rays -1|evaluate_views 0"):
        LightFieldRays(**config)
    with pytest.raises(UserError, match="near < far"):
        RadianceRays(near=3.0, far=2.0)
