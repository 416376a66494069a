"""What is no tensor, given to the calls that take tensors: one line that says what it is and what to give."""

import inspect
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small_systems import CONFIGS

from tokenfield import Field, Grid, Lainr, metrics, read_picture
from tokenfield.coords import whole
from tokenfield.data.pictures import write_picture
from tokenfield.errors import UserError, explained
from tokenfield.fields.rendering import check_boxes, whole_sizes
from tokenfield.models import pretrained
from tokenfield.training import Session

PICTURES = torch.rand(2, 3, 12, 13)
THINGS = {"an array": PICTURES.numpy(), "a list": PICTURES.tolist(), "nothing": None, "text": "a.png", "a number": 0.5,
          "a Pillow image": Image.new("RGB", (13, 12)), "a sparse tensor": PICTURES.to_sparse(),
          "a scalar": torch.tensor(1.0)}  # fmt: skip


def unchecked(function):
    """A function without the tests' own checks of shapes and types, as users call it."""
    return explained(inspect.unwrap(function))


def line(call):
    """What a call is refused with."""
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300
    return text


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("metric", [metrics.psnr, metrics.mse, metrics.psnr_8bit, metrics.ssim])
def test_metrics_take_tensors(metric, thing):
    metric = unchecked(metric)
    assert "the prediction is a" in line(lambda: metric(THINGS[thing], PICTURES))
    assert "the target is a" in line(lambda: metric(PICTURES, THINGS[thing]))


def test_bytes_are_compared_in_their_own_range():
    """As floating point numbers they would be; differences of bytes wrap around."""
    one, other = (255 * PICTURES).byte(), (255 * PICTURES.flip(-1)).byte()
    assert "data_range=255" in line(lambda: unchecked(metrics.psnr)(one, other))
    assert "floating point" in line(lambda: unchecked(metrics.mse)(one, other))
    expected = metrics.psnr(one / 255, other / 255)
    torch.testing.assert_close(unchecked(metrics.psnr)(one, other, data_range=255), expected)
    for wrong in (0.0, -1.0, float("nan")):
        assert "a range of" in line(partial(metrics.psnr, PICTURES, PICTURES, data_range=wrong))
    assert "the weights are a ndarray" in line(lambda: unchecked(metrics.mse)(PICTURES, PICTURES, np.ones(13)))


@pytest.mark.parametrize("thing", [*THINGS, "bytes", "numbers"])
def test_pictures_that_are_written_are_tensors_in_floating_point(thing, tmp_path):
    image = (THINGS | {"bytes": (255 * PICTURES[0]).byte(), "numbers": PICTURES[0].int()})[thing]
    assert "cannot write a" in line(lambda: unchecked(write_picture)(tmp_path / "a.png", image))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [PICTURES, PICTURES.numpy(), 0, -1, 2.0, 10**30, True, None, "a\nb" * 99, [], Image])
def test_sizes_are_whole_numbers(size):
    assert "whole numbers of at least 1" in line(lambda: whole(size))
    assert "size" in line(lambda: whole_sizes((size, 3))) and "size" in line(lambda: whole_sizes(size))


@pytest.mark.parametrize("box", [PICTURES, 3, None, "a", (0, 0, 1), (0, 0, 2, 1), (0, 0, 0, 1), [], (0, 0, np.nan, 1)])
def test_boxes_lie_in_the_picture(box):
    assert "give (top, left, bottom, right)" in line(lambda: check_boxes(box))


def test_models_are_models():
    save, load, of = map(unchecked, (pretrained.save, pretrained.folder_of, Field.of.__func__))
    for thing in (None, 3, PICTURES, torch.nn.Linear(2, 2), np.zeros(3)):
        for call in (partial(save, thing, "nowhere"), partial(of, Field, thing, PICTURES[0]), partial(load, thing)):
            assert type(thing).__name__ in line(call)


@pytest.fixture(scope="module")
def field():
    torch.manual_seed(0)
    return Field.of(CONFIGS["lainr"].build().eval(), PICTURES[0])


GRID, WRONG = Grid.cells(3, 5), ("a\nb", [[]], object(), 1j, np.ones(2), PICTURES.to_sparse())
CALLS = {
    "psnr": lambda field, x: metrics.psnr(PICTURES, PICTURES, data_range=x),
    "ssim": lambda field, x: metrics.ssim(x, PICTURES),
    "cells": lambda field, x: Grid.cells(3, x),
    "box": lambda field, x: Grid.box(x, (1, 1), 3, 5),
    "grid": lambda field, x: Grid.__post_init__(SimpleNamespace(axes=(*GRID.axes, x), span=None)),
    "span": lambda field, x: Grid.__post_init__(SimpleNamespace(axes=GRID.axes, span=x)),
    "grid to": lambda field, x: GRID.to(x) if x is not WRONG[3] and not isinstance(x, torch.Tensor) else GRID.to("x"),
    "split": lambda field, x: list(GRID.split(x)),
    "tokens": lambda field, x: field.model.decode(x, GRID),
    "coordinates": lambda field, x: field.model.decode(field.tokens.flatten(0, 1), x),
    "chunk": lambda field, x: field.model.decode(field.tokens.flatten(0, 1), GRID, x),
    "width": lambda field, x: field.model.width_at(x),
    "nodes": lambda field, x: field.coarse(x),
    "configuration": lambda field, x: type(field.model)(x),
    "locality": lambda field, x: field.locality(x),
    "locality's size": lambda field, x: field.locality(2, x),
    "attention": lambda field, x: field.attention(x),
    "other tokens": lambda field, x: field.with_tokens(x),
    "to": lambda field, x: field.to(x),
    "precision": lambda field, x: field.render(8, 9, dtype=x),
    "progress": lambda field, x: field.render(8, 9, progress=x),
    "points": lambda field, x: field.rows(8, 9, points=x),
    "session": lambda field, x: Session(device="gpu"),
    "quality": lambda field, x: field.coded(x),
    "domain": lambda field, x: Field.of(field.model, PICTURES[0], domain=x),
    "rate": lambda field, x: Field.of(field.model, PICTURES[0], rate=x),
    "stored type": lambda field, x: field.save("nowhere", dtype=x),
    "weights' type": lambda field, x: pretrained.save(field.model, "nowhere", dtype=x),
    "folder": lambda field, x: pretrained.save(field.model, (x,)),
    "field's path": lambda field, x: field.save((x,)),
    "path to load": lambda field, x: Field.load((x,)),
    "picture's path": lambda field, x: read_picture((x,)),
    "path to write": lambda field, x: write_picture((x,), PICTURES[0]),
    "packaged": lambda field, x: Lainr.from_pretrained((x,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_arguments_of_other_types_are_a_line_of_ours(name, field):
    for thing in WRONG:
        line(lambda thing=thing: CALLS[name](field, thing))


def test_what_fails_for_another_reason_is_not_explained_away(field):
    def progress(done, total):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        field.render(8, 9, progress=progress)
    with pytest.raises(TypeError, match="unexpected keyword"):
        field.render(8, 9, colour="red")


def test_numbers_of_numpy_and_torch_are_numbers(field):
    for three in (np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)):
        assert Grid.cells(three, 5).shape == (3, 5) and len(list(Grid.cells(7, 5).split(three))) == 7
        assert len(field.locality(three, (three, 5))) == 3
        tokens = field.tokens.flatten(0, 1)
        torch.testing.assert_close(field.model.decode(tokens, GRID, three), field.model.decode(tokens, GRID))
