"""A camera as the domain of a field: an object before a posed camera.

Coordinates are (y, x) in [-1, 1] over the camera's picture, so a field of views is rendered, cropped, stored and
analysed like a photograph, and `move_camera` shows the same object from elsewhere.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain, Progress
from tokenfield.fields.field import Field
from tokenfield.models.base import FieldModel
from tokenfield.views.models.base import views_model
from tokenfield.views.radiance_field import PUBLISHED, Integral

LARGEST = 1 << 16
"""Pixels of the longer side of a camera's picture: a size from a file is not believed beyond it."""
PIXELS = 1 << 16
"""Rays rendered at once."""


@dataclass(frozen=True)
class LightField(Domain):
    """An object before a camera."""

    kind: ClassVar[str] = "light-field"
    size: tuple[int, int]  # height and width of the camera's picture in pixels
    pose: tuple[float, ...]  # camera-to-world, 16 numbers row by row
    angle_x: float  # horizontal field of view, radians
    integral: Integral = PUBLISHED  # how a radiance field is rendered

    def __post_init__(self):
        sides = 1 <= min(self.size) <= max(self.size) <= LARGEST
        if len(self.pose) != 16 or not sides or not 0 < self.angle_x < torch.pi:
            raise UserError(
                f"a camera of {len(self.pose)} numbers, {self.size} pixels, angle {self.angle_x:g}; give a 4 x 4 pose, "
                f"from (1, 1) to {LARGEST} pixels a side and an angle between 0 and pi"
            )

    @classmethod
    def at(cls, pose: Float[Tensor, "4 4"], angle_x: float, size: tuple[int, int],
           integral: Integral = PUBLISHED) -> "LightField":
        """The camera at a pose."""
        return cls((size[0], size[1]), tuple(pose.double().flatten().tolist()), float(angle_x), integral)

    def on_grid(self, model: FieldModel, tokens: Tensor, grid: Grid,
                progress: Progress | None = None) -> Float[Tensor, "c h w"]:
        """Colours on a grid of the picture, some rows after the other."""
        bands = list(grid.split(PIXELS))
        colours = []
        for count, band in enumerate(bands, 1):
            colours.append(self._colours(model, tokens, band).T.unflatten(-1, band.shape))
            if progress:
                progress(count, len(bands))
        return torch.cat(colours, 1)

    def at_points(self, model: FieldModel, tokens: Tensor, points: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
        """Colours at points of the picture."""
        if not len(points):
            return torch.zeros(0, 3, dtype=tokens.dtype, device=tokens.device)
        return torch.cat([self._colours(model, tokens, part) for part in points.split(PIXELS)])

    def check(self, model: FieldModel, tokens: Tensor) -> None:
        views_model(model)
        if tokens.ndim != 2:
            raise UserError(f"tokens {tuple(tokens.shape)}; an object of views has (R, D)")

    def __str__(self) -> str:
        return f"seen from ({self.pose[3]:.2f}, {self.pose[7]:.2f}, {self.pose[11]:.2f})"

    def _colours(self, model: FieldModel, tokens: Tensor, at: Coordinates) -> Tensor:
        """(Q, 3); rays are computed in float64 on the tokens' device, where there is one."""
        exact = torch.float64 if tokens.device.type != "mps" else torch.float32
        pose = torch.tensor(self.pose, dtype=exact, device=tokens.device).view(1, 4, 4)
        angle = torch.tensor([self.angle_x], dtype=exact, device=tokens.device)
        coords = at.to(tokens.device, exact)
        return views_model(model).see(tokens[None], pose, angle, coords, self.size, integral=self.integral)[0]


def camera_of(field: Field) -> LightField:
    """The domain of a field of views. Raises UserError for a field of anything else."""
    if not isinstance(field.domain, LightField):
        raise UserError(f"a {field.domain.kind} of a picture, not an object of views; tokenfield decode renders it")
    return field.domain


def move_camera(field: Field, pose: Float[Tensor, "4 4"]) -> Field:
    """The same object from another pose."""
    return replace(field, domain=replace(camera_of(field), pose=tuple(pose.double().flatten().tolist())))


def render_from(field: Field, poses: Float[Tensor, "n 4 4"], size: tuple[int, int] | None = None) -> Tensor:
    """Views (N, 3, H, W) from poses, neither clamped nor rounded, at the object's own size or another."""
    height, width = size or field.native_size
    return torch.stack([move_camera(field, pose).render(height, width) for pose in poses])
