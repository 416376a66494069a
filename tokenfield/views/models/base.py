"""What a system of posed views is: support views and rays in, colours of rays out.

A field of views is a function from rays to colours whatever its system. A light field answers a ray by one evaluation
at its Plucker coordinate; a radiance field answers points, and a ray's colour is their integral.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tokenfield.coords import Coordinates
from tokenfield.errors import UserError
from tokenfield.models.base import Model
from tokenfield.models.token_field import PatchField
from tokenfield.views.plugin import SYSTEMS
from tokenfield.views.radiance_field import PUBLISHED, Integral, field_of, render
from tokenfield.views.rays import LINES, WIDTHS, Line, Rays, focals_of, view_rays, with_lines, with_rays

VIEW_CHANNELS = 9
"""Channels of what is encoded: RGB and six numbers of the pixel's ray."""


class ViewsModel(PatchField):
    """A system that encodes support views of an object. Tokens are (B, R, D)."""

    command = "views"
    takes = "views"
    after_training = "views measure {out} --data {data}"
    default_recipe = None
    in_unit = slice(3)  # the colours, and not the rays
    kind: ClassVar[str]
    """What its fields are called."""
    views: int | None = None
    """V, the most support views that it encodes; None: any number."""
    fewer_views: bool = True
    """Whether fewer do as well. Not where every place in their order has positions of its own."""
    input_size: tuple[int, int]
    """Height and width of the views."""

    @property
    def view_channels(self) -> int:
        """Of what is encoded: RGB and the numbers of the pixel's ray."""
        return VIEW_CHANNELS

    def support_numbers(self, most: int) -> list[int]:
        """The numbers of support views that it takes, up to `most`."""
        if not self.fewer_views:
            return [self.views or most]
        return list(range(1, min(most, self.views or most) + 1))

    def check_support(self, number: int) -> None:
        """Raises UserError for a number of support views that it does not take."""
        most = self.views or max(number, 1)
        if not (1 if self.fewer_views else most) <= number <= most:  # bounds: a trace of any number keeps them
            numbers = self.support_numbers(99)
            words = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
            raise UserError(f"{number} support views, and this {self.name} takes {words}; give such a number")

    @property
    def coordinate_dim(self) -> int:
        return self.view_channels - 3

    def example(self, batch: int = 2) -> tuple[Tensor, dict[int, str]]:
        views = min(3, self.views or 3)
        free = {0: "batch", 1: "views"} if self.fewer_views and views > 1 else {0: "batch"}
        return torch.rand(batch, views, self.view_channels, *self.input_size), free

    def inputs(self, images: Float[Tensor, "b v 3 h w"], poses: Float[Tensor, "b v 4 4"],
               angle_x: Float[Tensor, " b"]) -> Float[Tensor, "b v c h w"]:
        """What `encode` takes: support views in [0, 1], and of every pixel's ray the coordinate."""
        raise NotImplementedError(f"{type(self).__name__}.inputs")

    def encode(self, images: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b r d"]:
        """V views with their rays, as `inputs` makes them -> tokens. Raises UserError for too many views or none."""
        self.check_support(images.shape[1])
        patches = self.cut(images.flatten(0, 1))  # (B V, N, C patch^2)
        tokens: Tensor = self.encoder(patches.unflatten(0, images.shape[:2]).flatten(1, 2))
        return tokens

    def colours(self, tokens: Float[Tensor, "b r d"], rays: Rays, integral: Integral,
                generator: Generator | None = None) -> Float[Tensor, "b n 3"]:
        """Colours of rays, N of one camera for each of B instances.

        Args:
            integral: how a radiance field is integrated; nothing to a light field.
            generator: draws the depths of a radiance field's points, as in training; None: fixed depths.
        """
        raise NotImplementedError(f"{type(self).__name__}.colours")

    def see(
        self, tokens: Float[Tensor, "b r d"], poses: Float[Tensor, "b 4 4"], angle_x: Float[Tensor, " b"],
        coords: Coordinates, size: tuple[int, int], *, integral: Integral = PUBLISHED,
        generator: Generator | None = None
    ) -> Float[Tensor, "b q 3"]:
        """Colours at coordinates of the pictures that B cameras take, one of each instance.

        For poses, angle_x, coords and size see `view_rays`; for integral and generator, `colours`.
        """
        origins, directions = view_rays(poses, angle_x, coords, *size)
        axes = -poses[..., :3, 2]  # cameras look along their -z
        exact = torch.promote_types(tokens.dtype, torch.float32)  # in bfloat16 a ray would miss its pixel
        rays = Rays(*(part.to(tokens.device, exact) for part in (origins, directions, axes)))
        return self.colours(tokens, rays, integral, generator)


class LightFieldModel(ViewsModel):
    """A function of rays: one evaluation at a ray's coordinate, (d, o x d) as published."""

    kind = "light field"
    line: Line = "plucker"
    """Which coordinate of rays (`tokenfield.views.rays`)."""

    @property
    def view_channels(self) -> int:
        return 3 + WIDTHS[self.line]

    def inputs(self, images: Tensor, poses: Tensor, angle_x: Tensor) -> Tensor:
        return with_lines(images, poses, angle_x, self.line)

    def colours(self, tokens: Tensor, rays: Rays, integral: Integral, generator: Generator | None = None) -> Tensor:
        return self.decode(tokens, LINES[self.line](rays.origins, rays.directions))


class RadianceModel(ViewsModel):
    """A function of points, which gives red, green, blue and density; a ray's colour is their integral along it."""

    kind = "radiance field"
    coordinate_dim = 3

    def inputs(self, images: Tensor, poses: Tensor, angle_x: Tensor) -> Tensor:
        focals = focals_of(angle_x, images.shape[-1])[:, None].expand(*poses.shape[:2], 2)
        return with_rays(images, poses[..., :3, :], focals)

    def colours(self, tokens: Tensor, rays: Rays, integral: Integral, generator: Generator | None = None) -> Tensor:
        along = (rays.directions * rays.axes.unsqueeze(-2)).sum(-1, keepdim=True)  # autocast leaves a product alone
        stretched = rays.directions / along  # depths are distances along the optical axis
        return render(field_of(self, tokens), rays.origins, stretched, integral, generator=generator)


def views_model(model: Model) -> ViewsModel:
    """The model, if it is one of views. Raises UserError for another."""
    if not isinstance(model, ViewsModel):
        raise UserError(f"the {model.name} model knows no views; models of views are {', '.join(SYSTEMS)}")
    return model
