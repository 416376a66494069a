"""Light fields: what a posed camera sees of an object, for models that answer rays and for models that answer points.

A field of views is the same whatever its model: a function from rays to colours. `SIGHTS` says, for every system, how
support views become inputs of `encode` and how a ray gets its colour: by one evaluation at its Plucker coordinate (a
light field, SPEC 2.5), or by volume rendering of many points along it (a radiance field, SPEC 3).

`LightField` is the domain of such a field: a camera. Coordinates are (y, x) in [-1, 1] over the picture that it takes,
so a field of views is rendered, cropped, stored and analysed like a photograph, and `seen_from` moves the camera.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain, Progress
from tokenfield.views import radiance_field as radiance
from tokenfield.views.rays import focals_of, plucker, view_rays, with_rays

PIXELS = 1 << 16
"""Rays rendered at once."""


@dataclass(frozen=True)
class Integral:
    """How a radiance field is integrated along a ray; a light field has no use for it.

    Attributes:
        near, far: distances along the optical axis between which there is something, world units.
        points: evaluations per ray.
    """

    near: float = radiance.NEAR
    far: float = radiance.FAR
    points: int = radiance.POINTS


@dataclass(frozen=True)
class Sight:
    """How a kind of model sees.

    Attributes:
        name: what the kind is called.
        inputs: RGB views (B, V, 3, H, W), poses (B, V, 4, 4), angle_x (B,) -> what `model.encode` takes.
        colours: model, tokens, origins (B, N, 3), unit directions (B, N, 3), optical axes (B, 3), `Integral`, a
            generator for the jitter of training or None -> colours (B, N, 3).
    """

    name: str
    inputs: Callable[[Tensor, Tensor, Tensor], Tensor]
    colours: Callable[..., Tensor]


def with_plucker(
    images: Float[Tensor, "b v 3 h w"], poses: Float[Tensor, "b v 4 4"], angle_x: Float[Tensor, " b"]
) -> Float[Tensor, "b v 9 h w"]:
    """Views with the Plucker coordinate of every pixel's ray as six more channels (A.2)."""
    height, width = images.shape[-2:]
    angles = angle_x[:, None].expand(poses.shape[:2])
    rows = plucker(*view_rays(poses, angles, Grid.cells(height, width, device=poses.device), height, width))
    return torch.cat([images, rows.mT.unflatten(-1, (height, width)).to(images.dtype)], 2)


def with_points(
    images: Float[Tensor, "b v 3 h w"], poses: Float[Tensor, "b v 4 4"], angle_x: Float[Tensor, " b"]
) -> Float[Tensor, "b v 9 h w"]:
    """Views with the origin and the direction of every pixel's ray, as the published radiance fields take them."""
    focals = focals_of(angle_x, images.shape[-1])[:, None].expand(*poses.shape[:2], 2)
    return with_rays(images, poses[..., :3, :], focals)


def by_rays(
    model: Any,
    tokens: Tensor,
    origins: Float[Tensor, "b n 3"],
    directions: Float[Tensor, "b n 3"],
    axes: Float[Tensor, "b 3"],
    integral: Integral,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b n 3"]:
    """One evaluation per ray: y(d, o x d)."""
    return model.decode(tokens, plucker(origins, directions))


def by_points(
    model: Any,
    tokens: Tensor,
    origins: Float[Tensor, "b n 3"],
    directions: Float[Tensor, "b n 3"],
    axes: Float[Tensor, "b 3"],
    integral: Integral,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b n 3"]:
    """The integral along the ray; directions are stretched so that depths are distances along the optical axis."""
    along = (directions * axes.unsqueeze(-2)).sum(-1, keepdim=True)  # a product that autocast leaves alone
    stretched = directions / along
    return radiance.render(
        radiance.field_of(model, tokens),
        origins,
        stretched,
        near=integral.near,
        far=integral.far,
        points=integral.points,
        generator=generator,
    )


LIGHT_FIELD = Sight("light field", with_plucker, by_rays)
RADIANCE = Sight("radiance field", with_points, by_points)

SIGHTS: dict[str, Sight] = {
    "lainr-views": LIGHT_FIELD,
    "lainr-views-composed": LIGHT_FIELD,
    "ipc-radiance": RADIANCE,
    "trans-inr-radiance": RADIANCE,
    "anr-radiance": RADIANCE,
}
"""How the models of views see, by the systems' names."""


def sight_of(model: Any) -> Sight:
    """How a model sees. Raises UserError for one that has nothing to do with views."""
    if model.name not in SIGHTS:
        raise UserError(f"a {model.name} model knows no views; models of views are {', '.join(SIGHTS)}")
    return SIGHTS[model.name]


def optical_axes(poses: Float[Tensor, "*v 4 4"]) -> Float[Tensor, "*v 3"]:
    """Where cameras look: along their -z."""
    return -poses[..., :3, 2]


def see(
    model: Any,
    tokens: Tensor,
    poses: Float[Tensor, "b 4 4"],
    angle_x: Float[Tensor, " b"],
    coords: Coordinates,
    size: tuple[int, int],
    *,
    integral: Integral | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b q 3"]:
    """Colours at coordinates of the pictures that B cameras take, one of each instance.

    Args:
        model: of views.
        tokens: of B instances.
        poses, angle_x: of the cameras.
        coords: (y, x) in [-1, 1] over the picture: (Q, 2) or a `Grid` for all, (B, Q, 2) of every camera's own.
        size: (height, width) of the picture, whose ratio is the picture's shape.
        integral: for radiance fields; the published one by default.
        generator: see `signals.radiance.render`.
    """
    origins, directions = view_rays(poses, angle_x, coords, *size)
    exact = torch.promote_types(tokens.dtype, torch.float32)  # in bfloat16 a ray would miss its pixel
    rows = (part.to(tokens.device, exact) for part in (origins, directions, optical_axes(poses)))
    origins, directions, axes = rows
    sight = sight_of(model)
    return sight.colours(model, tokens, origins, directions, axes, integral or Integral(), generator)


@dataclass(frozen=True)
class LightField(Domain):
    """An object as a camera sees it.

    Args:
        size: (height, width) of the camera's picture in pixels.
        pose: camera-to-world, 16 numbers row by row.
        angle_x: horizontal field of view, radians.
        integral: how a radiance field is rendered.
    """

    kind: ClassVar[str] = "light-field"
    size: tuple[int, int]
    pose: tuple[float, ...]
    angle_x: float
    integral: Integral = Integral()

    def __post_init__(self):
        if len(self.pose) != 16 or min(self.size) < 1 or not 0 < self.angle_x < torch.pi:
            raise UserError(
                f"a camera of {len(self.pose)} numbers, {self.size} pixels, angle {self.angle_x:g}; give a 4 x 4 pose, "
                "at least (1, 1) pixels and an angle between 0 and pi"
            )

    @classmethod
    def at(
        cls, pose: Float[Tensor, "4 4"], angle_x: float, size: tuple[int, int], integral: Integral | None = None
    ) -> "LightField":
        """The camera at a pose."""
        numbers = tuple(pose.double().flatten().tolist())
        return cls((size[0], size[1]), numbers, float(angle_x), integral or Integral())

    def seen_from(self, pose: Float[Tensor, "4 4"]) -> "LightField":
        """The same camera elsewhere."""
        return replace(self, pose=tuple(pose.double().flatten().tolist()))

    def on_grid(
        self, model: Any, tokens: Tensor, grid: Grid, progress: Progress | None = None
    ) -> Float[Tensor, "c h w"]:
        """Colours on a grid of the picture, some rows after the other."""
        rows = max(1, PIXELS // max(1, grid.shape[1]))
        bands = list(grid.split(rows * grid.shape[1]))
        seen = []
        for done, band in enumerate(bands, 1):
            seen.append(self._colours(model, tokens, band).T.unflatten(-1, band.shape))
            if progress:
                progress(done, len(bands))
        return torch.cat(seen, 1)

    def at_points(self, model: Any, tokens: Tensor, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
        """Colours at points of the picture."""
        if not len(points):
            return torch.zeros(0, 3, dtype=tokens.dtype, device=tokens.device)
        return torch.cat([self._colours(model, tokens, part) for part in points.split(PIXELS)])

    def check(self, model: Any, tokens: Tensor) -> None:
        sight_of(model)
        if tokens.ndim != 2:
            raise UserError(f"tokens {tuple(tokens.shape)}; an object of views has (R, D)")

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}

    def __str__(self) -> str:
        return f"seen from ({self.pose[3]:.2f}, {self.pose[7]:.2f}, {self.pose[11]:.2f})"

    def _colours(self, model: Any, tokens: Tensor, at: Coordinates) -> Tensor:
        """(Q, 3); rays are computed in float64 on the tokens' device, where there is one."""
        exact = torch.float64 if tokens.device.type != "mps" else torch.float32
        pose = torch.tensor(self.pose, dtype=exact, device=tokens.device).view(1, 4, 4)
        angle = torch.tensor([self.angle_x], dtype=exact, device=tokens.device)
        coords = at.to(tokens.device, exact)
        return see(model, tokens[None], pose, angle, coords, self.size, integral=self.integral)[0]
