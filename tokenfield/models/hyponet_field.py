"""What the systems share whose field is a coordinate MLP with weights of an instance's own, whatever finds those."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Coordinates
from tokenfield.models.base import FieldModel
from tokenfield.nn.hyponet import Hyponet


class HyponetField(FieldModel):
    """Decodes with `net`, which subclasses set. Tokens (B, R, D) are rows of its matrices; their order matters."""

    net: Hyponet

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Any:
        """Features of the coordinates, through the first layer if that is shared."""
        return self.net.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r d"]) -> Any:
        """The instances' matrices and biases, normalised where the layers are."""
        return self.net.prepare(tokens)

    def combine(self, located: Any, prepared: Any) -> Float[Tensor, "b q c"]:
        """The rest of the MLP."""
        return self.net.combine(located, prepared)

    def stored(self, tokens: Float[Tensor, "*b r d"]) -> int:
        """Numbers in the rows, without the zeros that fill them up to the widest."""
        return tokens.shape[:-2].numel() * self.net.layout.values
