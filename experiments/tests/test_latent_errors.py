"""The script that puts errors into latents: its two numbers, for decoders whose answer is known."""

from types import SimpleNamespace

import pytest
import torch

from experiments.generation import latent_errors as module
from tokenfield.coords import count


@pytest.fixture
def latent_errors():
    return module


TOKENS = 4
FOLDER = SimpleNamespace(
    picture_size=(4, 4), mean=torch.full((TOKENS, 1), 0.5), standardize=lambda x: x / 3, restore=lambda x: 3 * x
)


def local(tokens, grid):
    """Every token is the value of a quarter of the pixels."""
    return tokens.repeat_interleave(count(grid) // TOKENS, 1).expand(-1, -1, 3)


def everywhere(tokens, grid):
    """The sum of the tokens is the value of every pixel."""
    return tokens.sum(1, keepdim=True).expand(-1, count(grid), 3)


def test_the_area_is_a_quarter_where_tokens_are_local_and_all_where_they_are_not(latent_errors):
    tokens = torch.arange(12.0).view(3, TOKENS, 1)
    areas = [latent_errors.mean_area(SimpleNamespace(decode=d), FOLDER, tokens) for d in (local, everywhere)]
    assert areas[0] == 0.25 and areas[1] == 15 / 16  # the smallest set of 16 equal pixels that holds 90 %


def test_noise_is_measured_in_deviations_of_the_latents_and_apart_on_white(latent_errors):
    tokens, white = torch.zeros(500, TOKENS, 1), torch.zeros(500, 16, dtype=torch.bool)
    white[:, :8] = True  # what the first two tokens govern

    def half(tokens, grid):
        return local(tokens * torch.tensor([0.5, 0.5, 1.0, 1.0]).view(1, TOKENS, 1), grid)

    options = SimpleNamespace(deviations=(0.1, 0.2), seeds=4)
    less, row = latent_errors.change_by_noise(SimpleNamespace(decode=half), FOLDER, tokens, white, options)
    assert less["object"] == pytest.approx(row["object"] / 2, rel=1e-4)
    assert row["object"] == pytest.approx(3 * 0.2, rel=0.05)
    assert row["white_over_object"] == pytest.approx(0.5, rel=0.05)
