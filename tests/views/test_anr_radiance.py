"""ANR's radiance field: views are a set, and rendering teaches every weight."""

from dataclasses import replace

import pytest
import torch

from tokenfield.models import pretrained
from tokenfield.views.models.radiance import AnrRadianceConfig
from tokenfield.views.radiance_field import Integral, field_of, render
from tokenfield.views.rays import rays, with_rays

B, V, SIDE = 2, 3, 6

TOY = AnrRadianceConfig(
    size=(SIDE, SIDE),
    patch=3,
    num_latents=5,
    dim=13,  # 12 features and a zero
    encoder_dim=11,
    encoder_depth=1,
    decoder_depth=2,
    encoder_heads=3,
    encoder_head_dim=2,
    encoder_hidden=17,
    heads=2,
    head_dim=3,
    depth=2,
    sigma=8.0,
)


def make(config=TOY):
    torch.manual_seed(0)
    return config.build()


def views():
    """Cameras 4 units away on the z axis, shifted and looking along -z, at something dark."""
    generator = torch.Generator().manual_seed(1)
    poses = torch.eye(3, 4).repeat(B, V, 1, 1)
    poses[..., 3] = torch.randn(B, V, 3, generator=generator) * 0.3 + torch.tensor([0.0, 0.0, 4.0])
    return 0.3 * torch.rand(B, V, 3, SIDE, SIDE, generator=generator), poses, torch.full((B, V, 2), 7.0)


def test_the_papers_sizes():
    with torch.device("meta"):
        model = AnrRadianceConfig().build()
    assert model.encoder.position is None
    assert model.encoder.embed.in_features == 9 * 8 * 8
    assert model.decoder.aggregator.query.num_frequencies == 85  # 510 of 512 features
    assert model.decoder.aggregator.attention.cutoff / 128 == pytest.approx(0.003)


@torch.no_grad()
def test_views_are_a_set_of_any_size():
    model, colours = make().double(), with_rays(*views()).double()
    torch.testing.assert_close(model.encode(colours[:, [2, 0, 1]]), model.encode(colours))
    assert model.encode(colours[:, :1]).shape == model.encode(colours).shape == (B, 5, 13)


@pytest.mark.parametrize("sigmas", [(), (4.0, 2.0)])
def test_rendering_teaches_every_weight(sigmas, tmp_path):
    model, (images, poses, focals) = make(replace(TOY, sigmas=sigmas)), views()
    with torch.no_grad():  # a field that is empty everywhere has no gradient (ReLU): start it dense
        (model.decoder.head.out[-1] if sigmas else model.decoder.head.out).bias[3] += 1
    origins, directions = (part.flatten(1, -2) for part in rays(poses, focals, SIDE, SIDE))
    target, generator = images.movedim(2, -1).flatten(1, -2), torch.Generator().manual_seed(2)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(12):
        tokens = model.encode(with_rays(images, poses, focals))
        colours = render(field_of(model, tokens), origins, directions, Integral(points=7), generator=generator)
        loss = (colours - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    loaded = pretrained.load(pretrained.save(model, tmp_path / "model"))
    assert pretrained.model_hash(loaded) == pretrained.model_hash(model)
