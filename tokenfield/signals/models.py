"""LAINR, IPC and TransINR over signals along any number of axes. (d_in = 1 of a recording, 3 of a film)

The parts are those of the picture systems. A window of `extent` samples is cut into patches of `cells` samples, each a
data token of the encoder, and a coordinate is a point of [-1, 1]^X over the window. Sizes of pictures in the
configurations that are wrapped here are not used.
"""

from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.models.hyponet_field import (
    IpcConfig,
    ModulatedSizes,
    TransInrConfig,
    WeightConfig,
    WeightField,
    build_mlp,
    build_row_encoder,
)
from tokenfield.models.lainr import LainrConfig, build_aggregator, build_encoder, build_head
from tokenfield.models.token_field import EncoderSizes, PatchField, TokenField
from tokenfield.nn.hyponet import FactorLayer, Fourier, Hyponet, ScaledLayer
from tokenfield.nn.local_start import local_start
from tokenfield.nn.parts import QueryState
from tokenfield.nn.places import Anchors, boxes
from tokenfield.nn.token_decoder import TokenDecoder

S = TypeVar("S", bound=EncoderSizes)


@dataclass(frozen=True)
class Window:
    """What is encoded at once, and how it is cut; what models of pictures call `size`, `patch` and `channels`.

    Attributes:
        extent: samples along each axis.
        cells: samples of a patch along each axis; they divide those.
        channels: values per sample.
        middle: the value that weights of zero answer.
    """

    padding: ClassVar[int] = 0

    extent: tuple[int, ...]
    cells: tuple[int, ...]
    channels: int
    middle: float = 0.5

    @property
    def size(self) -> tuple[int, int]:
        """The last two axes."""
        *_, height, width = 1, *self.extent
        return height, width

    @property
    def patch(self) -> int:
        """The side of a patch along the last axis."""
        return self.cells[-1]

    @property
    def patches(self) -> tuple[int, ...]:
        """Patches along each axis."""
        return tuple(n // cell for n, cell in zip(self.extent, self.cells, strict=True))

    @property
    def stretch(self) -> tuple[float, ...]:
        """How long each axis is in the coordinates that features see: so that samples are equally far apart on all."""
        return tuple(n / max(self.extent) for n in self.extent)

    @property
    def patch_values(self) -> int:
        """Numbers in a patch."""
        return self.channels * prod(self.cells)

    def sizes(self, config: S) -> S:
        """A picture's sizes for a row of patches, each a pixel."""
        return replace(config, size=(1, prod(self.patches)), patch=1, padding=0, channels=self.channels)


@dataclass(frozen=True)
class SignalConfig(Sizes):
    """How a signal is cut, in a slice's own words."""

    @property
    def window(self) -> Window:
        """The same in those of all signals."""
        raise NotImplementedError(f"{type(self).__name__}.window")


@dataclass(frozen=True)
class SignalLainrConfig(SignalConfig):
    """A LAINR over a signal."""

    lainr: LainrConfig = field(default_factory=LainrConfig)


@dataclass(frozen=True)
class SignalIpcConfig(SignalConfig):
    """An IPC over a signal."""

    ipc: IpcConfig = field(default_factory=IpcConfig)


@dataclass(frozen=True)
class SignalTransInrConfig(SignalConfig):
    """A TransINR over a signal."""

    trans_inr: TransInrConfig = field(default_factory=TransInrConfig)


class SignalModel(PatchField):
    """What systems for signals answer beside `encode` and `decode`; their configuration says how these are cut."""

    default_recipe = None
    config: SignalConfig

    @property
    def window(self) -> Window:
        """What is encoded at once."""
        return self.config.window

    @property
    def coordinate_dim(self) -> int:
        return len(self.window.extent)

    def example(self, batch: int = 2) -> tuple[Tensor, dict[int, str]]:
        return torch.rand(batch, self.channels, *self.window.extent), {0: "batch"}

    def cut(self, images: Float[Tensor, "b c *n"]) -> Float[Tensor, "b p s"]:
        """Patches, row-major, in the type of the encoder; in a patch channel by channel, then row-major."""
        axes, parts = self.coordinate_dim, images.to(self.encoder.embed.weight.dtype)
        for axis, (count, cell) in enumerate(zip(self.window.patches, self.window.cells, strict=True)):
            parts = parts.unflatten(2 + 2 * axis, (count, cell))  # (B, C, count, cell, ...)
        patches = parts.permute(0, *range(2, 2 + 2 * axes, 2), 1, *range(3, 3 + 2 * axes, 2))
        return patches.flatten(axes + 1).flatten(1, axes)

    def encode(self, images: Float[Tensor, "b c *n"]) -> Float[Tensor, "b r d"]:
        """Windows of the model's extent -> tokens. Raises UserError for another size."""
        shape = self.channels, *self.window.extent
        if images.shape[1:] != shape:
            raise UserError(f"windows {tuple(images.shape)}; give (B, {', '.join(map(str, shape))}), or use "
                            f"tokenfield {self.command} encode, which takes any size")
        tokens: Tensor = self.encoder(self.cut(images))
        return tokens

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> QueryState:
        return super().locate(self.stretched(coords), lattice)

    def stretched(self, coords: Coordinates) -> Coordinates:
        """Coordinates of a window, [-1, 1] along every axis, as features see them."""
        if isinstance(coords, Grid):
            axes = zip(coords.axes, self.window.stretch, strict=True)
            return Grid(tuple(axis * by for axis, by in axes), coords.span)
        return coords * coords.new_tensor(self.window.stretch)


class SignalLainr(SignalModel, TokenField):
    """LAINR over a signal. Tokens are (B, R, latent_dim), a set."""

    config: SignalLainrConfig

    def __init__(self, config: SignalLainrConfig):
        window = config.window
        sizes, axes = window.sizes(config.lainr), len(window.extent)
        decoder = TokenDecoder(build_aggregator(sizes, in_dim=axes), build_head(sizes, in_dim=axes),
                               output_bias=window.middle)
        super().__init__(config, window, build_encoder(sizes, channels=window.patch_values), decoder,
                         start=sizes.start)

    def initialize(self, samples: Float[Tensor, "b c *n"]) -> None:
        """The local start, with anchors in equal boxes of the window."""
        patches, stretch = self.window.patches, self.window.stretch

        def anchors(count: int) -> Anchors:
            even = boxes(count, patches)
            return Anchors(even.places * torch.tensor(stretch),
                           tuple(gap * by for gap, by in zip(even.spacing, stretch, strict=True)))

        local_start(self.encoder, self.decoder.aggregator, self.cut(samples), anchors,
                    Grid.cells(*patches).coords() * torch.tensor(stretch))

    def attention(self, tokens: Float[Tensor, "one r d"],
                  coords: Float[Tensor, "q x"]) -> Float[Tensor, "h q r"] | None:
        return super().attention(tokens, coords * coords.new_tensor(self.window.stretch))


def mlp_over(window: Window, sizes: ModulatedSizes, kind: type[FactorLayer] | type[ScaledLayer],
             rows: int) -> Hyponet:
    """The coordinate MLP of an IPC or a TransINR, with Fourier features of the signal's coordinates."""
    features = Fourier(len(window.extent), sizes.feature_dim, sizes.sigma)
    return build_mlp(sizes, kind, rows, features=features, output_bias=window.middle)


class SignalWeights(SignalModel, WeightField):
    """A system whose tokens are weights of an MLP over a signal."""

    def __init__(self, config: SignalConfig, sizes: WeightConfig, net: Hyponet):
        window = config.window
        super().__init__(config, window, build_row_encoder(sizes, net, channels=window.patch_values), net)


class SignalIpc(SignalWeights):
    """IPC over a signal. Tokens are (B, R, fan-in)."""

    token = "a pattern composer, one of the vectors that a layer's weights are mixed of"
    config: SignalIpcConfig

    def __init__(self, config: SignalIpcConfig):
        sizes = config.window.sizes(config.ipc)
        super().__init__(config, sizes, mlp_over(config.window, sizes, FactorLayer, sizes.num_latents))


class SignalTransInr(SignalWeights):
    """TransINR over a signal. Tokens are (B, the layers' groups one after the other, widest fan-in)."""

    token = "a row that multiplies rows of the network's weight matrices"
    config: SignalTransInrConfig

    def __init__(self, config: SignalTransInrConfig):
        sizes = config.window.sizes(config.trans_inr)
        super().__init__(config, sizes, mlp_over(config.window, sizes, ScaledLayer, sizes.groups))
