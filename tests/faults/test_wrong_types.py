"""What is no tensor, given to the calls that take tensors: one line that says what it is and what to give."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield import Field, metrics
from tokenfield.data.pictures import write_picture
from tokenfield.errors import UserError
from tokenfield.fields.rendering import check_boxes, whole, whole_sizes
from tokenfield.models import pretrained

PICTURES = torch.rand(2, 3, 12, 13)
THINGS = {"an array": PICTURES.numpy(), "a list": PICTURES.tolist(), "nothing": None, "text": "a.png", "a number": 0.5,
          "a Pillow image": Image.new("RGB", (13, 12)), "a sparse tensor": PICTURES.to_sparse(),
          "a scalar": torch.tensor(1.0)}  # fmt: skip


def unchecked(function):
    """A function without the tests' own checks of shapes and types, as users call it."""
    return getattr(function, "__wrapped__", function)


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
        for call in (partial(save, thing, "nowhere"), partial(of, Field, thing, PICTURES[0]),
                     partial(load, thing)):
            assert type(thing).__name__ in line(call)
