"""The loss of Eq. 1, and that decoding it in blocks changes nothing but memory."""

import pytest
import torch
from toys import LAINR

from tokenfield.models.anchored import AnchoredConfig
from tokenfield.training.objective import Reconstruction, ReconstructionConfig, reconstruction_loss
from tokenfield.training.sampling import draw

ANCHORED = AnchoredConfig(
    cell=4, latent_dim=5, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1, head_dim=8, harmonics=8
)


def build(config, seed=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return config.build()


def batch(count=3, height=13, width=13, seed=4):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def gradient(model, loss):
    """The gradient with respect to all parameters, as one vector."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def assert_same_gradient(gradients, expected, tolerance=2e-6):
    """Relative to the whole vector: single gradients (of key biases) are zero but for rounding.

    Sums in another order in float32; the largest error seen is 4e-7.
    """
    assert (gradients - expected).norm() <= tolerance * expected.norm()


def test_it_is_the_mean_over_instances_of_their_mean_squared_error():
    model, images = build(LAINR), batch()
    sampling = draw(ReconstructionConfig(jitter="none"), 13, 13, torch.Generator())
    loss, errors = reconstruction_loss(model, images, sampling)
    values = model.decode(model.encode(images), sampling.coords)  # (B, 169, 3)
    expected = (values - images.flatten(2).mT).square().mean((1, 2))  # Eq. 1 by hand
    torch.testing.assert_close(errors, expected)
    torch.testing.assert_close(loss, expected.mean())
    assert not errors.requires_grad


@pytest.mark.parametrize("config", [LAINR, ANCHORED], ids=["lainr", "anchored"])
@pytest.mark.parametrize("jitter", ["none", "axis", "pixel"])
def test_blocks_of_rows_give_the_plain_gradient(config, jitter):
    model = build(config)
    images = batch() if config is LAINR else batch(height=12, width=20)
    sampling = draw(ReconstructionConfig(jitter=jitter), *images.shape[-2:], torch.Generator().manual_seed(6))
    plain, plain_errors = reconstruction_loss(model, images, sampling)
    blocked, errors = reconstruction_loss(model, images, sampling, row_blocks=4)
    torch.testing.assert_close(errors, plain_errors)
    assert_same_gradient(gradient(model, blocked), gradient(model, plain))


def test_blocks_of_rows_take_part_in_a_larger_backward():
    model, images = build(LAINR), batch()
    sampling = draw(ReconstructionConfig(jitter="none"), 13, 13, torch.Generator())
    plain = gradient(model, 3 * reconstruction_loss(model, images, sampling)[0])
    blocked = gradient(model, 3 * reconstruction_loss(model, images, sampling, row_blocks=3)[0])
    assert_same_gradient(blocked, plain)


def test_blocks_under_bf16_autocast_agree_to_bf16():
    model, images = build(LAINR), batch()
    gradients = []
    for blocks in (1, 3):
        objective = Reconstruction(model, ReconstructionConfig(jitter="axis", row_blocks=blocks), bf16=True)
        loss, _ = objective(images, torch.Generator().manual_seed(1))
        assert loss.dtype == torch.float32
        gradients.append(gradient(model, loss))
    assert_same_gradient(gradients[1], gradients[0], tolerance=0.05)


def test_a_batch_is_the_mean_of_its_parts():
    model, images = build(LAINR), batch(4)
    objective = Reconstruction(model, ReconstructionConfig())

    def at(part):
        return objective(part, torch.Generator().manual_seed(9))[0]

    assert_same_gradient(gradient(model, (at(images[:2]) + at(images[2:])) / 2), gradient(model, at(images)))


def test_averaging_decibels_weighs_easy_pictures_like_hard_ones():
    model, images = build(LAINR), batch()
    objective = Reconstruction(model, ReconstructionConfig(average="decibels"))
    loss, errors = objective(images, torch.Generator().manual_seed(9))
    torch.testing.assert_close(loss, (errors + 1e-6).log().mean())


def test_zoom_encodes_the_area_average_and_asks_for_the_large_picture():
    model, images = build(ANCHORED), batch(height=24, width=24)
    objective = Reconstruction(model, ReconstructionConfig(jitter="none", zoom=2, zoom_weight=0.0))
    loss, errors = objective(images, torch.Generator().manual_seed(9))
    small = images.unflatten(2, (12, 2)).unflatten(4, (12, 2)).mean((3, 5))
    plain, _ = Reconstruction(model, ReconstructionConfig(jitter="none"))(small, torch.Generator())
    torch.testing.assert_close(loss, plain)
    heavier, _ = Reconstruction(model, ReconstructionConfig(jitter="none", zoom=2, zoom_weight=1.0))(
        images, torch.Generator().manual_seed(9)
    )
    assert heavier > loss
    assert errors.shape == (3,)
