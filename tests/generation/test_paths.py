"""Paths and targets: against `diffusers`, against formulas, and back again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokenfield.generation.paths import TARGETS, each, place

DIFFUSION = ("sample", "epsilon", "v_prediction")


def pair(batch):
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(2, batch, 3, 5, generator=generator)


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
@pytest.mark.parametrize("steps", [1000, 50])
def test_mixing_and_targets_are_those_of_diffusers(steps):
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=steps)
    clean, noise = pair(steps)
    here = place("sample", (torch.arange(steps) + 0.5) / steps, steps)
    assert torch.equal(here.time, torch.arange(steps).float())
    timesteps = here.time.long()
    torch.testing.assert_close(here.mix(clean, noise), scheduler.add_noise(clean, noise, timesteps))
    expected = scheduler.get_velocity(clean, noise, timesteps)
    torch.testing.assert_close(TARGETS["v_prediction"](here, clean, noise), expected)
    assert TARGETS["sample"](here, clean, noise) is clean and TARGETS["epsilon"](here, clean, noise) is noise


def test_the_schedule_is_the_linear_one():
    here = place("epsilon", torch.tensor([0.0, 0.9999999]), 1000)
    assert here.time.tolist() == [0, 999]
    abar = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).neg().add(1).prod()
    torch.testing.assert_close(here.alpha.flatten(), torch.stack([torch.tensor(0.9999).double(), abar]).sqrt().float(),
                               rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(here.alpha**2 + here.sigma**2, torch.ones(2))


def test_the_flow_goes_straight_from_data_to_noise():
    clean, noise = pair(5)
    ends = [place("velocity", torch.full((5,), t), 1000) for t in (0.0, 1.0)]
    assert torch.equal(ends[0].mix(clean, noise), clean) and torch.equal(ends[1].mix(clean, noise), noise)
    velocity = TARGETS["velocity"](ends[0], clean, noise)
    for t in (0.25, 0.7):
        here = place("velocity", torch.full((5,), t), 1000)
        torch.testing.assert_close(here.mix(clean, noise) + (1 - t) * velocity, noise)


@given(st.floats(0.001, 0.999), st.sampled_from([*DIFFUSION, "velocity"]))
def test_a_target_and_the_mixture_determine_the_data(uniform, prediction):
    clean, noise = pair(2).double()
    here = place(prediction, torch.full((2,), uniform), 1000)
    mixed, target, a, s = here.mix(clean, noise), TARGETS[prediction](here, clean, noise), *(
        each(factor, clean) for factor in (here.alpha, here.sigma))
    results = {
        "sample": lambda: target,
        "epsilon": lambda: (mixed - s * target) / a,
        "v_prediction": lambda: a * mixed - s * target,
        "velocity": lambda: mixed - s * target,
    }[prediction]()
    torch.testing.assert_close(results, clean, atol=1e-4, rtol=1e-4)


def test_places_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        here = place("sample", torch.tensor([0.4567]), 1000)
    assert here.alpha.dtype == torch.float32 and here.time.item() == 456
