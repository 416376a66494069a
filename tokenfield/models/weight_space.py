"""What the systems share whose tokens are weights: LAINR's encoder in front, a coordinate MLP behind.

TransINR and pattern composers differ in the kinds of their MLP's layers alone (`tokenfield.nn.hyponet`).
"""

from dataclasses import dataclass

from tokenfield.models.hyponet_field import HyponetField, ModulatedSizes, build_layers
from tokenfield.models.token_field import EncoderSizes, PatchField
from tokenfield.nn.hyponet import Hyponet
from tokenfield.nn.row_encoder import RowEncoder

__all__ = ["SMALL", "WeightConfig", "WeightField", "build_layers"]


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
    """An encoder of patches and a coordinate MLP. Tokens (B, R, D) are rows of its matrices; their order matters.

    Args:
        config: sizes.
        net: the MLP.
        patch_channels: channels of what is cut into patches.
        views: pictures per instance.
    """

    def __init__(self, config: WeightConfig, net: Hyponet, *, patch_channels: int, views: int = 1):
        encoder = RowEncoder(
            net.layout,
            patch_dim=patch_channels * config.patch**2,
            num_patches=views * config.num_patches,
            dim=config.encoder_dim,
            depth=config.encoder_depth,
            num_heads=config.encoder_heads,
            mlp_ratio=config.mlp_ratio,
        )
        super().__init__(config, config, encoder)
        self.net = net
