"""What the systems share whose tokens are weights: LAINR's encoder in front, a coordinate MLP behind.

TransINR and pattern composers differ in the kinds of their MLP's layers alone (`tokenfield.nn.hyponet`).
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.models.hyponet_field import HyponetField
from tokenfield.nn.hyponet import Fourier, Hyponet, Layer, Shared, sizes
from tokenfield.nn.patchify import patchify
from tokenfield.nn.row_encoder import RowEncoder


@dataclass(frozen=True)
class WeightConfig:
    """Encoder and MLP; the defaults are those of the published comparison at 178 pixels (docs/papers.md)."""

    size: tuple[int, int] = (178, 178)
    """Height and width of the pictures it encodes."""
    patch: int = 9
    """Side of a patch in pixels."""
    padding: int = 1
    """Zeros around the picture before it is cut into patches."""
    channels: int = 3
    """Values per coordinate."""
    encoder_dim: int = 768
    """Width of the transformer."""
    encoder_depth: int = 6
    """Blocks of the transformer."""
    encoder_heads: int = 12
    """Heads of the transformer."""
    mlp_ratio: float = 4.0
    """Hidden width of its feed-forward parts over encoder_dim."""
    dim: int = 256
    """Width of the MLP."""
    depth: int = 5
    """Linear layers of the MLP, the output included."""
    feature_dim: int = 256
    """Fourier features per coordinate."""
    sigma: float = 128.0
    """Bandwidth of the Fourier features."""
    modulated: tuple[int, ...] = ()
    """Layers that an instance modulates, counted from 0; none named: all."""


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


def build_layers(config: Any, features: Fourier, kind: Any, rows: int) -> list[Layer]:
    """The MLP's layers: `kind` where `config.modulated` says so, with `rows` rows or fan-out if that is less."""
    bounds = sizes(features.out_dim, config.dim, config.depth, config.channels)
    modulated = config.modulated or tuple(range(config.depth))
    if not set(modulated) <= set(range(config.depth)):
        raise UserError(f"modulated layers {config.modulated} of {config.depth}; the first is 0")
    return [kind(i, o, min(rows, o)) if layer in modulated else Shared(i, o) for layer, (i, o) in enumerate(bounds)]


class WeightField(HyponetField):
    """An encoder of patches and a coordinate MLP. Tokens (B, R, D) are rows of its matrices; their order matters.

    Args:
        config: sizes.
        net: the MLP.
        patch_channels: channels of what is cut into patches.
        views: pictures per instance.
    """

    def __init__(self, config: Any, net: Hyponet, *, patch_channels: int, views: int = 1):
        super().__init__()
        self.config = config
        self.input_size, self.cell, self.channels = config.size, config.patch, config.channels
        rows, columns = ((side + 2 * config.padding) // config.patch for side in config.size)
        self.encoder = RowEncoder(
            net.layout,
            patch_dim=patch_channels * config.patch**2,
            num_patches=views * rows * columns,
            dim=config.encoder_dim,
            depth=config.encoder_depth,
            num_heads=config.encoder_heads,
            mlp_ratio=config.mlp_ratio,
        )
        self.net = net

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """Pictures in [0, 1] of `config.size` -> rows of weights."""
        return self.encoder(patchify(images.to(self.encoder.embed.weight.dtype), self.cell, self.config.padding))
