"""Systems whose field is a coordinate MLP with weights of an instance's own; IPC and TransINR, which encode those.

Both have LAINR's encoder in front, and differ in the kinds of their MLP's layers alone (`tokenfield.nn.hyponet`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, SupportsIndex

from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.configs import LATER, Sizes
from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.models.token_field import SMALL_ENCODER, Cut, EncoderSizes, PatchField
from tokenfield.nn.encoder import LatentEncoder, ToRows
from tokenfield.nn.hyponet import FactorLayer, Fourier, Hyponet, Layer, Rounding, ScaledLayer, SharedLayer, stepwise
from tokenfield.nn.hyponet import sizes as layer_sizes


@dataclass(frozen=True)
class MlpSizes(Sizes):
    """A coordinate MLP; the defaults are those of the published comparison at 178 pixels (docs/papers.md, "IPC")."""

    channels: int = 3
    """Values per coordinate."""
    dim: int = 256
    """Width of the MLP."""
    depth: int = 5
    """Linear layers of the MLP, the output included."""
    feature_dim: int = 256
    """Fourier features per coordinate."""
    sigma: float = 128.0
    """Bandwidth of the Fourier features."""
    rounding: Rounding = field(default="exact", metadata=LATER)
    """How phases are rounded: exact, or as the code of an imported checkpoint does; see `nn.hyponet.Fourier`."""


@dataclass(frozen=True)
class ModulatedSizes(MlpSizes):
    """One of whose layers some are an instance's own."""

    may_be_zero = may_be_empty = frozenset({"modulated"})

    modulated: tuple[int, ...] = ()
    """Layers that are an instance's own, counted from 0; none named: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(layer >= self.depth for layer in self.modulated):
            raise UserError(f"modulated layers {self.modulated} of depth {self.depth}; the first is 0")


def build_mlp(config: ModulatedSizes, kind: Callable[[int, int, int], Layer], rows: int, *,
              features: Fourier | None = None, output_bias: float = 0.5,
              shared: Callable[[int, int], Layer] = SharedLayer) -> Hyponet:
    """An MLP with layers of a `kind` where `config.modulated` says so, of `rows` rows or fan-out if that is less."""
    features = features or Fourier(2, config.feature_dim, config.sigma, rounding=config.rounding)
    bounds = layer_sizes(features.out_dim, config.dim, config.depth, config.channels)
    modulated = config.modulated or range(config.depth)
    layers = [kind(i, o, min(rows, o)) if n in modulated else shared(i, o) for n, (i, o) in enumerate(bounds)]
    return Hyponet(features, layers, output_bias=output_bias)


class HyponetField(FieldModel):
    """Decodes with `net`, which subclasses set. Tokens (B, R, D) are rows of its matrices; their order matters."""

    token = "a row of a weight matrix of the picture's own network"
    net: Hyponet

    @property
    def decoding(self) -> Hyponet:
        """The MLP."""
        return self.net

    def decode(self, tokens: Tensor, coords: Coordinates, chunk: SupportsIndex | None = None) -> Tensor:
        """As every field model; centres of a grid's cells are rounded as the configuration says."""
        features = self.net.features
        if isinstance(coords, Grid) and isinstance(features, Fourier) and features.rounding != "exact":
            coords = Grid(tuple(stepwise(axis) for axis in coords.axes), coords.span)
        return super().decode(tokens, coords, chunk)

    def stored(self, tokens: Float[Tensor, "*b r d"]) -> int:
        """Numbers in the rows, without the zeros that fill them up to the widest."""
        return tokens.shape[:-2].numel() * self.net.layout.values


@dataclass(frozen=True)
class WeightConfig(EncoderSizes, ModulatedSizes):
    """Encoder and MLP; the defaults are those of the published comparison at 178 pixels."""

    may_be_zero = EncoderSizes.may_be_zero | ModulatedSizes.may_be_zero

    start: Literal["published", "small"] = field(default="small", metadata=LATER)
    """Deviation of learnable tokens and positions before training: 1 (published) or 0.02 (small)."""


def build_row_encoder(config: WeightConfig, net: Hyponet, *, channels: int, views: int = 1) -> LatentEncoder:
    """An encoder of patches of so many channels, cut from `views` pictures, to the rows that are an instance's own."""
    encoder = config.latent_encoder(channels=channels, num_patches=views * config.num_patches,
                                    num_latents=net.layout.count, latent_dim=net.layout.width, start=config.start)
    encoder.register_module("norm", nn.Identity())  # one norm and one map per layer in place of those for all
    encoder.register_module("out", ToRows(config.encoder_dim, net.layout))
    return encoder


class WeightField(HyponetField, PatchField):
    """An encoder of patches to rows, and a coordinate MLP, `net`, that they are rows of."""

    def __init__(self, config: object, cut: Cut, encoder: LatentEncoder, net: Hyponet):
        super().__init__(config, cut, encoder)
        self.net = net


@dataclass(frozen=True)
class IpcConfig(WeightConfig):
    """Sizes of an IPC for pictures; the defaults are the published 178-pixel model."""

    modulated: tuple[int, ...] = (1,)
    """Layers that an instance modulates, counted from 0."""
    num_latents: int = 256
    """R, tokens per modulated layer; values stored per picture are R x the layer's fan-in."""

    def build(self) -> "Ipc":
        return Ipc(self)


class Ipc(WeightField):
    """Pattern composers for pictures of one size. Tokens are (B, R, fan-in).

    *Generalizable Implicit Neural Representations via Instance Pattern Composers* (CVPR 2023, arXiv 2211.13223). One
    layer, the second, is an instance's own, of rank R: W = V U. The R columns of V, the pattern composers, are the
    tokens; U is shared.
    """

    name = "ipc"
    token = "a pattern composer, one of the vectors that a layer's weights are mixed of"
    default_recipe: ClassVar[RecipeFields | None] = {"model": SMALL_ENCODER | {"sigma": 46.0, "num_latents": 24}}

    def __init__(self, config: IpcConfig):
        net = build_mlp(config, FactorLayer, config.num_latents)
        super().__init__(config, config, build_row_encoder(config, net, channels=config.channels), net)


@dataclass(frozen=True)
class TransInrConfig(WeightConfig):
    """Sizes of a TransINR for pictures; the defaults are the 178-pixel model of the comparison."""

    groups: int = 64
    """g, tokens per layer; it must divide the layer's outputs, and where these are fewer there are as many tokens."""

    def build(self) -> "TransInr":
        return TransInr(self)


class TransInr(WeightField):
    """TransINR for pictures of one size. Tokens are (B, the layers' groups one after the other, widest fan-in).

    *Transformers as Meta-Learners for Implicit Neural Representations* (ECCV 2022, arXiv 2208.02801). An instance has g
    rows per layer, each as wide as the layer's input; they multiply the rows of a shared base matrix, in turn, and the
    products are normalised.
    """

    name = "trans-inr"
    token = "a row that multiplies rows of the network's weight matrices"
    default_recipe: ClassVar[RecipeFields | None] = {"model": SMALL_ENCODER | {"sigma": 46.0, "groups": 16}}

    def __init__(self, config: TransInrConfig):
        net = build_mlp(config, ScaledLayer, config.groups)
        super().__init__(config, config, build_row_encoder(config, net, channels=config.channels), net)
