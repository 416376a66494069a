"""Squares from pictures, against the definitions of the operations that made the published ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokenfield.data.datasets import center_square, random_square, resize_shorter, to_tensor
from tokenfield.data.draws import Draws

side = st.integers(1, 60)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 997 + width).integers(0, 256, (height, width, 3)).astype(np.uint8)


@given(side, side, st.integers(1, 40))
def test_the_shorter_side_is_the_size(height, width, size):
    """torchvision's `Resize(size)`: the longer side is int(size * long / short)."""
    h, w = resize_shorter(noise(height, width), size).shape[:2]
    assert min(h, w) == size
    assert (h, w) == ((size, int(size * width / height)) if height <= width else (int(size * height / width), size))


def test_resizing_averages_as_pillow_does():
    """Each output pixel is a triangle-weighted mean of the input around it, twice as wide as the pixel it becomes."""
    picture = noise(30, 30)
    resized = resize_shorter(picture, 10).astype(float)
    centre = (np.arange(10) + 0.5) * 3
    weight = np.clip(1 - np.abs(np.arange(30)[None] + 0.5 - centre[:, None]) / 3, 0, None)
    weight /= weight.sum(1, keepdims=True)
    expected = np.einsum("yr,xs,rsc->yxc", weight, weight, picture.astype(float))
    assert np.abs(resized - expected).max() <= 1.01                      # rounded after each of two passes


@given(st.integers(4, 60), st.integers(4, 60), st.integers(1, 40))
def test_the_centre_square_is_the_middle(height, width, size):
    """torchvision's `CenterCrop(size)`: top = round((h - size) / 2), half to even."""
    picture = noise(height, width)
    resized = np.asarray(resize_shorter(picture, size))
    top, left = (int(np.round((n - size) / 2)) for n in resized.shape[:2])
    assert (center_square(picture, size) == resized[top : top + size, left : left + size]).all()


def test_a_celeba_picture_loses_twenty_rows_at_each_end():
    picture = noise(218, 178)
    assert (center_square(picture, 178) == picture[20:198]).all()


@given(st.integers(7, 30), st.integers(7, 30), st.integers(0, 999))
def test_a_random_square_is_somewhere_in_the_picture(height, width, step):
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    square = random_square(np.dstack([y, x, y]), 7, Draws(0, step))
    ahead = square[:, ::-1] if square[0, 0, 1] > square[0, -1, 1] else square
    top, left = int(ahead[0, 0, 0]), int(ahead[0, 0, 1])
    assert (ahead[:, :, 0] == np.arange(top, top + 7)[:, None]).all()
    assert (ahead[:, :, 1] == np.arange(left, left + 7)[None]).all()
    assert top + 7 <= height and left + 7 <= width


def test_every_place_and_both_mirrors_occur():
    y, x = np.mgrid[:9, :10].astype(np.uint8)
    squares = [random_square(np.dstack([y, x, y]), 7, Draws(0, step)) for step in range(400)]
    places = {(int(s[0, 0, 0]), int(s[0, :, 1].min()), bool(s[0, 0, 1] > s[0, -1, 1])) for s in squares}
    assert places == {(top, left, mirror) for top in range(3) for left in range(4) for mirror in (False, True)}


def test_a_small_picture_is_enlarged():
    picture = noise(5, 9)
    square = random_square(picture, 20, Draws(0, 0))
    assert square.shape == (20, 20, 3)
    enlarged = [resize_shorter(picture[:, left : left + 5], 20) for left in range(5)]
    assert any((big[:, ::flip] == square).all() for big in enlarged for flip in (1, -1))


@pytest.mark.parametrize("height, width", [(1, 50_000), (50_000, 1), (3, 9_001)])
def test_a_strip_is_cut_before_it_is_enlarged(height, width):
    """Whole, the first would become 200 x 10 000 000."""
    picture = np.full((height, width, 3), 99, np.uint8)
    middle = (height // 2, width // 2)
    picture[middle] = 255
    square = center_square(picture, 200)
    assert square.shape == (200, 200, 3) and square.max() > 200              # the middle is in it
    assert random_square(picture, 200, Draws(0, 0)).shape == (200, 200, 3)


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[::-1], lambda a: a.transpose(1, 0, 2), lambda a: a[1:4, 2:]])
def test_bytes_become_unit_values_channels_first(view):
    picture = view(noise(5, 7))
    tensor = to_tensor(picture)
    assert tensor.is_contiguous() and tensor.dtype == torch.float32
    expected = torch.from_numpy(picture.astype(np.float64).copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(tensor, expected.float(), atol=1e-7, rtol=0)
