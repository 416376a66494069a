"""The radiance field of ANR: from posed views of an object to colour and density in space (SPEC 3, 4).

It is the picture model with other ends, as those of IPC and TransINR (`tokenfield.views.models.radiance`) are of
theirs. Patches tell their place by their rays and have no learned positions, so there can be any number of views in any
order.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from tokenfield.models.anr import HyperConfig, HyperField
from tokenfield.views.models.radiance import VIEW_CHANNELS


@dataclass(frozen=True)
class AnrRadianceConfig(HyperConfig):
    """Sizes of a radiance field; the defaults are the paper's for ShapeNet cars."""

    patch: int = 8
    """Side of a patch in pixels."""
    padding: int = 0
    """Zeros around a view before it is cut into patches."""
    channels: int = 4
    """Numbers per point: red, green, blue, density."""
    num_latents: int = 128
    """R, tokens per object."""
    sigma: float = 512.0
    """Bandwidth of the positional encoding; of its `dim` features, two in 512 are zeros in space."""

    def build(self) -> "AnrRadiance":
        """The model with fresh weights."""
        return AnrRadiance(self)


class AnrRadiance(HyperField):
    """A field over points in world coordinates; `tokenfield.views.radiance_field` renders it."""

    name: ClassVar[str] = "anr-radiance"
    command = "views"
    takes = "views"

    def __init__(self, config: AnrRadianceConfig):
        super().__init__(config, in_dim=3, patch_channels=VIEW_CHANNELS, positions=False)

    def encode(self, images: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b r d"]:
        """V views in [0, 1] with their rays, as `with_rays` makes them -> R-tokens."""
        patches = self.cut(images.flatten(0, 1))  # (B V, N, 9 patch^2)
        return self.encoder(patches.unflatten(0, images.shape[:2]).flatten(1, 2))
