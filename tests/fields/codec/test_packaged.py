"""Coded fields of every packaged model that has tables."""

import pytest
import torch

from tokenfield.data.demo_pictures import HELD_OUT, center_crop, data_folder
from tokenfield.data.pictures import read_picture
from tokenfield.fields.codec.container import opened
from tokenfield.fields.coded_field import arranged
from tokenfield.fields.field import Field
from tokenfield.metrics import psnr_8bit
from tokenfield.models import pretrained
from tokenfield.models.folder import TABLES, list_models, packaged

LATTICES = ["photos-codec", "photos-s", "photos-ladder"]
"""Of which leading layers are a picture."""
CODED = [name for name in list_models() if (packaged(name) / TABLES).is_file()]


@pytest.fixture(scope="module")
def picture():
    return center_crop(read_picture(data_folder() / HELD_OUT["chelsea"]), 160)[:, :, :131]


@pytest.fixture(scope="module", params=CODED)
def field(request, picture):
    return Field.of(pretrained.load(request.param), picture)


def decibels(field, picture):
    return psnr_8bit(field.render()[None], picture[None]).item()


def test_which_packaged_models_have_tables():
    assert {*LATTICES, "lainr-photos"} <= set(CODED)


def test_coded_tokens_are_close_and_small(field, picture):
    fine, coarse = field.coded(90), field.coded(30)
    assert len(coarse) < len(fine) < field.bytes_stored / 3 and len(coarse) < field.bytes_stored / 8
    exact, quantised = (decibels(one, picture) for one in (field, field.quantised(90)))
    assert quantised > min(exact, 50) - 0.6
    assert decibels(field.quantised(30), picture) < quantised


@pytest.mark.parametrize("name", LATTICES)
def test_layers_are_ever_closer(name, picture, tmp_path):
    Field.of(pretrained.load(name), picture).save(tmp_path / "a.field", quality=70)
    with opened(tmp_path / "a.field") as file:
        layers = file.header.layers
    found = [decibels(Field.load(tmp_path / "a.field", layers=n), picture) for n in range(1, layers + 1)]
    assert found == sorted(found) and found[0] > 10 and found[-1] > found[0] + 2


def test_labels_come_back_and_layers_are_rates(picture, tmp_path):
    model = pretrained.load("photos-ladder")
    field = Field.of(model, picture)
    field.save(tmp_path / "a.field", quality=60)
    again = Field.load(tmp_path / "a.field")
    assert torch.equal(again.tokens[..., 0], field.tokens[..., 0])
    for layer, width in enumerate(model.prefixes, 1):
        assert Field.load(tmp_path / "a.field", layers=layer).tokens.shape[-1] == width
    least = Field.of(model, picture, rate=1 / 32)
    assert least.quantised(60).tokens.shape == least.tokens.shape and len(least.coded(60)) < len(field.coded(60)) / 2


def test_tokens_of_tiles_lie_side_by_side():
    tokens = torch.arange(2 * 3 * 6 * 5).view(2, 3, 6, 5).float()
    lattice = arranged(tokens)
    assert lattice.shape == (4, 9, 5)
    assert (lattice[3, 7] == tokens[1, 2, 1 * 3 + 1].numpy()).all()


def test_a_region_of_tiles_needs_its_rows_alone(tmp_path):
    model = pretrained.load("lainr-photos")
    draw = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 80, 5, generator=draw), size=(640, 40), mode="bicubic")
    field = Field.of(model, smooth[0].clamp(0, 1))
    field.save(tmp_path / "a.field", quality=20)
    whole, box = Field.load(tmp_path / "a.field"), field.pixel_box(600, 3, 636, 40)
    data = bytearray((tmp_path / "a.field").read_bytes())
    with opened(tmp_path / "a.field") as file:
        start, length, _ = file.places[0]
    data[start : start + length] = bytes(length)  # the stripe above is destroyed
    (tmp_path / "a.field").write_bytes(data)
    part = Field.load(tmp_path / "a.field", box=box)
    assert torch.equal(part.crop(box, (36, 37)), whole.crop(box, (36, 37)))
