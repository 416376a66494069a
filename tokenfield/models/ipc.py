"""IPC: *Generalizable Implicit Neural Representations via Instance Pattern Composers* (CVPR 2023, arXiv 2211.13223).

One layer of a shared MLP, the second, is an instance's own, of rank R: W = V U. The R columns of V, the pattern
composers, are the tokens; U is shared. Everything else, the encoder included, is as in LAINR's comparison.
"""

from dataclasses import dataclass
from typing import ClassVar

from tokenfield.models.base import RecipeFields
from tokenfield.models.hyponet_field import SMALL, WeightConfig, WeightField, build_mlp
from tokenfield.nn.hyponet import Composed


@dataclass(frozen=True)
class IpcConfig(WeightConfig):
    """Sizes of an IPC for pictures; the defaults are the published 178-pixel model."""

    modulated: tuple[int, ...] = (1,)
    """Layers that an instance modulates, counted from 0."""
    num_latents: int = 256
    """R, tokens per modulated layer; values stored per picture are R x the layer's fan-in."""

    def build(self) -> "Ipc":
        """The model with fresh weights."""
        return Ipc(self)


class Ipc(WeightField):
    """Pattern composers for pictures of one size. Tokens are (B, R, fan-in)."""

    name = "ipc"
    token = "a pattern composer, one of the vectors that a layer's weights are mixed of"
    default_recipe: ClassVar[RecipeFields | None] = {"model": SMALL | {"num_latents": 24}}

    def __init__(self, config: IpcConfig):
        super().__init__(config, build_mlp(config, Composed, config.num_latents), patch_channels=config.channels)
