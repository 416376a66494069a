"""The rivals of ANR as its authors have them: TransINR and IPC on ANR's hyper-network instead of their own encoder.

Tokens are the decoder's outputs, one per row that the MLP takes (`tokenfield.nn.hyponet`), through LayerNorm and a
linear map per layer. The authors' code calls them by what their tokens are grouped for:

- `mlp`, TransINR: 128 rows per layer multiply those of base matrices, and the products are normalised;
- `mlp_mod`, IPC: 128 rows compose the second layer. Nothing is normalised, in which it departs from IPC's own code.

Weights and biases start as those of linear maps do. As in ANR, pictures are in [-1, 1] inside.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from tokenfield.io.record import Record
from tokenfield.models.anr import HyperPatches, HyperSizes, SignedPictures
from tokenfield.models.base import RecipeFields
from tokenfield.models.hyponet_field import HyponetField, ModulatedSizes, build_mlp
from tokenfield.models.token_field import SMALL_ENCODER
from tokenfield.nn.hypernetwork import RowHyperNetwork
from tokenfield.nn.hyponet import Fourier, Hyponet, LinearLayer, PlainFactorLayer, ScaledLayer


@dataclass(frozen=True)
class HyperMlpConfig(HyperSizes, ModulatedSizes):
    """Hyper-network and MLP; the defaults are the authors' for CelebA at 128 pixels, D6."""

    may_be_zero = HyperSizes.may_be_zero | ModulatedSizes.may_be_zero

    dim: int = 512
    """Width of the MLP."""
    depth: int = 6
    """Linear layers of the MLP, the output included: D6 in the paper."""
    feature_dim: int = 512
    """Fourier features per coordinate."""
    sigma: float = 1024.0
    """Bandwidth of the Fourier features."""


@dataclass(frozen=True)
class HyperTransInrConfig(HyperMlpConfig):
    """Sizes of a TransINR on ANR's hyper-network."""

    groups: int = 128
    """g, tokens per layer: mod32 to mod128 in the paper; where a layer has fewer outputs there are as many tokens."""

    def build(self) -> "HyperTransInr":
        return HyperTransInr(self)


@dataclass(frozen=True)
class HyperIpcConfig(HyperMlpConfig):
    """Sizes of an IPC on ANR's hyper-network."""

    modulated: tuple[int, ...] = (1,)
    """Layers that an instance modulates, counted from 0."""
    num_latents: int = 128
    """R, tokens per modulated layer."""

    def build(self) -> "HyperIpc":
        return HyperIpc(self)


def scaled_mlp(config: HyperMlpConfig, features: Fourier, groups: int) -> Hyponet:
    """TransINR's, with biases that start as those of linear maps."""
    net = build_mlp(config, ScaledLayer, groups, features=features, output_bias=0.0)
    for layer in net.layers:
        assert isinstance(layer, ScaledLayer)
        nn.init.uniform_(layer.bias, -1 / math.sqrt(layer.width), 1 / math.sqrt(layer.width))
    return net


def composed_mlp(config: HyperMlpConfig, features: Fourier, num_latents: int) -> Hyponet:
    """IPC's, none of whose matrices is normalised."""
    return build_mlp(config, PlainFactorLayer, num_latents, features=features, output_bias=0.0, shared=LinearLayer)


class HyperWeightField(HyponetField, HyperPatches):
    """A hyper-network over patches of so many channels, with or without learned positions, and an MLP, `net`."""

    def __init__(self, config: HyperMlpConfig, net: Hyponet, *, patch_channels: int, positions: bool):
        encoder = RowHyperNetwork(layout=net.layout, dim=config.encoder_dim,
                                  **config.transformer(patch_channels, positions))
        super().__init__(config, config, encoder)
        self.net = net


SMALL: Record = SMALL_ENCODER | {"encoder_depth": 1, "decoder_depth": 1, "encoder_hidden": 768, "dim": 256,
                                 "feature_dim": 256, "sigma": 46.0}
"""Fields of a rival for 64-pixel pictures that two cores train."""


class HyperTransInr(SignedPictures, HyperWeightField):
    """TransINR on ANR's hyper-network. Tokens are (B, the layers' groups one after the other, widest fan-in)."""

    name = "anr-trans-inr"
    token = "a row that multiplies rows of the network's weight matrices"
    default_recipe: ClassVar[RecipeFields | None] = {"model": SMALL | {"groups": 16}, "objective": {"jitter": "normal"}}

    def __init__(self, config: HyperTransInrConfig):
        features = Fourier(2, config.feature_dim, config.sigma, rounding=config.rounding)
        net = scaled_mlp(config, features, config.groups)
        super().__init__(config, net, patch_channels=config.channels, positions=True)


class HyperIpc(SignedPictures, HyperWeightField):
    """IPC on ANR's hyper-network. Tokens are (B, R, fan-in)."""

    name = "anr-ipc"
    token = "a pattern composer, one of the vectors that a layer's weights are mixed of"
    default_recipe: ClassVar[RecipeFields | None] = {
        "model": SMALL | {"num_latents": 24}, "objective": {"jitter": "normal"}}

    def __init__(self, config: HyperIpcConfig):
        features = Fourier(2, config.feature_dim, config.sigma, rounding=config.rounding)
        net = composed_mlp(config, features, config.num_latents)
        super().__init__(config, net, patch_channels=config.channels, positions=True)
