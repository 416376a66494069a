"""Systems whose field is a coordinate MLP with weights of an instance's own, whatever finds those.

TransINR and pattern composers have LAINR's encoder in front, and differ in the kinds of their MLP's layers alone
(`tokenfield.nn.hyponet`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.configs import Sizes
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.models.token_field import EncoderSizes, PatchField
from tokenfield.nn.encoder import LatentEncoder, ToRows
from tokenfield.nn.hyponet import Fourier, Hyponet, Layer, Shared, sizes


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


@dataclass(frozen=True)
class ModulatedSizes(MlpSizes):
    """One of whose layers some are an instance's own."""

    may_be_zero = frozenset({"modulated"})

    modulated: tuple[int, ...] = ()
    """Layers that are an instance's own, counted from 0; none named: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(layer >= self.depth for layer in self.modulated):
            raise UserError(f"modulated layers {self.modulated} of depth {self.depth}; the first is 0")


def build_mlp(
    config: ModulatedSizes,
    kind: Callable[[int, int, int], Layer],
    rows: int,
    *,
    features: Fourier | None = None,
    output_bias: float = 0.5,
) -> Hyponet:
    """An MLP with layers of a `kind` where `config.modulated` says so, of `rows` rows or fan-out if that is less."""
    features = features or Fourier(2, config.feature_dim, config.sigma)
    bounds = sizes(features.out_dim, config.dim, config.depth, config.channels)
    modulated = config.modulated or range(config.depth)
    layers = [kind(i, o, min(rows, o)) if layer in modulated else Shared(i, o) for layer, (i, o) in enumerate(bounds)]
    return Hyponet(features, layers, output_bias=output_bias)


class HyponetField(FieldModel):
    """Decodes with `net`, which subclasses set. Tokens (B, R, D) are rows of its matrices; their order matters."""

    token = "a row of a weight matrix of the picture's own network"
    net: Hyponet

    @property
    def decoding(self) -> Hyponet:
        """The MLP."""
        return self.net

    def stored(self, tokens: Float[Tensor, "*b r d"]) -> int:
        """Numbers in the rows, without the zeros that fill them up to the widest."""
        return tokens.shape[:-2].numel() * self.net.layout.values


@dataclass(frozen=True)
class WeightConfig(EncoderSizes, ModulatedSizes):
    """Encoder and MLP; the defaults are those of the published comparison at 178 pixels."""

    may_be_zero = EncoderSizes.may_be_zero | ModulatedSizes.may_be_zero


SMALL: dict[str, object] = {
    "size": (64, 64),
    "patch": 8,
    "padding": 0,
    "encoder_dim": 192,
    "encoder_depth": 2,
    "encoder_heads": 3,
    "sigma": 46.0,
}
"""Fields for 64-pixel pictures that two cores train, beside a LAINR of `models.lainr.SMALL`."""


class WeightField(HyponetField, PatchField):
    """An encoder of patches and a coordinate MLP, `net`.

    Args:
        patch_channels: channels of what is cut into patches.
        views: pictures per instance.
    """

    def __init__(self, config: WeightConfig, net: Hyponet, *, patch_channels: int, views: int = 1):
        encoder = LatentEncoder(
            patch_dim=patch_channels * config.patch**2,
            num_patches=views * config.num_patches,
            num_latents=net.layout.count,
            latent_dim=net.layout.width,
            dim=config.encoder_dim,
            depth=config.encoder_depth,
            num_heads=config.encoder_heads,
            mlp_ratio=config.mlp_ratio,
        )
        encoder.register_module("norm", nn.Identity())  # one norm and one map per layer in place of those for all
        encoder.register_module("out", ToRows(config.encoder_dim, net.layout))
        super().__init__(config, config, encoder)
        self.net = net
