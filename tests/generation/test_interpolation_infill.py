"""Great circles and straight lines; in-filling of Gaussians, whose conditional distribution is known."""

import math

import analytic
import pytest
import torch
from lookup import Lookup, LookupConfig
from PIL import Image

from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.generation.infill import Gap, describe, fill, inside
from tokenfield.generation.interpolation import between_fields, between_samples, shares, spherical, write_animation
from tokenfield.generation.paths import clean_and_noise
from tokenfield.generation.sampling import sample
from tokenfield.generation.schedulers import Sampler

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")


def test_a_great_circle_keeps_the_length_and_turns_evenly():
    a, b = torch.zeros(3, 5), torch.zeros(3, 5)
    a[0, 0], b[2, 1] = 7.0, 7.0
    for share in (0.25, 0.5, 0.9):
        between = spherical(a, b, share)
        assert between.norm().item() == pytest.approx(7, abs=1e-5)
        assert (between * a).sum().div(49).acos().item() == pytest.approx(share * math.pi / 2, abs=1e-5)
    assert torch.equal(spherical(a, b, 0), a) and torch.equal(spherical(a, b, 1), b)
    torch.testing.assert_close(spherical(a, a, 0.3), a)
    assert spherical(a, -a, 0.3).isfinite().all()


def test_noise_between_samples_stays_as_long_as_noise_is():
    a, b = torch.randn(2, 40, 50, generator=torch.Generator().manual_seed(0))
    assert spherical(a, b, 0.5).std().item() == pytest.approx(1, abs=0.05)
    assert ((a + b) / 2).std() < 0.75


def test_the_ends_between_two_samples_are_those_samples():
    means = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    denoiser, sampler, labels = analytic.MixtureDenoiser(means, 0.4), Sampler("DDIM", 10, 1.0), torch.tensor([0, 1])
    frames = between_samples(denoiser, (2, 6), labels, sampler, 5, seed=9, batch=2)
    for frame, number, label in ((0, 2, 0), (4, 6, 1)):
        alone = sample(denoiser, torch.tensor([label]), sampler, seed=9, first=number)
        torch.testing.assert_close(frames[frame], alone[0], atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="noise of its own"):
        between_samples(denoiser, (0, 1), labels, Sampler("DDPM", 10), 5)
    with pytest.raises(UserError, match="at least 2"):
        shares(1)


def test_between_photographs_tokens_run_straight():
    """The lookup model is linear in its tokens, so its pictures are the mixture of the two."""
    model = Lookup(LookupConfig())
    one, other = (torch.rand(3, 7, 5, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    a, b = Field.of(model, one), Field.of(model, other)
    frames = between_fields(a, b, 3)
    torch.testing.assert_close(frames[1].render(7, 5), (one + other) / 2)
    assert torch.equal(frames[0].tokens, a.tokens) and torch.equal(frames[2].tokens, b.tokens)


def test_an_animation_runs_there_and_back(tmp_path):
    pictures = [torch.full((3, 8, 12), value) for value in (0.0, 0.5, 1.0)]
    write_animation(tmp_path / "a.webp", pictures)
    with Image.open(tmp_path / "a.webp") as film:
        assert film.n_frames == 4 and film.size == (12, 8)
        greys = []
        for k in range(4):
            film.seek(k)
            greys.append(film.convert("RGB").getpixel((6, 4))[0])
    assert all(abs(a - b) < 8 for a, b in zip(greys, (0, 128, 255, 128), strict=True))


@pytest.mark.parametrize("prediction", ["sample", "epsilon", "v_prediction", "velocity"])
def test_every_prediction_names_its_clean_tokens_and_its_noise(prediction):
    clean, e = torch.randn(2, 4, 3, 5).unbind(0)
    alpha, sigma = (0.3, 0.7) if prediction == "velocity" else (0.6, 0.8)
    predicted = {"sample": clean, "epsilon": e, "v_prediction": alpha * e - sigma * clean, "velocity": e - clean}
    result = clean_and_noise(prediction, predicted[prediction], alpha * clean + sigma * e, alpha, sigma)
    torch.testing.assert_close(result, (clean, e), atol=1e-5, rtol=0)


@pytest.mark.parametrize("prediction", ["sample", "velocity"])
def test_filling_draws_from_the_conditional_distribution(prediction):
    """Two tokens of correlation 0.9, one known to be 1.5: the other has mean 1.35 and deviation sqrt(0.19) = 0.436."""
    denoiser = analytic.CorrelatedDenoiser(torch.tensor([[1.0, 0.9], [0.9, 1.0]]), 2, prediction)
    gap = Gap(torch.tensor([[1.5], [-8.0]]), torch.tensor([False, True]))
    labels = torch.zeros(150, dtype=torch.long)
    results = {}
    for repeats in (1, 12):
        tokens = fill(denoiser, gap, labels, Sampler(steps=20, guidance=1.0), repeats=repeats)
        assert (tokens[:, 0] == 1.5).all()  # the other one stays, to the bit
        results[repeats] = tokens[:, 1, 0]
    error = {repeats: abs(values.mean().item() - 1.35) for repeats, values in results.items()}
    assert error[12] < 0.2 and abs(results[12].std() - 0.436) < 0.12
    assert error[12] < error[1] / 3  # taken once, the token is drawn before it knows


def test_a_filling_is_a_function_of_seed_and_number():
    denoiser = analytic.CorrelatedDenoiser(torch.eye(6) + 0.5, 3)
    gap = Gap(torch.randn(3, 2), torch.tensor([True, False, True]))
    sampler = Sampler(steps=5, guidance=1.0)
    several = fill(denoiser, gap, torch.zeros(3, dtype=torch.long), sampler, seed=2, repeats=2)
    alone = fill(denoiser, gap, torch.zeros(1, dtype=torch.long), sampler, seed=2, first=2, repeats=2)
    torch.testing.assert_close(several[2:], alone, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="leave --scheduler out"):
        fill(denoiser, gap, torch.zeros(1, dtype=torch.long), Sampler("Heun", 5))
    with pytest.raises(UserError, match="0 repeats"):
        fill(denoiser, gap, torch.zeros(1, dtype=torch.long), sampler, repeats=0)


def test_tokens_inside_a_mask_are_found_by_what_they_change():
    """Tokens of the lookup model are pixels, so a token is inside exactly where its pixel is."""
    field = Field.of(Lookup(LookupConfig()), torch.rand(3, 7, 5) * 0.8 + 0.1)
    mask = torch.zeros(7, 5)
    mask[2:5, 1:4] = 1
    result = inside(field, mask)
    torch.testing.assert_close(result.view(7, 5), mask, atol=1e-4, rtol=0)
    assert describe(result.flatten() > 0.25) == "9 of 35 tokens: 11, 12, 13, 16, 17, 18, 21, 22, 23"
    assert describe(torch.ones(4, 5) > 0, most=2) == "20 of 20 tokens: (0, 0), (0, 1) and 18 more"


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, lambda model: torch.compile(model, backend="eager")])
def test_denoisers_that_are_compiled_or_parallel_draw_what_they_would(wrap):
    """And whatever a program says where its own tensors are made."""
    plain = analytic.MixtureDenoiser(torch.linspace(-1, 1, 30).view(2, 3, 5), 0.4)
    gap = Gap(torch.ones(3, 5), torch.tensor([True, False, True]))
    sampler, labels = Sampler(steps=3), torch.tensor([0, 1])
    draws = (lambda model: sample(model, labels, sampler), lambda model: fill(model, gap, labels, sampler, repeats=1),
             lambda model: between_samples(model, (0, 1), labels, sampler, 3))
    for draw in draws:
        expected = draw(plain)
        torch.set_default_device("meta")
        try:
            torch.testing.assert_close(draw(wrap(plain)), expected)
        finally:
            torch.set_default_device(None)
