"""Training on recordings: the split, the samples of a step, the loss, and runs that go on exactly."""

from dataclasses import replace

import pytest
import torch
from sound_files import CONFIGS, LENGTH, RATE, build, tones, write

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.registry import RECIPES
from tokenfield.sound import recipes as sound
from tokenfield.sound.data import SoundConfig
from tokenfield.sound.objective import WaveformConfig
from tokenfield.training import train
from tokenfield.training.journal import read
from tokenfield.training.recipe import from_json, to_json
from tokenfield.training.session import Session

DATA = SoundConfig(rate=RATE, length=LENGTH, every=3)
RUNS = [RECIPES[name] for name in RECIPES if RECIPES.places[name].module == sound.__name__]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("sound")
    for i in range(12):
        write(root / f"{i}.wav", count=40 + 30 * i)
    return root


def small(recipe):
    """A recipe of this kind with a toy model on toy recordings."""
    (model,) = (config for config in CONFIGS.values() if type(config) is type(recipe.model))
    return replace(recipe, model=model, data=DATA, steps=4, batch_size=3, log_every=1, evaluate_every=4,
                   evaluate_pictures=2, checkpoint_every=2, optim=replace(recipe.optim, warmup=0, schedule="constant"))


def test_the_split_is_by_name_and_folders_go_before_it(folder, tmp_path):
    sides = [{path.name for path in DATA.open(folder, split).paths} for split in ("train", "test")]
    assert sides[0] and sides[1] and not sides[0] & sides[1] and len(sides[0] | sides[1]) == 12
    for split in ("train", "test"):
        write(tmp_path / split / f"{split}.wav")
    for split in ("train", "test"):
        assert [path.stem for path in DATA.open(tmp_path, split).paths] == [split]


def test_a_sample_is_a_piece_of_a_recording_and_of_its_place_alone(folder):
    source = DATA.open(folder, "train")
    samples = [source.sample(1, step, slot) for step in range(5) for slot in range(3)]
    assert all(sample.shape == (1, LENGTH) for sample in samples)
    assert torch.equal(samples[7], DATA.open(folder, "train").sample(1, 2, 1))
    whole = [samples for _, (samples,) in source.signals()]
    for sample in samples:
        assert any((one.unfold(0, LENGTH, 1) == sample).all(1).any() for one in whole if len(one) >= LENGTH) or any(
            torch.equal(sample[0, : len(one)], one) for one in whole if len(one) < LENGTH)


def test_a_damaged_recording_is_noted_and_left_out(folder, tmp_path):
    for i in range(3):
        write(tmp_path / "train" / f"{i}.wav")
    (tmp_path / "train" / "x.wav").write_bytes(b"RIFF")
    write(tmp_path / "test" / "a.wav")
    source = DATA.open(tmp_path, "train")
    assert len(list(source.signals())) == 3 and len(source.skipped) == 1
    assert all(source.sample(0, step, 0).shape == (1, LENGTH) for step in range(9))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_is_the_mean_squared_error_and_errors_give_the_psnr(name):
    model, segments = build(name), torch.stack([tones(LENGTH)[None], 0.5 * tones(LENGTH)[None]])
    loss, errors = WaveformConfig().build(model)(segments, torch.Generator())
    squared = (model(segments, Grid.cells(LENGTH))[..., 0] - segments[:, 0]).square().mean(1)
    torch.testing.assert_close(loss, squared.mean())
    torch.testing.assert_close(errors, squared.detach() / 4)


@pytest.mark.parametrize("run", RUNS)
def test_every_recipe_trains_and_survives_json(run, folder, tmp_path):
    recipe = run()
    assert from_json(to_json(recipe)) == recipe and recipe.name == run.__name__.replace("_", "-")
    train(small(recipe), folder, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    assert read(tmp_path / "run" / "metrics.jsonl")[-1]["evaluation_pictures"] == 2
    assert pretrained.load(tmp_path / "run").config == small(recipe).model


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(folder, tmp_path):
    recipe = small(sound.lainr_speech())
    options = {"session": Session(device="cpu", quiet=True, workers=0)}
    whole = pretrained.load(train(recipe, folder, tmp_path / "whole", **options))
    train(replace(recipe, steps=2), folder, tmp_path / "parts", **options)
    parts = pretrained.load(train(recipe, folder, tmp_path / "parts", resume=True, **options))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_recipes_store_equally_many_values():
    stored = set()
    for run in RUNS:
        model = run().model.build()
        stored.add(model.stored(model.encode(torch.zeros(1, 1, model.config.length))))
    assert stored == {4096}


@pytest.mark.parametrize(("change", "words"), [
    (lambda r: replace(r, data=replace(r.data, length=78)), "make data and model agree"),
    (lambda r: replace(r, data=replace(r.data, rate=2018)), "make data and model agree"),
    (lambda r: replace(r, objective=WaveformConfig(fraction=0.0)), "not in"),
])  # fmt: skip
def test_data_and_model_must_fit(change, words, folder, tmp_path):
    with pytest.raises(UserError, match=words):
        train(change(small(sound.lainr_speech())), folder, tmp_path / "run", session=Session(device="cpu", quiet=True))
