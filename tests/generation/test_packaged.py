"""The packaged denoiser: found by its name, with its field model, classes and card; and drawn from as it is typed."""

import json

import pytest
import torch

import tokenfield
from tokenfield.errors import UserError
from tokenfield.generation.samples_to_fields import labels_for, load_denoiser, load_field_model
from tokenfield.models import pretrained
from tokenfield.models.folder import CARD, EVALUATION, WEIGHTS

NAME = "generate-fashion"


def test_it_is_a_denoiser_and_no_field_model():
    assert pretrained.list_denoisers() == [NAME] and NAME not in tokenfield.list_models()
    with pytest.raises(UserError, match="use it with tokenfield generate"):
        tokenfield.load(NAME)


def test_it_is_whole_and_small():
    denoiser = load_denoiser(NAME)
    reader = load_field_model(denoiser)
    assert reader.origin == "fashion-lainr" and reader.channels == 1 and denoiser.config.picture_size == (28, 28)
    folders = [pretrained.packaged(NAME), pretrained.packaged("fashion-lainr")]
    assert sum((folder / WEIGHTS).stat().st_size for folder in folders) <= 12 * 2**20
    drawn = json.loads((folders[0] / EVALUATION).read_text())["samples"]
    card = (folders[0] / CARD).read_text()
    assert f"FID **{drawn['distances']['fid']:.3f}**" in card and all(name in card for name in denoiser.config.names)


def test_classes_are_those_of_the_data_set():
    denoiser = load_denoiser(NAME)
    assert len(denoiser.config.names) == 10
    assert labels_for(denoiser, ["ankle boot"], 2).tolist() == [denoiser.config.names.index("ankle boot")] * 2
    with pytest.raises(UserError, match=r"did you mean t-shirt or top"):
        labels_for(denoiser, ["T-shirt/top"], 1)


def test_the_command_draws_garments_on_black(run, tmp_path):
    """Two steps are too few for a good one, and enough for one that is there: bright in the middle, dark corners."""
    outcome = run("generate", "samples", NAME, "--class", "ankle boot", "--count", 2, "--steps", 5, "--size", 56,
                  "-o", tmp_path / "boots")
    assert outcome.code == 0, outcome.err
    assert "2 samples (ankle boot): 56 x 56 pixels" in outcome.out
    for number in range(2):
        field = tokenfield.Field.load(tmp_path / "boots" / f"{number:04d}.field")
        picture = field.render()
        assert picture.shape == (1, 28, 28) and picture[:, :4, :4].abs().max() < 0.2 < picture.max()
    again = torch.tensor([tokenfield.read_picture(tmp_path / "boots" / f"{k:04d}.png").mean() for k in range(2)])
    assert again[0] != again[1]
