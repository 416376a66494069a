"""Denoisers of lattices: shifts, crops, places that every shape has, and Gaussians drawn at shapes never trained on."""

from dataclasses import replace

import analytic
import latent_toys as toys
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tokenfield.errors import UserError
from tokenfield.generation.latents import LatentFolder, LatentsConfig
from tokenfield.generation.lattice_denoiser import LatticeDenoiserConfig, places_of
from tokenfield.generation.objective import DenoisingConfig
from tokenfield.generation.samples_to_fields import with_shape
from tokenfield.generation.sampling import sample
from tokenfield.generation.schedulers import Sampler
from tokenfield.models import pretrained
from tokenfield.training import train
from tokenfield.training.session import Session

CONFIG = LatticeDenoiserConfig(latent_dim=5, width=24, depth=2, heads=3, classes=4, lattice=(5, 5),
                               picture_size=(40, 40))  # fmt: skip


def denoiser(checkpointing=False, **changes):
    """One in which everything has an effect."""
    torch.manual_seed(0)
    model = replace(CONFIG, **changes).build()
    model.checkpointing = checkpointing
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return model.eval()


def answer(model, noisy):
    count = len(noisy)
    with torch.no_grad():
        return model(noisy, torch.full((count,), 300.0), torch.zeros(count, dtype=torch.long))


def test_a_shift_of_inner_tokens_shifts_the_answer():
    """Where neither border is nearer than depth x radius cells plus the margin, before and after."""
    model, whole = denoiser(), torch.randn(2, 13, 17, 5)
    inner = answer(model, whole)
    shifted = answer(model, whole.roll((3, -2), (1, 2)))
    far = model.reach + 1
    torch.testing.assert_close(
        shifted[:, far + 3 : 13 - far, far : 17 - far - 2], inner[:, far : 13 - far - 3, far + 2 : 17 - far],
        atol=1e-5, rtol=1e-4,
    )
    assert (shifted - inner).abs().amax() > 0.1


def test_the_inside_of_a_crop_is_answered_as_in_the_whole():
    model, whole = denoiser(margin=0), torch.randn(1, 11, 13, 5)
    crop, reach = answer(model, whole[:, 2:9, 1:8]), model.reach
    within = answer(model, whole)[:, 2 + reach : 9 - reach, 1 + reach : 8 - reach]
    torch.testing.assert_close(crop[:, reach:-reach, reach:-reach], within, atol=1e-5, rtol=1e-4)


@given(st.integers(0, 3), st.integers(0, 9), st.integers(0, 23))
def test_a_larger_lattice_has_no_place_that_training_had_not(margin, more, still_more):
    trained = 2 * margin + 1 + more
    small, large = (set(places_of(count, margin).tolist()) for count in (trained, trained + still_more))
    assert large == small and len(small) == 2 * margin + 1


def test_borders_matter_within_the_margin_alone():
    even = torch.zeros(1, 7, 11, 5)
    with_margin, without = answer(denoiser(margin=1), even), answer(denoiser(margin=0), even)
    torch.testing.assert_close(without, without[:, :1, :1].expand_as(without), atol=1e-5, rtol=0)
    assert (with_margin[0, 0, 0] - with_margin[0, 3, 5]).abs().max() > 1e-2  # a corner and the middle


def test_any_shape_is_another_denoiser_of_the_same_weights():
    model = denoiser()
    other = model.on((7, 3))
    assert (other.shape, other.config.picture_size) == ((7, 3, 5), (56, 24)) and model.shape == (5, 5, 5)
    assert other.embed.weight is model.embed.weight
    for aspect, shape in (("2:1", (5, 10)), ("9:16", (9, 5)), ("1:1", (5, 5)), ("1.5:1", (5, 8))):
        assert with_shape(model, aspect).shape[:2] == shape
    assert with_shape(model, "2x9").shape == (2, 9, 5) and with_shape(model, None) is model
    for aspect in ("2", "2:0", "a:b", "-1:2"):
        with pytest.raises(UserError, match="such as 2:1"):
            with_shape(model, aspect)
    with pytest.raises(UserError, match="at least 1 of each"):
        model.on((0, 3))
    with pytest.raises(UserError, match="without places"):
        with_shape(toys.RECIPE.model.build(), "2:1")
    with pytest.raises(UserError, match=r"model.radius 0"):
        replace(CONFIG, radius=0)


def test_recomputed_blocks_give_the_same_gradient_and_bfloat16_is_near():
    gradients, noisy = [], torch.randn(2, 3, 7, 5)
    arguments = noisy, torch.tensor([3.0, 900.0]), torch.tensor([0, 4])
    for checkpointing in (False, True):
        model = denoiser(checkpointing=checkpointing)
        model(*arguments).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, atol=1e-7, rtol=1e-5)
    exact = model(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        near = model(*arguments)
    assert (near.float() - exact).norm() < 0.1 * exact.norm()


def stationary(count, rows, columns, seed):
    """Means over 2 x 2 of white noise, times 2: variance 1, covariance 1/2 beside, 1/4 across, 0 two cells away."""
    white = torch.randn(count, rows + 1, columns + 1, generator=torch.Generator().manual_seed(seed))
    return (white[:, 1:, 1:] + white[:, :-1, 1:] + white[:, 1:, :-1] + white[:, :-1, :-1])[..., None] / 2


def covariances(x):
    """Variance, and covariance at the offsets (0, 1), (1, 0), (1, 1), (0, 2)."""
    pairs = ((x, x), (x[:, :, 1:], x[:, :, :-1]), (x[:, 1:], x[:, :-1]), (x[:, 1:, 1:], x[:, :-1, :-1]),
             (x[:, :, 2:], x[:, :, :-2]))
    return [(a * b).mean().item() for a, b in pairs]


WANTED = [1.0, 0.5, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("prediction", ["sample", "velocity"])
def test_the_sampler_draws_a_stationary_gaussian_at_any_shape(prediction):
    """By its exact denoiser at 3 x 7 cells."""
    cells = torch.cartesian_prod(torch.arange(3), torch.arange(7)).float()
    apart = (cells[:, None] - cells).abs()
    exact = analytic.CorrelatedDenoiser((1 - apart / 2).clamp(min=0).prod(-1), 21, prediction)
    exact.shape = (3, 7, 1)
    tokens = sample(exact, torch.ones(600, dtype=torch.long), Sampler(steps=40, guidance=1.0), batch=600)
    assert tokens.shape == (600, 3, 7, 1)
    assert covariances(tokens) == pytest.approx(WANTED, abs=0.1)


def test_a_stationary_gaussian_learned_on_4_x_4_cells_is_drawn_at_shapes_of_primes():
    """Covariances of 2 x 13 and 11 x 3 cells, after some seconds of training on 4 x 4: within 0.15 of the exact."""
    torch.manual_seed(0)
    sizes = {"latent_dim": 1, "width": 32, "depth": 2, "heads": 4, "classes": 0, "prediction": "velocity"}
    model = LatticeDenoiserConfig(**sizes, margin=0, lattice=(4, 4), picture_size=(32, 32)).build()
    objective, optimizer = DenoisingConfig().build(model), torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    for step in range(160):
        clean = stationary(24, 4, 4, step)
        generator = torch.Generator().manual_seed(10_000 + step)
        batch = {"clean": clean, "noise": torch.randn(clean.shape, generator=generator),
                 "time": torch.rand(24, generator=generator), "drop": torch.zeros(24),
                 "label": torch.zeros(24, dtype=torch.long)}
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / 160)
        loss, _ = objective(batch, generator)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    for lattice in ((2, 13), (11, 3)):
        labels, sampler = torch.zeros(300, dtype=torch.long), Sampler("Heun", 6, 1.0)
        tokens = sample(model.on(lattice), labels, sampler, batch=300)
        assert covariances(tokens) == pytest.approx(WANTED, abs=0.15), lattice


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """Lattices of 3 x 3 tokens of 5."""
    pictures = toys.write_pictures(tmp_path_factory.mktemp("pictures"))
    out = tmp_path_factory.mktemp("latents") / "anchored"
    toys.encode(pictures, out, model=toys.field_model(toys.ANCHORED), size=12)
    return out


def test_all_cells_share_the_statistics_of_a_channel(latents):
    source = LatentsConfig(lattice=True).open(latents, "train")
    whole = torch.stack([source.tokens(k) for k in range(len(source))])
    assert whole.shape == (14, 3, 3, 5)
    torch.testing.assert_close(whole.mean((0, 1, 2)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.std((0, 1, 2), correction=0), torch.ones(5), atol=1e-5, rtol=0)
    folder = LatentFolder(latents)
    torch.testing.assert_close(source.tokens(4) * source.deviation + source.mean, folder[4].view(3, 3, 5))


def test_parts_are_squares_of_their_entry_anywhere(latents):
    whole, parts = (LatentsConfig(lattice=True, part=part).open(latents, "train") for part in (0, 2))
    corners = set()
    for slot in range(60):
        one, other = whole.sample(0, 1, slot), parts.sample(0, 1, slot)
        places = [(y, x) for y in (0, 1) for x in (0, 1)
                  if torch.equal(one["clean"][y : y + 2, x : x + 2], other["clean"])]
        assert len(places) == 1 and one["time"] == other["time"] and one["label"] == other["label"]
        corners |= set(places)
    assert len(corners) == 4
    assert parts.origin()["lattice"] == (2, 2) and parts.origin()["picture_size"] == (8, 8)


RECIPE = replace(toys.RECIPE, model=replace(CONFIG, classes=2, lattice=()), data=LatentsConfig(lattice=True, part=2))


def test_a_run_on_lattices_is_resumed_exactly_and_takes_along_what_sampling_needs(latents, tmp_path):
    options = {"session": Session(device="cpu", quiet=True, workers=1)}
    whole = train(RECIPE, latents, tmp_path / "whole", **options)
    train(replace(RECIPE, steps=3), latents, tmp_path / "halves", **options)
    halves = train(RECIPE, latents, tmp_path / "halves", resume=True, **options)
    one, other = (load_file(out / "model.safetensors") for out in (whole, halves))
    assert all(torch.equal(one[name], other[name]) for name in one)
    model = pretrained.load_any(whole)
    assert (model.config.lattice, model.config.picture_size, model.mean.shape) == ((2, 2), (8, 8), (5,))
    assert torch.equal(model.mean, RECIPE.data.open(latents, "train").mean)


def test_sets_and_lattices_differ(latents, tmp_path):
    toys.encode(toys.write_pictures(tmp_path / "p"), tmp_path / "sets")
    with pytest.raises(UserError, match="tokens of toy have no places"):
        LatentsConfig(lattice=True).open(tmp_path / "sets", "train")
    with pytest.raises(UserError, match=r"data\.part is 4; give at most 3"):
        LatentsConfig(lattice=True, part=4).open(latents, "train")
    with pytest.raises(UserError, match="parts are cut from lattices"):
        LatentsConfig(part=2)
    with pytest.raises(UserError, match="takes lattices of tokens; set it to True"):
        DenoisingConfig().check(RECIPE.model.build(), LatentsConfig().open(latents, "train"), None, 0)
    sets = replace(toys.RECIPE.model, tokens=9, latent_dim=5).build()
    with pytest.raises(UserError, match="takes sets of tokens; set it to False"):
        DenoisingConfig().check(sets, LatentsConfig(lattice=True).open(latents, "train"), None, 0)
    DenoisingConfig().check(sets, LatentsConfig().open(latents, "train"), None, 0)  # anchored tokens as a set: allowed
    assert sets.config.lattice == (3, 3)
