"""What the systems share whose field is a coordinate MLP with weights of an instance's own, whatever finds those."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.nn.affine import Affine
from tokenfield.nn.hyponet import Features, Fourier, Hyponet, Layer, Shared, sizes


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


def build_layers(
    config: ModulatedSizes, features: Fourier, kind: Callable[[int, int, int], Layer], rows: int
) -> list[Layer]:
    """The MLP's layers: `kind` where `config.modulated` says so, with `rows` rows or fan-out if that is less."""
    bounds = sizes(features.out_dim, config.dim, config.depth, config.channels)
    modulated = config.modulated or range(config.depth)
    return [kind(i, o, min(rows, o)) if layer in modulated else Shared(i, o) for layer, (i, o) in enumerate(bounds)]


class HyponetField(FieldModel):
    """Decodes with `net`, which subclasses set. Tokens (B, R, D) are rows of its matrices; their order matters."""

    token = "a row of a weight matrix of the picture's own network"
    net: Hyponet

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Features:
        """Features of the coordinates, through the first layer if that is shared."""
        return self.net.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r d"]) -> list[Affine]:
        """The instances' matrices and biases, normalised where the layers are."""
        return self.net.prepare(tokens)

    def combine(self, located: Features, prepared: list[Affine]) -> Float[Tensor, "b q c"]:
        """The rest of the MLP."""
        return self.net.combine(located, prepared)

    def stored(self, tokens: Float[Tensor, "*b r d"]) -> int:
        """Numbers in the rows, without the zeros that fill them up to the widest."""
        return tokens.shape[:-2].numel() * self.net.layout.values
