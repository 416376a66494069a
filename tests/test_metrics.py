"""Metrics: values that can be computed by hand, and what must not change them."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError

from tokenfield.errors import UserError
from tokenfield.metrics import PSNR_CEILING, decibels, mse, psnr, psnr_8bit, ssim, to_8bit


def pictures(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_mse_is_per_member_and_by_hand():
    target = torch.zeros(2, 3, 5, 7)
    prediction = target.clone()
    prediction[1] = 0.1
    torch.testing.assert_close(mse(prediction, target), torch.tensor([0.0, 0.01]))


def test_constant_weights_change_nothing_and_zero_weights_mask():
    prediction, target = pictures(2, 3, 5, 7), pictures(2, 3, 5, 7, seed=1)
    torch.testing.assert_close(mse(prediction, target, torch.tensor(3.0)), mse(prediction, target))
    weights = torch.zeros(5, 7)
    weights[:2] = 1                                # broadcasts over batch and channels
    torch.testing.assert_close(mse(prediction, target, weights), mse(prediction[:, :, :2], target[:, :, :2]))


def test_psnr_of_a_known_error():
    target = torch.full((1, 3, 5, 7), 0.5)
    assert psnr(target + 0.1, target).item() == pytest.approx(20.0, abs=1e-3)
    assert psnr(target + 0.1, target, data_range=10.0).item() == pytest.approx(40.0, abs=1e-3)


def test_papers_psnr_neither_clamps_nor_rounds():
    target = torch.ones(1, 3, 5, 7)
    # Above white is an error still, and so is less than half a grey level.
    assert psnr(target + 0.01, target).item() == pytest.approx(40.0, abs=1e-3)
    assert psnr(target - 0.001, target).item() == pytest.approx(60.0, abs=1e-2)
    assert psnr_8bit(target + 0.01, target).item() == PSNR_CEILING
    assert psnr_8bit(target - 0.001, target).item() == PSNR_CEILING


def test_psnr_is_computed_wide_whatever_comes_in():
    target = torch.full((1, 3, 5, 7), 0.5)
    prediction = (target + 0.1).to(torch.bfloat16)
    assert psnr(prediction, target.to(torch.bfloat16)).dtype == torch.float32
    assert psnr(target.double(), target).dtype == torch.float64


def test_mean_over_pictures_is_not_the_psnr_of_the_mean_error():
    target = torch.zeros(2, 1, 2, 2)
    prediction = target.clone()
    prediction[0], prediction[1] = 0.1, 0.001
    assert psnr(prediction, target).mean().item() == pytest.approx(40.0, abs=1e-3)


def test_nan_is_not_hidden():
    target = torch.zeros(1, 1, 2, 2)
    assert math.isnan(psnr(target * math.nan, target).item())


def test_to_8bit_lands_on_the_256_levels():
    levels = to_8bit(torch.linspace(-0.5, 1.5, 1013)) * 255
    assert levels.unique().numel() == 256
    torch.testing.assert_close(levels, levels.round())


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise():
    target = pictures(1, 3, 23, 29)
    noise = pictures(1, 3, 23, 29, seed=1) - 0.5
    scores = [ssim(target + scale * noise, target).item() for scale in (0.0, 0.1, 0.5)]
    assert scores[0] == pytest.approx(1.0)
    assert scores[0] > scores[1] > scores[2]


def test_ssim_of_constants_is_the_luminance_term():
    first, second = 0.25, 0.75
    c1 = 0.01**2  # (2 a b + C1) / (a^2 + b^2 + C1), contrast and structure being 1
    expected = (2 * first * second + c1) / (first**2 + second**2 + c1)
    flat = torch.ones(1, 1, 13, 17)
    assert ssim(first * flat, second * flat).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 31), (7, 3), (10, 11)])
def test_ssim_of_pictures_smaller_than_its_window(size):
    picture = pictures(1, 3, *size)
    assert ssim(picture, picture).item() == pytest.approx(1.0)


def test_decibels_of_numbers_and_of_tensors_agree():
    errors = [0.0, 1e-30, 1e-4, 0.25, 1.0]
    expected = [PSNR_CEILING, PSNR_CEILING, 40.0, 6.0206, 0.0]
    assert [decibels(error) for error in errors] == pytest.approx(expected, abs=1e-4)
    assert decibels(torch.tensor(errors)).tolist() == pytest.approx(expected, abs=1e-4)
    assert decibels(0.25, data_range=10.0) == pytest.approx(26.0206, abs=1e-4)
    assert math.isnan(decibels(math.nan))


@pytest.mark.parametrize("other", [(1, 5), (1, 1, 1), (2, 5, 1), (1, 5, 2)])
def test_shapes_that_only_broadcast_are_refused(other):
    for metric in (mse, psnr, psnr_8bit):
        with pytest.raises((UserError, TypeCheckError), match=r"give the same shape|checking the parameters"):
            metric(torch.zeros(1, 5, 1), torch.zeros(other))
