"""TransINR: *Transformers as Meta-Learners for Implicit Neural Representations* (ECCV 2022, arXiv 2208.02801).

Every layer of the MLP has a base matrix that all instances share. An instance brings g rows per layer, each as wide as
the layer's input; they multiply the base rows, in turn, and the products are normalised.
"""

from dataclasses import dataclass
from typing import ClassVar

from tokenfield.models.base import RecipeFields
from tokenfield.models.hyponet_field import SMALL, WeightConfig, WeightField, build_mlp
from tokenfield.nn.hyponet import Scaled


@dataclass(frozen=True)
class TransInrConfig(WeightConfig):
    """Sizes of a TransINR for pictures; the defaults are the 178-pixel model of the comparison."""

    groups: int = 64
    """g, tokens per layer; it must divide the layer's outputs, and where these are fewer there are as many tokens."""

    def build(self) -> "TransInr":
        """The model with fresh weights."""
        return TransInr(self)


class TransInr(WeightField):
    """TransINR for pictures of one size. Tokens are (B, the layers' groups one after the other, widest fan-in)."""

    name = "trans-inr"
    token = "a row that multiplies rows of the network's weight matrices"
    default_recipe: ClassVar[RecipeFields | None] = {"model": SMALL | {"groups": 16}}

    def __init__(self, config: TransInrConfig):
        super().__init__(config, build_mlp(config, Scaled, config.groups), patch_channels=config.channels)
