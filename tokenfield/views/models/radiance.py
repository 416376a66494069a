"""Radiance fields of IPC, TransINR and ANR: from posed views of an object to colour and density in space.

Patches are cut from all views, whose channels are RGB and the ray through the pixel; a field reads points in world
coordinates and gives four numbers, which `tokenfield.views.radiance_field` renders. Frequencies of IPC and TransINR
are powers of two in radians here, up to 2^8, as in the code of both; on ANR's hyper-network they are what its code has.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tokenfield.configs import Sizes
from tokenfield.models.anr import HyperConfig, HyperField
from tokenfield.models.anr_rivals import HyperMlpConfig, HyperWeightField, composed_mlp, scaled_mlp
from tokenfield.models.hyponet_field import WeightConfig, WeightField, build_mlp, build_row_encoder
from tokenfield.nn.hyponet import FactorLayer, Fourier, Layer, ScaledLayer
from tokenfield.views.models.base import VIEW_CHANNELS, RadianceModel


@dataclass(frozen=True)
class PointSizes(Sizes):
    """How views are cut, and what is read of a point: the same for all."""

    patch: int = 8
    """Side of a patch in pixels."""
    padding: int = 0
    """Zeros around a view before it is cut into patches."""
    channels: int = 4
    """Numbers per point: red, green, blue, density."""


@dataclass(frozen=True)
class RadianceConfig(PointSizes, WeightConfig):
    """Sizes that the radiance fields share; the defaults are those published for 128-pixel views."""

    size: tuple[int, int] = (128, 128)
    """Height and width of the views."""
    depth: int = 6
    """Linear layers of the MLP, the output included."""
    feature_dim: int = 120
    """Fourier features per point."""
    sigma: float = 256.0
    """The highest frequency, in radians per world unit."""
    views: int = 1
    """Support views of an object. Each place in their order has positions of its own."""


class WeightRadiance(RadianceModel, WeightField):
    """An encoder of patches of all views, and an MLP over points some of whose layers are the instance's.

    `kind` makes such a layer from fan-in, fan-out and number of tokens, which is `rows`.
    """

    fewer_views = False

    def __init__(self, config: RadianceConfig, kind: Callable[[int, int, int], Layer], rows: int):
        features = Fourier(3, config.feature_dim, config.sigma, unit=1.0, rounding=config.rounding)
        net = build_mlp(config, kind, rows, features=features, output_bias=0.0)
        encoder = build_row_encoder(config, net, channels=VIEW_CHANNELS, views=config.views)
        super().__init__(config, config, encoder, net)
        self.views = config.views


@dataclass(frozen=True)
class IpcRadianceConfig(RadianceConfig):
    """Sizes of a radiance field by pattern composers."""

    modulated: tuple[int, ...] = (1,)
    """Layers that an instance modulates, counted from 0."""
    num_latents: int = 256
    """R, tokens per modulated layer."""

    def build(self) -> "IpcRadiance":
        return IpcRadiance(self)


class IpcRadiance(WeightRadiance):
    """Pattern composers of a radiance field. Tokens are (B, R, fan-in)."""

    name = "ipc-radiance"

    def __init__(self, config: IpcRadianceConfig):
        super().__init__(config, FactorLayer, config.num_latents)


@dataclass(frozen=True)
class TransInrRadianceConfig(RadianceConfig):
    """Sizes of a radiance field by TransINR."""

    groups: int = 64
    """g, tokens per layer."""

    def build(self) -> "TransInrRadiance":
        return TransInrRadiance(self)


class TransInrRadiance(WeightRadiance):
    """TransINR of a radiance field. Tokens are (B, the layers' groups one after the other, widest fan-in)."""

    name = "trans-inr-radiance"

    def __init__(self, config: TransInrRadianceConfig):
        super().__init__(config, ScaledLayer, config.groups)


@dataclass(frozen=True)
class AnrRadianceConfig(PointSizes, HyperConfig):
    """Sizes of a radiance field by ANR; the defaults are the paper's for ShapeNet cars."""

    num_latents: int = 128
    """R, tokens per object."""
    sigma: float = 512.0
    """Bandwidth of the positional encoding; of its `dim` features, two in 512 are zeros in space."""

    def build(self) -> "AnrRadiance":
        return AnrRadiance(self)


class AnrRadiance(RadianceModel, HyperField):
    """ANR over points. Tokens are (B, R, dim), a set.

    Patches tell their place by their rays and have no learned positions, so there can be any number of views in any
    order.
    """

    name = "anr-radiance"

    def __init__(self, config: AnrRadianceConfig):
        super().__init__(config, in_dim=3, patch_channels=VIEW_CHANNELS, positions=False)


@dataclass(frozen=True)
class HyperMlpRadianceConfig(PointSizes, HyperMlpConfig):
    """Sizes that radiance fields of ANR's rivals share; the defaults are its authors' for ShapeNet cars, D6."""

    feature_dim: int = 384
    """Fourier features per point."""


@dataclass(frozen=True)
class HyperTransInrRadianceConfig(HyperMlpRadianceConfig):
    """Sizes of a radiance field by TransINR on ANR's hyper-network."""

    groups: int = 128
    """g, tokens per layer."""
    sigma: float = 2.0 ** math.log(512)
    """The highest frequency, in radians per world unit: their code has 2^ln(512), 75.5."""

    def build(self) -> "HyperTransInrRadiance":
        return HyperTransInrRadiance(self)


@dataclass(frozen=True)
class HyperIpcRadianceConfig(HyperMlpRadianceConfig):
    """Sizes of a radiance field by IPC on ANR's hyper-network."""

    modulated: tuple[int, ...] = (1,)
    """Layers that an instance modulates, counted from 0."""
    num_latents: int = 128
    """R, tokens per modulated layer."""
    sigma: float = 512.0
    """The highest frequency, in half-turns per world unit, as in Eq. 2 of LAINR."""

    def build(self) -> "HyperIpcRadiance":
        return HyperIpcRadiance(self)


class HyperTransInrRadiance(RadianceModel, HyperWeightField):
    """TransINR over points on ANR's hyper-network; any number of views in any order, as of ANR.

    Tokens are (B, the layers' groups one after the other, widest fan-in).
    """

    name = "anr-trans-inr-radiance"

    def __init__(self, config: HyperTransInrRadianceConfig):
        features = Fourier(3, config.feature_dim, config.sigma, unit=1.0, rounding=config.rounding)
        net = scaled_mlp(config, features, config.groups)
        super().__init__(config, net, patch_channels=VIEW_CHANNELS, positions=False)


class HyperIpcRadiance(RadianceModel, HyperWeightField):
    """IPC over points on ANR's hyper-network; any number of views in any order. Tokens are (B, R, fan-in)."""

    name = "anr-ipc-radiance"

    def __init__(self, config: HyperIpcRadianceConfig):
        features = Fourier(3, config.feature_dim, config.sigma, rounding=config.rounding)
        net = composed_mlp(config, features, config.num_latents)
        super().__init__(config, net, patch_channels=VIEW_CHANNELS, positions=False)
