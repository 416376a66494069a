"""Volume rendering: the colour of a ray through a radiance field.

A radiance field gives a colour and a density at every point in space; the colour of a ray is their integral along it
(*NeRF*, Mildenhall et al., 2020). Cameras and rays are those of `tokenfield.views.rays`; the background is white.

    origins, directions = rays(poses, focals, 128, 128)
    colours = render(field_of(model, tokens), origins.flatten(1, -2), directions.flatten(1, -2))
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.models.base import FieldModel

LAST = 1e-3
"""Length given to the last point of a ray, after which nothing follows."""

Field = Callable[[Tensor], Tensor]
"""Points (B, Q, 3) -> (B, Q, 4): red, green, blue before the sigmoid, density before the ReLU."""


@dataclass(frozen=True)
class Integral:
    """How a radiance field is integrated along a ray; a light field has no use for it.

    Defaults are the published ones (docs/papers.md, "Released code").
    """

    near: float = 2.0
    """Distance along the optical axis where rays begin, world units."""
    far: float = 6.0
    """Where they end."""
    points: int = 128
    """Evaluations per ray."""


PUBLISHED = Integral()


def depths(integral: Integral, rays: int, generator: torch.Generator | None = None) -> Float[Tensor, "n p"]:
    """Depths of the points along so many rays, from near to far.

    The generator moves every depth of every ray on by up to one interval, as in training.
    """
    near, far, points = integral.near, integral.far, integral.points
    z = torch.linspace(near, far, points).expand(rays, -1)
    if generator is not None:
        z = z + torch.rand(rays, points, generator=generator) * ((far - near) / max(points - 1, 1))
    return z


def composite(raw: Float[Tensor, "*n p 4"], z: Float[Tensor, "*m p"]) -> Float[Tensor, "*n 3"]:
    """Colours of rays before white, in [0, 1]: sum_i T_i (1 - exp(-d_i length_i)) c_i + what is left of the light.

    `raw` is what a `Field` gives at every point, `z` the depths, ascending.
    """
    colour, density = raw[..., :3].sigmoid(), raw[..., 3].relu()
    length = torch.cat([z.diff(dim=-1), torch.full_like(z[..., :1], LAST)], -1)
    alpha = 1 - torch.exp(-density * length)
    through = (1 - alpha + 1e-10).clamp(max=1)
    # T_i, the product of what comes before, by logarithms: ONNX has cumulative sums alone.
    before = torch.cat([torch.zeros_like(through[..., :1]), through[..., :-1].log()], -1).cumsum(-1).exp()
    weight = alpha * before  # (*N, P)
    return (weight.unsqueeze(-1) * colour).sum(-2) + (1 - weight.sum(-1, keepdim=True))


def field_of(model: FieldModel, tokens: Tensor) -> Field:
    """The field of some tokens, with what depends on them alone computed once."""
    prepared = model.prepare(tokens)
    return lambda points: model.combine(model.locate(points), prepared)


def render(
    field: Field, origins: Float[Tensor, "b n 3"], directions: Float[Tensor, "b n 3"], integral: Integral = PUBLISHED,
    *, generator: torch.Generator | None = None, chunk: int = 1 << 15
) -> Float[Tensor, "b n 3"]:
    """Colours of rays, N per instance; at most `chunk` points of one at once. For the generator see `depths`."""
    z, rays = depths(integral, origins.shape[1], generator).to(origins), max(1, chunk // integral.points)
    colours = []
    for o, d, t in zip(*(part.split(rays, -2) for part in (origins, directions, z)), strict=True):
        at = o.unsqueeze(-2) + d.unsqueeze(-2) * t.unsqueeze(-1)  # (B, n, P, 3)
        raw = field(at.flatten(1, 2)).unflatten(1, at.shape[1:3])
        colours.append(composite(raw, t))
    return torch.cat(colours, 1)
