"""The radiance field of ANR: from posed views of an object to colour and density in space.

Patches tell their place by their rays and have no learned positions, so there can be any number of views in any order.
"""

from dataclasses import dataclass

from tokenfield.models.anr import HyperConfig, HyperField
from tokenfield.views.models.base import VIEW_CHANNELS, RadianceModel


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


class AnrRadiance(RadianceModel, HyperField):
    """A field over points in world coordinates. Tokens are (B, R, dim), a set."""

    name = "anr-radiance"

    def __init__(self, config: AnrRadianceConfig):
        super().__init__(config, in_dim=3, patch_channels=VIEW_CHANNELS, positions=False)
