"""Training on films: the split, the clips of a step, the loss, and runs that go on exactly."""

from dataclasses import replace

import pytest
import torch
from small_films import CONFIGS, CUT, FRAMES, SIZE, build, waves, write

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.film import recipes as film
from tokenfield.film.data import FilmConfig
from tokenfield.film.objective import FramesConfig
from tokenfield.models import pretrained
from tokenfield.registry import RECIPES
from tokenfield.training import train
from tokenfield.training.journal import read
from tokenfield.training.recipe import from_json, to_json
from tokenfield.training.session import Session

DATA = FilmConfig(frames=FRAMES, size=SIZE)
RUNS = [RECIPES[name] for name in RECIPES if RECIPES.places[name].module == film.__name__]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    for split, sizes in {"train": [(5, 11, 13), (3, 5, 17), (7, 9, 9)], "test": [(6, 7, 11), (2, 9, 5)]}.items():
        for i, size in enumerate(sizes):
            write(root / split / f"film{i}", waves(*size) * (i + 1) / 4)
    return root


def small(recipe):
    """A recipe of this kind with a toy model on toy films."""
    (model,) = (config for config in CONFIGS.values() if type(config) is type(recipe.model))
    return replace(recipe, model=replace(model, channels=3), data=DATA, steps=4, batch_size=3, log_every=1,
                   evaluate_every=4, evaluate_pictures=2, checkpoint_every=2,
                   optim=replace(recipe.optim, warmup=0, schedule="constant"))


def test_a_sample_is_a_clip_of_a_film_and_of_its_place_alone(folder):
    source = DATA.open(folder, "train")
    samples = [source.sample(1, step, slot) for step in range(4) for slot in range(3)]
    assert all(sample.shape == (3, FRAMES, *SIZE) for sample in samples)
    assert torch.equal(samples[7], DATA.open(folder, "train").sample(1, 2, 1))
    films = [film for _, film in source.signals()]
    for sample in samples:
        assert any(occurs(sample[:, :2, :5, :9], film) for film in films)  # so much no film has to be continued for


def occurs(part, film):
    """Whether a part (C, t, h, w) is cut out of a film, anywhere."""
    windows = film.unfold(1, part.shape[1], 1).unfold(2, part.shape[2], 1).unfold(3, part.shape[3], 1)
    return (windows == part[:, None, None, None]).flatten(4).all(-1).all(0).any()


def test_a_damaged_film_is_noted_and_left_out(tmp_path):
    write(tmp_path / "train" / "a", waves(3, 7, 9))
    write(tmp_path / "train" / "b", waves(3, 7, 9))
    (tmp_path / "train" / "b" / "f1.png").write_bytes(b"no picture")
    write(tmp_path / "test" / "a", waves(3, 7, 9))
    source = DATA.open(tmp_path, "train")
    assert len(list(source.signals())) == 1 and len(source.skipped) == 1
    assert all(source.sample(0, step, 0).shape == (3, FRAMES, *SIZE) for step in range(9))


def test_the_loss_is_the_mean_squared_error_and_errors_give_the_psnr():
    model, clips = build("ipc"), torch.stack([waves(FRAMES, *SIZE), 0.5 * waves(FRAMES, *SIZE)])
    loss, errors = FramesConfig().build(model)(clips, torch.Generator())
    squared = (model(clips, Grid.cells(FRAMES, *SIZE)).mT - clips.flatten(2)).square().mean((1, 2))
    torch.testing.assert_close(loss, squared.mean())
    torch.testing.assert_close(errors, squared.detach())


def test_a_share_of_the_samples_estimates_the_loss_of_all():
    model, clips = build("ipc"), waves(FRAMES, *SIZE)[None]
    whole, _ = FramesConfig().build(model)(clips, torch.Generator())
    some, generator = FramesConfig(fraction=0.25).build(model), torch.Generator().manual_seed(1)
    draws = torch.stack([some(clips, generator)[0] for _ in range(200)])
    assert draws.std() > 0
    torch.testing.assert_close(draws.mean(), whole, rtol=0, atol=4 * draws.std().item() / 200**0.5)


@pytest.mark.parametrize("run", RUNS)
def test_every_recipe_trains_and_survives_json(run, folder, tmp_path):
    recipe = run()
    assert from_json(to_json(recipe)) == recipe and recipe.name == run.__name__.replace("_", "-")
    train(small(recipe), folder, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    assert read(tmp_path / "run" / "metrics.jsonl")[-1]["evaluation_pictures"] == 2
    assert pretrained.load(tmp_path / "run").config == small(recipe).model


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(folder, tmp_path):
    recipe = small(film.lainr_film())
    options = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = pretrained.load(train(recipe, folder, tmp_path / "whole", **options))
    train(replace(recipe, steps=2), folder, tmp_path / "parts", **options)
    parts = pretrained.load(train(recipe, folder, tmp_path / "parts", resume=True, **options))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_recipes_store_equally_many_values_half_of_a_clip_s():
    stored = set()
    for run in RUNS:
        model = run().model.build()
        stored.add(model.stored(model.encode(model.example(1)[0])))
    assert stored == {8 * 32 * 32 * 3 // 2}


@pytest.mark.parametrize(("change", "words"), [
    (lambda r: replace(r, data=replace(r.data, frames=5)), "make data and model agree"),
    (lambda r: replace(r, data=replace(r.data, channels=1)), "make data and model agree"),
    (lambda r: replace(r, objective=FramesConfig(fraction=0.0)), "not in"),
])  # fmt: skip
def test_data_and_model_must_fit(change, words, folder, tmp_path):
    with pytest.raises(UserError, match=words):
        train(change(small(film.lainr_film())), folder, tmp_path / "run", session=Session(device="cpu", quiet=True))


@pytest.mark.parametrize("change", [{"patch_frames": 3}, {"patch": 4}, {"frames": 2, "patch_frames": 2}])
def test_a_cut_that_does_not_work_is_one_line(change):
    with pytest.raises(UserError):
        type(CONFIGS["lainr"])(**CUT | change)
