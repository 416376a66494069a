"""Rays and volume rendering by mathematics: projection round trips, media with known transmittance, no leaks."""

import math

import pytest
import torch

from tokenfield.views.models.radiance import IpcRadianceConfig, TransInrRadianceConfig
from tokenfield.views.radiance_field import Integral, composite, depths, field_of, render
from tokenfield.views.rays import rays, with_rays

HEIGHT, WIDTH, FOCAL = 5, 7, (11.0, 13.0)


def random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def pose():
    turn = torch.linalg.qr(random(3, 3) - 0.5).Q
    turn = turn * turn.det().sign()
    return torch.cat([turn, random(3, 1)], 1)


def test_points_on_rays_project_to_their_pixels():
    camera, focal = pose(), torch.tensor(FOCAL, dtype=torch.float64)
    origins, directions = rays(camera, focal, HEIGHT, WIDTH)
    points = origins + 3.0 * directions
    places = (points - camera[:, 3]) @ camera[:, :3]  # into camera axes: x right, y up, looking along -z
    torch.testing.assert_close(places[..., 2], torch.full((HEIGHT, WIDTH), -3.0, dtype=torch.float64))
    x = WIDTH / 2 + focal[0] * places[..., 0] / -places[..., 2]
    y = HEIGHT / 2 - focal[1] * places[..., 1] / -places[..., 2]
    centres = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    torch.testing.assert_close(torch.stack([y, x]), torch.stack(centres).double())


def test_the_camera_looks_along_minus_z_with_y_up():
    camera = torch.eye(3, 4)
    _, directions = rays(camera, torch.tensor([10.0, 10.0]), 5, 5)
    torch.testing.assert_close(directions[2, 2], torch.tensor([0.0, 0.0, -1.0]))
    assert directions[0, 2, 1] > 0 and directions[2, 4, 0] > 0  # up is the first row, right the last column


def test_views_carry_their_rays():
    images, poses, focals = (
        random(2, 3, 3, HEIGHT, WIDTH),
        torch.stack([pose()] * 6).view(2, 3, 3, 4),
        random(2, 3, 2) + 5,
    )
    views = with_rays(images, poses, focals)
    origins, directions = rays(poses, focals, HEIGHT, WIDTH)
    assert views.shape == (2, 3, 9, HEIGHT, WIDTH)
    assert torch.equal(views[:, :, :3], images)
    assert torch.equal(views[1, 2, 3:6, 4, 1], origins[1, 2, 4, 1])
    assert torch.equal(views[1, 2, 6:, 4, 1], directions[1, 2, 4, 1])


def raw(colour, density):
    """Four numbers per point: the colour before its sigmoid."""
    return torch.cat([torch.logit(colour), density.unsqueeze(-1)], -1)


def test_empty_space_is_white_and_walls_have_their_colour():
    z, colour = depths(Integral(points=9), 1)[0].double(), 0.1 + 0.8 * random(9, 3)
    torch.testing.assert_close(composite(raw(colour, torch.full((9,), -3.0).double()), z), torch.ones(3).double())
    density = torch.zeros(9).double()
    density[4] = 1e9
    torch.testing.assert_close(composite(raw(colour, density), z), colour[4], rtol=0, atol=1e-8)
    density[2] = math.log(2) / 0.5  # half of the light stops at depth index 2: intervals are 0.5
    torch.testing.assert_close(composite(raw(colour, density), z), (colour[2] + colour[4]) / 2, rtol=0, atol=1e-8)


@pytest.mark.parametrize("points", [17, 257])
def test_fog_lets_through_what_beer_and_lambert_say(points):
    z, density = depths(Integral(points=points), 1)[0].double(), 0.4
    colour = torch.full((points, 3), 0.25).double()
    values = composite(raw(colour, torch.full((points,), density).double()), z)
    transmittance = math.exp(-density * (4 + 1e-3))  # from 2 to 6, and the length of the last point
    expected = torch.full((3,), 0.25 * (1 - transmittance) + transmittance).double()
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-8)


def test_jittered_depths_stay_in_their_intervals():
    z = depths(Integral(2.0, 6.0, 5), 11, torch.Generator().manual_seed(0))
    assert z.shape == (11, 5) and (z.diff(dim=1) > 0).any() and len(z.unique()) == 55
    low = torch.linspace(2, 6, 5)
    assert (z >= low).all() and (z < low + 1).all()
    again = depths(Integral(2.0, 6.0, 5), 11, torch.Generator().manual_seed(0))
    assert torch.equal(z, again)


SIZES = {"size": (6, 10), "patch": 2, "encoder_dim": 12, "encoder_depth": 1, "encoder_heads": 3, "dim": 8, "views": 2}
CONFIGS = {
    "ipc": IpcRadianceConfig(**SIZES, feature_dim=18, sigma=8.0, depth=4, num_latents=5),
    "trans-inr": TransInrRadianceConfig(**SIZES, feature_dim=18, sigma=8.0, depth=4, groups=4),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_radiance_fields_learn_from_rays(name):
    torch.manual_seed(0)
    model = CONFIGS[name].build()
    with torch.no_grad():
        model.net.layers[-1].bias[3] = 0.5  # where the density starts below 0 no ray sees anything to change
    images, poses = torch.rand(2, 2, 3, 6, 10), torch.stack([pose().float() for _ in range(4)]).view(2, 2, 3, 4)
    focals = torch.full((2, 2, 2), 9.0)
    views = with_rays(images, poses, focals)
    origins, directions = (part.flatten(1, -2) for part in rays(poses, focals, 6, 10))
    target = images.movedim(2, -1).flatten(1, -2)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=3e-3), []
    for step in range(15):
        generator = torch.Generator().manual_seed(step)
        field = field_of(model, model.encode(views))
        loss = (render(field, origins, directions, Integral(points=7), generator=generator) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_rendering_in_chunks_equals_rendering_at_once(name):
    torch.manual_seed(0)
    model = CONFIGS[name].build().double()
    tokens = model.encode(random(2, 2, 9, 6, 10))
    origins, directions = random(2, 13, 3), random(2, 13, 3)
    integral = Integral(points=5)
    whole = render(field_of(model, tokens), origins, directions, integral)
    parts = render(field_of(model, tokens), origins, directions, integral, chunk=11)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    jittered = [
        render(field_of(model, tokens), origins, directions, integral, chunk=c,
               generator=torch.Generator().manual_seed(1))
        for c in (11, 1000)
    ]
    torch.testing.assert_close(*jittered, rtol=0, atol=1e-12)
    points = random(2, 17, 3)
    order = torch.randperm(17)
    torch.testing.assert_close(
        model.decode(tokens, points[:, order], 4), model.decode(tokens, points)[:, order], rtol=0, atol=1e-12
    )
