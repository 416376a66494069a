"""The local start in the space of rays: before training a token serves the rays near its own."""

from dataclasses import replace

import pytest
import torch

from tokenfield.models.lainr import LainrConfig
from tokenfield.nn.places import means_of
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.rays import look_at, on_sphere

SIZES = LainrConfig(size=(16, 16), patch=4, padding=0, num_latents=24, latent_dim=64, encoder_dim=120, encoder_depth=1,
                    encoder_heads=2, dim=288, feature_dim=288, sigmas=(8.0, 4.0), sigma_q=4.0, heads=1,
                    start="local")  # fmt: skip
CONFIG = LainrViewsConfig(lainr=SIZES, views=3)


def samples(count: int = 6):
    """Sets of three views from anywhere on a sphere around the object."""
    draw = torch.Generator().manual_seed(3)
    azimuth, elevation = 6.28 * torch.rand(count, 3, generator=draw), torch.rand(count, 3, generator=draw)
    poses = look_at(on_sphere(azimuth, elevation, 1.3))
    return {"support": torch.rand(count, 3, 3, 16, 16, generator=draw), "support_poses": poses,
            "angle_x": torch.full((count,), 0.6)}  # fmt: skip


@torch.no_grad()
def share(model) -> float:
    """R times the mean share of rays that holds 90 % of what a token's absence changes."""
    batch = samples()
    images = model.inputs(batch["support"], batch["support_poses"], batch["angle_x"])
    rays = images[:, :, 3:].movedim(2, -1).flatten(0, 3)[::3]
    tokens = model.encode(images[:1])
    whole, shares = model.decode(tokens, rays), []
    for k in range(tokens.shape[1]):
        without = tokens.clone()
        without[:, k] = 0
        change = (model.decode(without, rays) - whole).abs().mean(-1)[0].sort(descending=True).values.cumsum(0)
        shares.append(float((change < 0.9 * change[-1]).float().mean()))
    return tokens.shape[1] * sum(shares) / len(shares)


@pytest.mark.parametrize("line", ["plucker", "foot"])
def test_a_token_serves_rays_near_its_own(line):
    torch.manual_seed(0)
    model = replace(CONFIG, line=line).build()
    before = share(model)
    model.initialize(samples())
    assert share(model) < 4 < before


@torch.no_grad()
def test_it_looks_at_the_patches_that_see_along_its_ray():
    """The token's attention in the first block: patches whose rays are near get most of it."""
    torch.manual_seed(0)
    model = CONFIG.build()
    model.initialize(samples())
    batch = samples()
    patches = model.cut(model.inputs(batch["support"], batch["support_poses"], batch["angle_x"]).flatten(0, 1))
    patches = patches.unflatten(0, (6, 3)).flatten(1, 2)
    encoder, block = model.encoder, model.encoder.transformer.blocks[0]
    tokens = block.norm1(encoder.tokens(patches))
    number = patches.shape[1]
    keys, _ = block.attention.keys_values(tokens[:, :number])
    weights = (block.attention.queries(tokens[:, number:]) @ keys.mT / keys.shape[-1] ** 0.5).softmax(-1).mean(1)
    rays = patches.unflatten(-1, (9, -1)).mean(-1)[..., 3:]
    anchors = means_of(rays.flatten(0, 1), 24).places
    distance = torch.cdist(anchors.expand(6, -1, -1), rays)
    looked_at = (weights * distance).sum(-1).mean()
    assert looked_at < 0.7 * distance.mean()  # even attention: 1; the clusters, and so this, differ by processor


def test_names_and_shapes_are_those_of_the_published_start():
    torch.manual_seed(0)
    model, other = CONFIG.build(), replace(CONFIG, lainr=replace(SIZES, start="published")).build()
    model.initialize(samples())
    other.load_state_dict(model.state_dict(), strict=True)
    assert not other.initial_pictures
