"""Panels lie where they should, and enlargements show what they say."""

import pytest
import torch
from PIL import Image, ImageColor

from tokenfield.evaluation.figures import (
    GAP,
    MARGIN,
    Panel,
    bicubic,
    difference,
    framed,
    from_pil,
    half_size,
    heat,
    learning_curve,
    repeat,
    save_png,
    sheet,
    shrunk,
    tinted,
    to_pil,
)
from tokenfield.io.charts import COLOURS


def noise(height, width, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def test_a_sheet_shows_every_panel_unchanged_and_in_its_place():
    first, second, third = noise(31, 83), noise(29, 101, 1), noise(37, 71, 2)
    paper = from_pil(sheet([[Panel(first, "first", "1"), Panel(second)], [Panel(third, "third")]]))
    assert paper.shape[2] == 2 * MARGIN + 83 + GAP + 101
    eight_bit = lambda image: (image * 255).round() / 255  # noqa: E731
    left = MARGIN + 83 + GAP
    torch.testing.assert_close(paper[:, MARGIN : MARGIN + 31, MARGIN : MARGIN + 83], eight_bit(first))
    torch.testing.assert_close(paper[:, MARGIN : MARGIN + 29, left : left + 101], eight_bit(second))
    below = [y for y in range(MARGIN + 31, paper.shape[1] - 37)
             if torch.allclose(paper[:, y : y + 37, MARGIN : MARGIN + 71], eight_bit(third))]
    assert len(below) == 1
    text = paper[:, MARGIN + 31 : below[0], MARGIN : MARGIN + 83]
    assert text.min() < 0.4 and paper[:, : MARGIN].min() == 1  # a label, and an empty margin


def test_a_long_label_makes_room_for_the_one_beside_it():
    long, short = Panel(noise(31, 41), "chairs/foldingChair"), Panel(noise(31, 43, 1), "model")
    assert sheet([[long, short]]).width > sheet([[short, short]]).width + 60
    assert sheet([[long, Panel(short.image)]]).width == 2 * MARGIN + 41 + GAP + 43  # over blank paper it may run on


def test_values_outside_the_range_are_clamped_not_wrapped():
    image = torch.tensor([-0.5, 0.0, 1.0, 1.7]).expand(3, 1, 4)
    assert to_pil(image).getpixel((0, 0)) == (0, 0, 0) and to_pil(image).getpixel((3, 0)) == (255, 255, 255)


def test_difference_is_grey_where_nothing_differs():
    image = noise(5, 7)
    assert (difference(image, image, 16) == 0.5).all()
    assert (difference(image, image + 0.01, 16) - 0.66).abs().max() < 1e-5
    assert (difference(image, image - 0.1, 16) == 0).all()


def test_repeat_and_half_size_are_inverse():
    image = noise(5, 7)
    assert repeat(image, 3).shape == (3, 15, 21)
    assert torch.allclose(half_size(repeat(image, 2)), image)
    assert half_size(noise(5, 7)).shape == (3, 2, 3)


def test_bicubic_of_a_box_is_a_part_of_the_whole():
    image = noise(13, 17)
    whole = bicubic(image, 4 * 13, 4 * 17)
    part = bicubic(image, 4 * 5, 4 * 3, box=(6, 8, 11, 11))
    torch.testing.assert_close(part, whole[:, 24:44, 32:44], atol=1e-6, rtol=0)
    torch.testing.assert_close(bicubic(image, 13, 17), image)


def test_bicubic_neither_rounds_nor_clamps():
    step = torch.zeros(3, 4, 8)
    step[:, :, 4:] = 1
    enlarged = bicubic(step, 16, 32)
    assert enlarged.min() < -0.01 and enlarged.max() > 1.01


@pytest.mark.parametrize("height, width, side", [(23, 41, 11), (11, 7, 7)])
def test_shrunk_is_square_and_never_larger(height, width, side):
    assert shrunk(noise(height, width), 11).shape == (3, side, side)


def test_maps_become_colours():
    assert heat(torch.zeros(2, 3)).max() < 0.02 and heat(torch.ones(2, 3)).min() > 0.7
    photograph = noise(5, 7)
    grey = tinted(photograph, [torch.zeros(5, 7)])
    assert torch.equal(grey[0], grey[1]) and grey.max() < 0.63
    lit = tinted(photograph, [torch.zeros(5, 7), torch.ones(5, 7)])
    second = torch.tensor(ImageColor.getrgb(COLOURS[1]))[:, None, None] / 255
    assert (lit - second).abs().max() < 0.07


def test_a_frame_leaves_what_it_surrounds():
    image = noise(19, 23)
    marked = framed(image, (5, 7, 11, 13), "#ffffff", 2)
    assert (marked[:, 5:11, 7:13] - image[:, 5:11, 7:13]).abs().max() <= 0.5 / 255 + 1e-6
    assert (marked[:, 3:5, 5:15] == 1).all() and (marked[:, 5:11, 13:15] == 1).all()


def test_files_are_pictures(tmp_path):
    path = save_png(tmp_path / "sub" / "a.png", to_pil(noise(5, 7)))
    assert Image.open(path).size == (7, 5)
    curve = learning_curve(tmp_path / "curve.png", [(0.1, 10.0), (0.7, 17.0)], [(0.0, 9.0)], title="a run")
    assert Image.open(curve).size == (1330, 644)
    assert Image.open(learning_curve(curve, [], [], title="nothing yet")).size == (1330, 644)
