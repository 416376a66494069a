"""Sampling from latent spaces whose exact denoiser is known: trajectories in closed form, moments, guidance, seeds."""

import math

import analytic
import pytest
import torch

from tokenfield.errors import UserError
from tokenfield.generation.paths import level
from tokenfield.generation.sampling import generators, guide, noise, sample, solve
from tokenfield.generation.schedulers import DIFFUSION, FLOW, STOCHASTIC, Sampler, build

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers, on numpy 2

TOKENS, DIM = 3, 5
MEANS = torch.linspace(-1.5, 1.5, 2 * TOKENS * DIM).view(2, TOKENS, DIM)
DEVIATIONS = torch.linspace(0.2, 1.4, 2 * TOKENS * DIM).view(2, TOKENS, DIM)
PREDICTIONS = ("sample", "epsilon", "v_prediction")


def gaussian(prediction="sample", **options):
    return analytic.MixtureDenoiser(MEANS, DEVIATIONS, prediction, **options)


def no_class(count):
    return torch.full((count,), 2)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim_of_a_gaussian_is_its_closed_form(prediction):
    """Every step multiplies the offset from a m by (a a' d^2 + s s') / v^2: an affine map, so the whole is one too."""
    denoiser, start = gaussian(prediction), noise((TOKENS, DIM), generators(0, range(7)))
    sampler = Sampler("DDIM", 20, 1.0)
    labels = torch.zeros(7, dtype=torch.long)
    tokens = solve(denoiser, start, labels, sampler, generators(1, range(7)))
    times = [999 - 50 * i for i in range(20)]
    assert build(sampler, prediction, 1000).timesteps.tolist() == times
    (a, s), mean, d = level(prediction, 1000, times[0]), MEANS[0].double(), DEVIATIONS[0].double()
    offset = start.double() - a * mean
    for time in [*times[1:], -1]:
        following = level(prediction, 1000, time)
        offset *= (a * following[0] * d**2 + s * following[1]) / (a**2 * d**2 + s**2)
        a, s = following
    # float32 against float64; dividing by a = 0.006 in the first step magnifies rounding where noise is predicted
    torch.testing.assert_close(tokens.double(), mean + offset, atol=2e-3 if prediction == "epsilon" else 2e-4, rtol=0)


def test_many_steps_of_ddim_are_the_exact_flow():
    """(x - a m) / v does not change along the flow, so noise z ends at m + d (z - a_T m) / v_T."""
    denoiser, start = gaussian(), noise((TOKENS, DIM), generators(0, range(5)))
    labels = torch.ones(5, dtype=torch.long)
    a, s = level("sample", 1000, 999)
    exact = MEANS[1] + DEVIATIONS[1] * (start - a * MEANS[1]) / (a**2 * DEVIATIONS[1] ** 2 + s**2).sqrt()
    errors = []
    for steps in (10, 50, 250):
        tokens = solve(denoiser, start, labels, Sampler("DDIM", steps, 1.0), generators(1, range(5)))
        errors.append((tokens - exact).abs().max().item())
    assert errors[0] > 3 * errors[1] > 9 * errors[2] and errors[2] < 0.04  # first order


@pytest.mark.parametrize("name", FLOW)
def test_flow_schedulers_follow_the_exact_flow(name):
    """The same invariant; Euler is of first order, the others are better with a third of the steps."""
    denoiser, start = gaussian("velocity"), noise((TOKENS, DIM), generators(0, range(5)))
    exact = MEANS[0] + DEVIATIONS[0] * start
    steps = 100 if name == "Euler" else 33
    labels = torch.zeros(5, dtype=torch.long)
    tokens = solve(denoiser, start, labels, Sampler(name, steps, 1.0), generators(1, range(5)))
    assert (tokens - exact).abs().max() < (0.06 if name == "Euler" else 0.02)


@pytest.mark.parametrize("name", DIFFUSION)
def test_every_scheduler_reproduces_the_moments(name):
    """Mean and deviation of 200 x 15 entries, standardised by the truth; 30 steps leave some bias."""
    tokens = sample(gaussian(), torch.zeros(200, dtype=torch.long), Sampler(name, 30, 1.0), batch=200, seed=3)
    z = (tokens - MEANS[0]) / DEVIATIONS[0]
    assert abs(z.mean()) < 0.06 and abs(z.std() - 1) < 0.2


@pytest.mark.parametrize("name", DIFFUSION)
def test_every_scheduler_gives_the_same_for_every_prediction(name):
    """The sample, the noise and v say the same. float32 at the first step, where a = 0.006, leaves some 1e-3."""
    labels = torch.tensor([0, 1, 0])
    sample_, epsilon, v = (sample(gaussian(p), labels, Sampler(name, 10), seed=4) for p in PREDICTIONS)
    torch.testing.assert_close(epsilon, sample_, atol=5e-3, rtol=0)
    torch.testing.assert_close(v, sample_, atol=5e-3, rtol=0)


def test_moments_converge_to_the_truth():
    """DDPM with 300 steps, where the stochastic solver has hardly a bias left."""
    tokens = sample(gaussian(), torch.zeros(600, dtype=torch.long), Sampler("DDPM", 300, 1.0), batch=600)
    z = (tokens - MEANS[0]) / DEVIATIONS[0]
    error = 4 / math.sqrt(z.numel())  # four standard errors of the mean of 9000 numbers
    assert abs(z.mean()) < error and abs(z.std() - 1) < error + 0.01


def test_without_a_class_the_mixture_comes_out():
    means = torch.stack([torch.full((1, 2), -2.0), torch.full((1, 2), 2.0), torch.full((1, 2), 6.0)])
    denoiser = analytic.MixtureDenoiser(means, 0.3)
    tokens = sample(denoiser, torch.full((600,), 3), Sampler("DPMSolverMultistep", 50), batch=600)
    nearest = (tokens.unsqueeze(1) - means).square().sum((2, 3)).argmin(1)
    shares = nearest.bincount(minlength=3) / 600
    assert (shares - 1 / 3).abs().max() < 0.08  # four standard errors
    assert (tokens - means[nearest]).abs().mean() < 0.35


@pytest.mark.parametrize("prediction", (*PREDICTIONS, "velocity"))
def test_guidance_is_that_of_the_scores(prediction):
    """Guided predictions belong to the score (1 - w) grad log p(x) + w grad log p(x | c), found by autograd."""
    denoiser = gaussian(prediction)
    noisy, labels, weight = torch.randn(4, TOKENS, DIM), torch.tensor([0, 1, 0, 1]), 2.5
    a, s = denoiser.level(torch.full((4,), 0.4 if prediction == "velocity" else 400.0))

    def score(label):
        x = noisy.clone().requires_grad_()
        variance = a.unsqueeze(1) ** 2 * DEVIATIONS**2 + s.unsqueeze(1) ** 2
        density = torch.distributions.Normal(a.unsqueeze(1) * MEANS, variance.sqrt())
        logs = density.log_prob(x.unsqueeze(1)).sum((2, 3))
        total = logs.logsumexp(1) if label is None else logs.gather(1, label[:, None])[:, 0]
        return torch.autograd.grad(total.sum(), x)[0]

    expected = (1 - weight) * score(None) + weight * score(labels)
    with torch.no_grad():
        tokens = guide(denoiser, noisy, 400, labels, weight)
    clean = {
        "sample": lambda: tokens,
        "epsilon": lambda: (noisy - s * tokens) / a,
        "v_prediction": lambda: a * noisy - s * tokens,
        "velocity": lambda: noisy - s * tokens,
    }[prediction]()
    torch.testing.assert_close((a * clean - noisy) / s**2, expected, atol=1e-4, rtol=1e-4)  # Tweedie


def test_guidance_of_a_half_space_mixture_moves_away_from_the_other_class():
    means = torch.stack([torch.full((1, 1), -1.0), torch.full((1, 1), 1.0)])
    denoiser = analytic.MixtureDenoiser(means, 1.0)
    labels = torch.ones(300, dtype=torch.long)
    plain, strong = (sample(denoiser, labels, Sampler("DDIM", 25, w), batch=300) for w in (1.0, 4.0))
    assert abs(plain.mean() - 1) < 0.2 and strong.mean() > plain.mean() + 0.5
    assert (strong > -1).float().mean() > (plain > -1).float().mean()


def test_guidance_costs_a_second_evaluation_only_where_it_says_something():
    noisy = torch.randn(3, TOKENS, DIM)
    for weight, labels, calls in ((1, [0, 1, 0], 3), (0, [0, 1, 0], 3), (2.5, [2, 2, 2], 3), (2.5, [0, 2, 1], 6)):
        denoiser = gaussian()
        guide(denoiser, noisy, 9, torch.tensor(labels), weight)
        assert denoiser.calls == [calls]
    both = guide(gaussian(), noisy, 9, torch.tensor([0, 2, 1]), 0.0)
    torch.testing.assert_close(both, gaussian()(noisy, torch.full((3,), 9.0), no_class(3)))


@pytest.mark.parametrize("name", ["DDIM", "DDPM", "SASolver", "EulerAncestral"])
def test_a_sample_is_a_function_of_seed_and_number(name):
    """Alone, in batches of two or all at once; the analytic denoiser has no matrix products, so up to 1e-5."""
    denoiser, labels = gaussian(), torch.tensor([0, 1, 2, 0, 1])
    sampler = Sampler(name, 10, 2.5)
    whole = sample(denoiser, labels, sampler, seed=5, batch=5)
    for batch in (1, 2, 3):
        torch.testing.assert_close(sample(denoiser, labels, sampler, seed=5, batch=batch), whole, atol=1e-5, rtol=0)
    alone = sample(denoiser, labels[3:4], sampler, seed=5, first=3)
    torch.testing.assert_close(alone, whole[3:4], atol=1e-5, rtol=0)
    assert (sample(denoiser, labels, sampler, seed=6) - whole).abs().mean() > 0.1
    if name in STOCHASTIC:  # its noise belongs to the sample too: another label, the same noise, another sample
        assert not torch.allclose(whole[0], whole[3])


def test_the_first_noise_is_the_same_to_the_bit():
    whole = noise((TOKENS, DIM), generators(7, range(6)))
    parts = [noise((TOKENS, DIM), generators(7, [i])) for i in range(6)]
    assert torch.equal(whole, torch.cat(parts)) and len({float(x[0, 0]) for x in whole}) == 6


def test_progress_counts_all_batches():
    calls = []
    sample(gaussian(), no_class(5), Sampler("Heun", 4), batch=2, progress=lambda *pair: calls.append(pair))
    counts = [count for count, _ in calls]
    assert calls[-1] == (35, 35) and counts == sorted(counts)  # 5 x (2 x 4 - 1)


@pytest.mark.parametrize(
    ("sampler", "prediction", "said"),
    [
        (Sampler("DIMM"), "sample", "did you mean DDIM"),
        (Sampler("DDIM"), "velocity", "give one of Euler, Heun"),
        (Sampler("KDPM2Discrete"), "sample", "none for a denoiser"),
        (Sampler(steps=0), "sample", "1 to 1000"),
        (Sampler(steps=2000), "velocity", "1 to 1000"),
        (Sampler(guidance=-1.0), "sample", "at least 0"),
        (Sampler(guidance=float("nan")), "sample", "at least 0"),
    ],
)
def test_samplers_that_do_not_fit_are_refused(sampler, prediction, said):
    with pytest.raises(UserError, match=said):
        sampler.resolved(prediction, 1000)


def test_names_of_diffusers_are_understood_and_the_recipe_is_the_papers():
    assert Sampler().resolved("sample", 1000) == Sampler("DDIM", 250, 2.5)
    assert Sampler().resolved("velocity", 1000) == Sampler("Euler", 50, 2.5)
    for alias in ("EulerDiscreteScheduler", "euler", "EulerDiscrete"):
        assert Sampler(alias).resolved("sample", 1000).scheduler == "Euler"
    assert Sampler("FlowMatchHeunDiscreteScheduler").resolved("velocity", 1000).scheduler == "Heun"


def test_labels_and_numbers_that_are_wrong_are_refused():
    with pytest.raises(UserError, match="0 to 2"):
        sample(gaussian(), torch.tensor([3]))
    broken = gaussian()
    with torch.no_grad():
        broken.means.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        sample(broken, no_class(1), Sampler(steps=2))
    assert sample(gaussian(), no_class(0)).shape == (0, TOKENS, DIM)
