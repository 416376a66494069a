"""The camera's domain: pictures of known objects, zooms that are crops, files that come back."""

import math

import pytest
import torch
from lookup import Lookup, LookupConfig

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.fields.domains import domain_from_dict
from tokenfield.fields.field import Field
from tokenfield.models.lainr import LainrConfig
from tokenfield.views import radiance_field as radiance
from tokenfield.views.light_field import LightField, move_camera
from tokenfield.views.models.base import LightFieldModel, RadianceModel
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.models.radiance import IpcRadianceConfig
from tokenfield.views.radiance_field import Integral
from tokenfield.views.rays import focals_of, look_at, orbit, rays

ANGLE, SIZE = 0.7, (10, 14)
TOY = LainrConfig(
    size=(8, 8), patch=4, padding=0, num_latents=5, latent_dim=7, encoder_dim=12, encoder_depth=1, encoder_heads=3,
    dim=8, feature_dim=24, sigma_q=2.0, sigmas=(4.0,), heads=2,
)  # fmt: skip
RADIANCE = IpcRadianceConfig(
    size=(8, 8), patch=4, encoder_dim=12, encoder_depth=1, encoder_heads=3, dim=8, feature_dim=18, sigma=8.0, depth=4,
    num_latents=5, views=2,
)  # fmt: skip


class Directions(LightFieldModel):
    """A light field that is its ray: the colour is the direction."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def decode(self, tokens, coords, chunk=None):
        return coords[..., :3].expand(len(tokens), -1, -1)


class Ball(RadianceModel):
    """A radiance field: an opaque ball of one colour around the origin."""

    def __init__(self, radius):
        torch.nn.Module.__init__(self)
        self.radius = radius

    def prepare(self, tokens):
        return tokens

    def locate(self, points, lattice=()):
        return points

    def combine(self, points, tokens):
        inside = (points.norm(dim=-1, keepdim=True) < self.radius).to(points)
        return torch.cat([torch.full_like(points, -20.0), 1e4 * inside], -1)  # black: sigmoid(-20)


def camera(size=SIZE):
    return LightField.at(look_at(torch.tensor([1.0, -3.0, 2.0])), ANGLE, size)


def make(config=None):
    torch.manual_seed(0)
    return (config or LainrViewsConfig(TOY, 3)).build().double().eval()


def test_the_middle_of_the_picture_looks_along_the_optical_axis():
    domain, tokens = camera(), torch.zeros(5, 7, dtype=torch.float64)
    middle = domain.at_points(Directions(), tokens, torch.zeros(1, 2))[0]
    torch.testing.assert_close(middle, -torch.tensor([1.0, -3.0, 2.0]).double() / math.sqrt(14), atol=1e-7, rtol=0)


def test_a_grid_gives_what_its_points_give_and_every_pixel_its_ray():
    domain, tokens = camera(), torch.zeros(5, 7, dtype=torch.float64)
    grid = Grid.cells(*SIZE)
    picture = domain.on_grid(Directions(), tokens, grid)
    assert picture.shape == (3, *SIZE)
    points = domain.at_points(Directions(), tokens, grid.coords())
    torch.testing.assert_close(points.T.unflatten(-1, SIZE), picture)
    pose = torch.tensor(domain.pose).view(4, 4)[:3]
    _, directions = rays(pose, focals_of(torch.tensor(ANGLE), SIZE[1]), *SIZE)
    unit = directions / directions.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(picture.movedim(0, -1).float(), unit, atol=1e-6, rtol=0)
    assert domain.at_points(Directions(), tokens, torch.zeros(0, 2)).shape == (0, 3)


@pytest.mark.parametrize("side", [31, 32])
def test_a_ball_has_the_size_that_geometry_gives_it(side):
    """Its silhouette is where the angle to the axis is below asin(radius / distance)."""
    radius, distance = 0.8, 4.0
    pose = look_at(torch.tensor([0.0, -distance, 0.0]))
    domain = LightField.at(pose, ANGLE, (side, side), Integral(points=257))
    picture = domain.on_grid(Ball(radius), torch.zeros(1, 1, dtype=torch.float64), Grid.cells(side, side))
    axis = (Grid.cells(side, side).coords() * math.tan(ANGLE / 2)).norm(dim=-1).view(side, side)
    edge = math.tan(math.asin(radius / distance))
    clear = (axis - edge).abs() > 0.01  # rays that graze the ball may fall between two points
    expected = (axis > edge).float()
    torch.testing.assert_close(picture[0].float()[clear], expected[clear], atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [None, RADIANCE], ids=["light field", "radiance"])
@torch.no_grad()
def test_a_camera_sees_what_the_rays_of_its_pixels_see(config):
    """Also for radiance fields, whose published rays are not of unit length."""
    model = make(config)
    poses = orbit(2).double()[None]
    images = torch.rand(1, 2, 3, 8, 8, dtype=torch.float64)
    angle = torch.tensor([ANGLE], dtype=torch.float64)
    tokens = model.encode(model.inputs(images, poses, angle))
    integral = Integral(points=9)
    colours = model.see(tokens, poses[:, 0], angle, Grid.cells(8, 8), (8, 8), integral=integral)
    torch.testing.assert_close(
        LightField.at(poses[0, 0], ANGLE, (8, 8), integral).on_grid(model, tokens[0], Grid.cells(8, 8)).flatten(1).T,
        colours[0],
    )
    if config is not None:
        origins, directions = (part.flatten(1, 2) for part in rays(poses[:, 0, :3], focals_of(angle, 8), 8, 8))
        field = radiance.field_of(model, tokens)
        torch.testing.assert_close(radiance.render(field, origins, directions, integral), colours, rtol=0, atol=1e-6)


def test_published_inputs_are_rays_that_end_at_depth_one():
    poses, angle = orbit(2)[None], torch.tensor([ANGLE])
    inputs = Ball(1.0).inputs(torch.zeros(1, 2, 3, 4, 4), poses, angle)
    depth = (inputs[0, :, 6:].movedim(1, -1) * -poses[0, :, None, None, :3, 2]).sum(-1)
    torch.testing.assert_close(depth, torch.ones(2, 4, 4))


@torch.no_grad()
def test_a_field_of_views_is_a_field(tmp_path):
    model = make().float()
    images, poses = torch.rand(1, 3, 3, 8, 8), orbit(3)[None]
    tokens = model.encode(model.inputs(images, poses, torch.tensor([ANGLE])))[0]
    field = Field(model, tokens, LightField.at(poses[0, 0], ANGLE, (8, 8)))
    picture = field.render(16, 16)
    torch.testing.assert_close(field.crop((-1.0, 0.0, 0.5, 1.0), (12, 8)), picture[:, :12, 8:])
    field.save(tmp_path / "chair.field")
    again = Field.load(tmp_path / "chair.field", model)
    assert again.domain == field.domain
    torch.testing.assert_close(again.render(16, 16), picture)
    assert not torch.equal(move_camera(field, poses[0, 1]).render(16, 16), picture)
    assert "seen from" in repr(field)


def test_what_is_no_camera_and_no_model_of_views_is_refused():
    with pytest.raises(UserError, match="give a 4 x 4 pose"):
        domain_from_dict({"kind": "light-field", "size": [3, 3], "pose": [1.0] * 15, "angle_x": 0.5})
    with pytest.raises(UserError, match="knows no views"):
        camera().check(Lookup(LookupConfig()), torch.zeros(3, 3))
    with pytest.raises(UserError, match=r"has \(R, D\)"):
        camera().check(Directions(), torch.zeros(1, 3, 3))
