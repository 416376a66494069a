"""Cameras and rays: where a pixel of a posed view looks.

Conventions (learnit ShapeNet, NeRF-synthetic; OpenGL): a pose is camera-to-world; its columns are the camera's right,
its up, the direction it looks *away* from, and its position. It looks along -z. Lengths are world units, z is up in
the world. A view spans `angle_x` radians horizontally, its pixels are square, and the optical axis meets its middle.

A light field is a function of rays, not of points, so a ray needs a name that does not depend on the point it is
written down from. Plucker coordinates (d, o x d) with unit d are one: o x d is the same for every o on the ray (*Light
Field Networks*, Sitzmann et al., 2021).

    poses = orbit(48)                                                          # (48, 4, 4) around the z axis
    rows = plucker(*view_rays(poses, angle_x, Grid.cells(64, 64), 64, 64))     # (48, 4096, 6)
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Coordinates, Grid

RADIUS = 4.0
"""Distance of the cameras from the origin, world units: between near 2 and far 6 of `views.radiance_field`."""
Line = Literal["plucker", "foot"]
"""Which coordinate of rays a light field is a function of."""
REACH = 2.0
"""How near to the origin rays are that `foot` tells apart by all its numbers, world units; objects are about 1.2."""


class Rays(NamedTuple):
    """Rays through the pictures of B cameras, N each."""

    origins: Float[Tensor, "b n 3"]  # world units
    directions: Float[Tensor, "b n 3"]  # of unit length
    axes: Float[Tensor, "b 3"]  # where the cameras look, of unit length


def rays(poses: Float[Tensor, "*v 3 4"], focals: Float[Tensor, "*v 2"], height: int,
         width: int) -> tuple[Float[Tensor, "*v h w 3"], Float[Tensor, "*v h w 3"]]:
    """Origins and directions of the rays through the centres of pixels, for focal lengths (x, y) in pixels.

    Directions reach the plane at distance 1 in front of the camera, so they are at least 1 long: a depth along them is
    a distance along the optical axis.
    """
    x = torch.arange(width, device=poses.device) + 0.5 - width / 2
    y = torch.arange(height, device=poses.device) + 0.5 - height / 2
    right = (x / focals[..., 0, None])[..., None, :].expand(*focals.shape[:-1], height, width)
    up = (-y / focals[..., 1, None])[..., :, None].expand_as(right)
    camera = torch.stack([right, up, -torch.ones_like(right)], -1)  # (*V, H, W, 3)
    axes = poses[..., None, None, :, :3]  # (*V, 1, 1, 3, 3)
    directions = (camera.unsqueeze(-2) * axes).sum(-1)
    return poses[..., None, None, :, 3].expand_as(directions), directions


def with_rays(images: Float[Tensor, "b v c h w"], poses: Float[Tensor, "b v 3 4"],
              focals: Float[Tensor, "b v 2"]) -> Float[Tensor, "b v d h w"]:
    """Views with the origin and the direction of every pixel's ray as six more channels."""
    both = torch.cat(rays(poses, focals, *images.shape[-2:]), -1)  # (B, V, H, W, 6)
    return torch.cat([images, both.movedim(-1, 2).to(images.dtype)], 2)


def focals_of(angle_x: Float[Tensor, "*v"], width: int) -> Float[Tensor, "*v 2"]:
    """Focal lengths (x, y) in pixels, of which `width` span the angle (radians, below pi); pixels are square."""
    return (0.5 * width / torch.tan(0.5 * angle_x)).unsqueeze(-1).expand(*angle_x.shape, 2)


def view_rays(poses: Float[Tensor, "*v 4 4"], angle_x: Float[Tensor, "*v"], coords: Coordinates, height: int,
              width: int) -> tuple[Float[Tensor, "*v q 3"], Float[Tensor, "*v q 3"]]:
    """Origins and unit directions of the rays through any points of posed views.

    Args:
        poses: camera-to-world.
        angle_x: horizontal fields of view in radians, one per pose.
        coords: (y, x) in [-1, 1] over the picture, y downwards: points (Q, 2) that all views share, (*V, Q, 2) of
            their own, or a grid of Q points. `Grid.cells(height, width)` are the centres of the pixels.
        height, width: of the picture; only their ratio matters.
    """
    at = coords.coords() if isinstance(coords, Grid) else coords
    half = torch.tan(0.5 * angle_x)[..., None]  # half the picture's width at distance 1
    right, up = half * at[..., 1], -half * (height / width) * at[..., 0]  # (*V, Q)
    axes = poses[..., None, :3, :3]  # (*V, 1, 3, 3); sums, for autocast would round a matrix product to bfloat16
    directions = right[..., None] * axes[..., 0] + up[..., None] * axes[..., 1] - axes[..., 2]  # (*V, Q, 3)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    return poses[..., None, :3, 3].expand_as(directions), directions


def plucker(origins: Float[Tensor, "*q 3"], directions: Float[Tensor, "*q 3"]) -> Float[Tensor, "*q 6"]:
    """Plucker coordinates (d, o x d) of rays, with d scaled to unit length and o any point of the ray.

    The length of the moment o x d is the ray's distance from the world's origin.
    """
    unit = directions / directions.norm(dim=-1, keepdim=True)
    return torch.cat([unit, torch.linalg.cross(origins, unit)], -1)


def foot(origins: Float[Tensor, "*q 3"], directions: Float[Tensor, "*q 3"]) -> Float[Tensor, "*q 7"]:
    """Rays by a quarter of the unit direction d, and the point f = o - (o . d) d that is nearest to the origin.

    f = d x (o x d), so six of these numbers are the Plucker coordinate with its moment turned a quarter about d. Rays
    of different cameras that meet the same part of an object near its axis have nearly the same f, and quite different
    moments. The seventh, sqrt(REACH^2 - |f|^2), makes all rays equally long: products then tell how near two are.
    """
    unit = directions / directions.norm(dim=-1, keepdim=True)
    near = origins - (origins * unit).sum(-1, keepdim=True) * unit
    height = (REACH**2 - near.square().sum(-1, keepdim=True)).clamp(min=0).sqrt()
    return torch.cat([unit / 4, near, height], -1)


LINES = {"plucker": plucker, "foot": foot}
"""Coordinates of lines."""
WIDTHS = {"plucker": 6, "foot": 7}
"""How many numbers they are."""


def with_lines(images: Float[Tensor, "b v 3 h w"], poses: Float[Tensor, "b v 4 4"], angle_x: Float[Tensor, " b"],
               kind: Line = "plucker") -> Float[Tensor, "b v c h w"]:
    """Views with the coordinate of every pixel's ray as more channels (LAINR, A.2: Plucker)."""
    height, width = images.shape[-2:]
    angles = angle_x[:, None].expand(poses.shape[:2])
    rows = LINES[kind](*view_rays(poses, angles, Grid.cells(height, width, device=poses.device), height, width))
    return torch.cat([images, rows.mT.unflatten(-1, (height, width)).to(images.dtype)], 2)


def on_sphere(azimuth: Float[Tensor, "*n"], elevation: Float[Tensor, "*n"],
              radius: float = RADIUS) -> Float[Tensor, "*n 3"]:
    """Points on a sphere around the origin: azimuth in radians from x towards y, elevation above the plane z = 0."""
    level = elevation.cos()
    return radius * torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()], -1)


def look_at(position: Float[Tensor, "*n 3"],
            target: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Float[Tensor, "*n 4 4"]:
    """Poses of upright cameras that look from `position` at `target`: z stays vertical in their pictures.

    Straight from above or below no direction is upright; there the picture's up is the world's y.
    """
    back = position - position.new_tensor(target)
    back = back / back.norm(dim=-1, keepdim=True)  # a camera looks along -z, so its z points back
    vertical = back[..., 2:].abs() > 1 - 1e-7
    up = torch.where(vertical, back.new_tensor([0.0, 1.0, 0.0]), back.new_tensor([0.0, 0.0, 1.0]))
    right = torch.linalg.cross(up, back)
    right = right / right.norm(dim=-1, keepdim=True)
    columns = torch.stack([right, torch.linalg.cross(back, right), back, position], -1)  # (*N, 3, 4)
    last = position.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*position.shape[:-1], 1, 4)
    return torch.cat([columns, last], -2)


def orbit(frames: int, *, elevation: float = math.radians(25), radius: float = RADIUS,
          start: float = 0.0) -> Float[Tensor, "n 4 4"]:
    """Poses evenly around the z axis, closing the circle: the frame after the last would be the first.

    `elevation` above the object's middle and `start`, the azimuth of the first frame, are in radians.
    """
    azimuth = start + 2 * math.pi * torch.arange(frames) / frames
    return look_at(on_sphere(azimuth, torch.full_like(azimuth, elevation), radius))
