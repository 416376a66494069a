"""Evaluation: a report that depends on neither order nor chance, and says how it came about."""

import json
import math
from dataclasses import replace

import pytest
import torch
from lookup import Lookup, LookupConfig
from PIL import Image

from experiments.release.pca_basis import fit
from tokenfield.data import demo_pictures
from tokenfield.data.demo_pictures import HELD_OUT, center_crop, data_folder, held_out, held_out_pictures
from tokenfield.data.pictures import SkippedFiles, read_picture, write_picture
from tokenfield.errors import UserError
from tokenfield.evaluation import evaluate as evaluation
from tokenfield.evaluation.evaluate import Gallery, panel
from tokenfield.evaluation.pca import floor_of
from tokenfield.io.progress import Bar
from tokenfield.models import pretrained


@pytest.fixture
def model():
    """Its reconstruction of a 7 x 5 picture is 0.9 times the picture."""
    built = Lookup(LookupConfig())
    built.scale.data.fill_(0.9)
    return built.eval()


def pictures(count=3, height=7, width=5):
    draw = torch.Generator().manual_seed(0)
    return [(f"picture-{i}", torch.rand(3, height, width, generator=draw)) for i in range(count)]


def test_scores_are_what_can_be_computed_by_hand(model):
    report = evaluation.evaluate(model, pictures(), "native")
    for (name, picture), score in zip(pictures(), report.pictures, strict=True):
        assert score.name == name and (score.height, score.width) == (7, 5)
        expected = -10 * math.log10((0.1 * picture).square().mean())
        assert score.psnr == pytest.approx(expected, abs=1e-3)
        assert score.tokens == 35 and score.values_stored == 105 and score.values_per_pixel_value == 1
        assert score.encode_seconds > 0 and score.decode_seconds > 0
    assert report.mean("psnr") == pytest.approx(sum(s.psnr for s in report.pictures) / 3)


def test_a_picture_scores_the_same_in_any_company(model):
    whole = evaluation.evaluate(model, pictures(), "native").pictures
    alone = evaluation.evaluate(model, pictures()[2:], "native").pictures
    assert alone[0].psnr == whole[2].psnr and alone[0].ssim == whole[2].ssim


def test_pictures_larger_than_the_model_store_what_their_tiles_store(model):
    (score,) = evaluation.evaluate(model, pictures(1, 17, 11), "native").pictures
    assert score.values_stored % 105 == 0 and score.values_per_pixel_value > 1


def test_the_floor_stores_no_more_than_the_model(model):
    basis = fit((picture for _, picture in pictures(5, 31, 37)), cell=3, cells_per_picture=101)
    report = evaluation.evaluate(model, pictures(), "native", basis=basis)
    for (_, picture), score in zip(pictures(), report.pictures, strict=True):
        assert score.pca_psnr == pytest.approx(floor_of(basis, picture, score.values_stored))
    assert report.to_json()["pca"] == {"cell": 3, "cells": 505, "pictures": 5, "seed": 0}
    assert evaluation.evaluate(model, pictures(), "native").pictures[0].pca_psnr is None


def test_report_says_everything_needed_to_get_the_number_again(model):
    skipped = SkippedFiles()
    skipped.add("bad.png", "is empty (0 bytes)")
    report = replace(evaluation.evaluate(model, pictures(), "native", skipped=skipped), settings={"seed": 3})
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["count"] == 3 and data["protocol"]["name"] == "native" and data["settings"]["seed"] == 3
    assert data["model"]["hash"] == pretrained.model_hash(model)
    assert data["versions"]["torch"] and data["machine"]["device"] == "cpu"
    assert data["skipped"] == [{"file": "bad.png", "reason": "is empty (0 bytes)"}]
    assert len(data["pictures"]) == 3 and data["psnr"] == pytest.approx(report.mean("psnr"), abs=1e-4)


def test_no_pictures_and_nan_are_errors(model):
    with pytest.raises(UserError, match="no pictures to evaluate"):
        evaluation.evaluate(model, [], "native")
    model.scale.data.fill_(math.nan)
    with pytest.raises(UserError, match="picture-0: the reconstruction is not finite"):
        evaluation.evaluate(model, pictures(1), "native")


def test_progress_is_shown(model, monkeypatch):
    names, pieces = [], []
    bar = Bar("evaluating", 2)
    monkeypatch.setattr(bar, "file", lambda *name: names.append(name))
    monkeypatch.setattr(bar, "piece", lambda *counts: pieces.append(counts))
    evaluation.evaluate(model, pictures(2), "native", bar=bar)
    assert names == [(0, "picture-0"), (1, "picture-1")] and (1, 1) in pieces


def test_the_draw_is_a_function_of_the_seed(tmp_path):
    for number in range(101):
        (tmp_path / f"{number:03}.png").touch()

    def draw(count, seed):
        return evaluation.folder_files(tmp_path, SkippedFiles(), count=count, seed=seed)

    files = draw(7, seed=1)
    assert files == draw(7, seed=1) == sorted(files)
    assert files != draw(7, seed=2) and len(set(files)) == 7
    assert draw(None, 0) == draw(1000, 0) == sorted(tmp_path.iterdir())


def test_folder_protocols(tmp_path):
    for name, size in (("b.png", (9, 13)), ("sub/a.png", (3, 21))):
        write_picture(tmp_path / name, torch.rand(3, *size))
    (tmp_path / "bad.png").write_bytes(b"no")
    skipped = SkippedFiles()
    files = evaluation.folder_files(tmp_path, skipped)
    cropped = dict(evaluation.folder_pictures(tmp_path, files, skipped, size=5))
    assert {name: tuple(p.shape) for name, p in cropped.items()} == {"b.png": (3, 5, 5), "sub/a.png": (3, 3, 5)}
    whole = dict(evaluation.folder_pictures(tmp_path, files, skipped, size=None))
    assert torch.equal(whole["b.png"], read_picture(tmp_path / "b.png"))
    assert len(skipped) == 1
    assert len(evaluation.folder_files(tmp_path, skipped, count=2)) == 2
    assert [name for name, _ in evaluation.folder_pictures(files[0], files[:1], skipped, size=None)] == ["b.png"]


def test_center_crop_is_the_middle_and_never_resampled():
    picture = torch.arange(3 * 7 * 11.0).view(3, 7, 11)
    assert torch.equal(center_crop(picture, 3), picture[:, 2:5, 4:7])
    assert torch.equal(center_crop(picture, 4), picture[:, 1:5, 3:7])       # the odd pixel: bottom and right
    assert torch.equal(center_crop(picture, 9), picture[:, :, 1:10])
    assert torch.equal(center_crop(picture, 99), picture)


def test_held_out_photographs_are_the_files_of_scikit_image():
    by_name = dict(held_out_pictures(256))
    assert list(by_name) == list(HELD_OUT) and all(p.shape == (3, 256, 256) for p in by_name.values())
    with Image.open(data_folder() / "chelsea.png") as file:
        top, left = (file.height - 256) // 2, (file.width - 256) // 2
        first = torch.tensor(file.convert("RGB").getpixel((left, top))) / 255
    assert torch.equal(by_name["chelsea"][:, 0, 0], first)
    assert held_out("chelsea").shape == (3, 300, 451)


def test_held_out_photographs_that_are_not_there(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="there are: astronaut, chelsea"):
        held_out("lenna")
    monkeypatch.setattr(demo_pictures, "data_folder", lambda: tmp_path)
    with pytest.raises(UserError, match="pip install scikit-image"):
        held_out("coffee")
    monkeypatch.undo()
    monkeypatch.setattr(demo_pictures, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install scikit-image"):
        data_folder()


def test_gallery_keeps_the_extremes_in_order(tmp_path):
    gallery = Gallery(keep=2)
    picture = torch.rand(3, 5, 7)
    for name, psnr in (("c", 30.0), ("a/1", 10.0), ("e", 50.0), ("b", 20.0), ("é" * 122, 40.0)):
        gallery.offer(name, psnr, picture, 0.9 * picture)
    names = [path.name for path in gallery.save(tmp_path / "out")]
    assert names == ["worst-1-a_1.png", "worst-2-b.png", "best-1-e.png", f"best-2-{'é' * 100}.png"]
    image = read_picture(tmp_path / "out" / "best-1-e.png")
    assert image.shape == (3, 5, 7 * 3 + 8)
    assert (image[:, :, :7] - picture).abs().max() <= 0.5 / 255 + 1e-6
    assert (image[:, :, 11:18] - 0.9 * picture).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_the_difference_is_grey_where_there_is_none(channels):
    picture = torch.rand(channels, 1, 3)
    shown = panel(picture, picture)
    assert shown.shape == (channels, 1, 17)
    assert (shown[:, :, -3:] == 0.5).all() and (shown[:, :, 3:7] == 1).all()
