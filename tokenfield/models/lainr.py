"""LAINR: *Locality-Aware Generalizable Implicit Neural Representation* (NeurIPS 2023).

encode: patches -> transformer with R learnable tokens -> latent tokens (3.2).
decode: selective token aggregation (Eq. 4-5), multi-band modulation (Eq. 6-7), composition (Eq. 8), output (Eq. 9).

The ablations of Tables 3, 4, 6 and 7 are other compositions of the same bricks; `LainrConfig` names them.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.nn.aggregation import SelectiveTokenAggregation
from tokenfield.nn.coarse import CoarseDecoder
from tokenfield.nn.encoder import LatentEncoder
from tokenfield.nn.local_start import local_start
from tokenfield.nn.modulation import MultiBandModulation, PlainMLP
from tokenfield.nn.patchify import patchify


@dataclass(frozen=True)
class LainrConfig:
    """Sizes of a LAINR for pictures; the defaults are the paper's 178-pixel model (A.1)."""

    size: tuple[int, int] = (178, 178)
    """Height and width of the pictures it encodes."""
    patch: int = 9
    """Side of a patch in pixels."""
    padding: int = 1
    """Zeros around the picture before it is cut into patches."""
    channels: int = 3
    """Values per pixel."""
    num_latents: int = 256
    """R, latent tokens per picture."""
    latent_dim: int = 256
    """Width of a latent token; values stored per picture are num_latents x latent_dim."""
    encoder_dim: int = 768
    """Width of the transformer."""
    encoder_depth: int = 6
    """Blocks of the transformer."""
    encoder_heads: int = 12
    """Heads of the transformer."""
    mlp_ratio: float = 4.0
    """Hidden width of its feed-forward parts over encoder_dim."""
    dim: int = 256
    """d, width of the decoder."""
    feature_dim: int = 256
    """d_F, Fourier features per coordinate."""
    sigma_q: float = 16.0
    """Bandwidth of the queries."""
    sigmas: tuple[float, ...] = (128.0, 32.0)
    """Bandwidths of the bands, highest first; their number is L."""
    heads: int = 2
    """Heads of the aggregation."""
    linear_frequency: bool = True
    """False: Table 7, without the linear layer of Eq. 6."""
    linear_modulation: bool = True
    """False: Table 7, without the linear layer of Eq. 7."""
    plain_depth: int = 0
    """Above 0: Table 3, `w/o multiFM`, a plain MLP of so many layers in place of Eq. 6-9."""
    start: Literal["published", "small", "local"] = "small"
    """How weights begin; the model is the same. Learnable tokens and positions are drawn from a normal distribution of
    deviation 1 (published) or 0.02 (small); local: small, and every token serves a place (`nn.local_start`)."""

    def build(self) -> "Lainr":
        """The model with fresh weights."""
        return Lainr(self)


SMALL: dict[str, object] = {
    "size": (64, 64),
    "patch": 8,
    "padding": 0,
    "num_latents": 64,
    "latent_dim": 96,
    "encoder_dim": 192,
    "encoder_depth": 2,
    "encoder_heads": 3,
    "dim": 256,
    "feature_dim": 256,
    "sigmas": (46.0, 11.5),
    "sigma_q": 5.75,
}
"""Fields of a LAINR for 64-pixel pictures that two cores train: 6144 values stored, one per two pixel values."""


def build_head(config: LainrConfig) -> nn.Module:
    """The paper's multi-band head, or the plain stack of `w/o multiFM`."""
    if config.plain_depth:
        return PlainMLP(dim=config.dim, depth=config.plain_depth, out_dim=config.channels)
    return MultiBandModulation(
        in_dim=2,
        dim=config.dim,
        feature_dim=config.feature_dim,
        sigmas=config.sigmas,
        out_dim=config.channels,
        linear_frequency=config.linear_frequency,
        linear_modulation=config.linear_modulation,
    )


class TokenDecoder(nn.Module):
    """An aggregator and a head: everything from coordinates and tokens to values, for any d_in and d_out.

    Args:
        aggregator: `locate`, `prepare`, `combine` and an output map `out` (or None).
        head: `locate`, `fold` and `combine`.
        output_bias: added to every value; 0.5 centres pictures in [0, 1].
    """

    aggregator: Any
    head: Any

    def __init__(self, aggregator: nn.Module, head: nn.Module, *, output_bias: float = 0.5):
        super().__init__()
        self.aggregator, self.head, self.output_bias = aggregator, head, output_bias

    def locate(self, coords: Coordinates) -> tuple[Any, Any]:
        """Queries and frequency features."""
        return self.aggregator.locate(coords), self.head.locate(coords)

    def prepare(self, tokens: Tensor) -> tuple[Any, Any]:
        """Keys, values and folded matrices."""
        return self.aggregator.prepare(tokens), self.head.fold(self.aggregator.out)

    def combine(self, located: tuple[Any, Any], prepared: tuple[Any, Any]) -> Tensor:
        """Values (B, Q, C)."""
        m = self.aggregator.combine(located[0], prepared[0])  # (B, Q, d)
        return self.head.combine(located[1], prepared[1], m) + self.output_bias


class Lainr(FieldModel):
    """The model of the paper for pictures of one size. Tokens are (B, R, latent_dim), a set."""

    name: ClassVar[str] = "lainr"
    default_recipe: ClassVar[Mapping[str, object] | None] = {"model": SMALL | {"start": "local"}}
    on_nodes: CoarseDecoder | None = None

    def __init__(self, config: LainrConfig):
        super().__init__()
        self.config = config
        self.input_size, self.cell, self.channels = config.size, config.patch, config.channels
        rows, columns = ((side + 2 * config.padding) // config.patch for side in config.size)
        self.encoder = LatentEncoder(
            patch_dim=config.channels * config.patch**2,
            num_patches=rows * columns,
            num_latents=config.num_latents,
            latent_dim=config.latent_dim,
            dim=config.encoder_dim,
            depth=config.encoder_depth,
            num_heads=config.encoder_heads,
            mlp_ratio=config.mlp_ratio,
            deviation=1.0 if config.start == "published" else 0.02,
        )
        self.initial_pictures = 16 if config.start == "local" else 0  # how many `initialize` wants to see
        aggregator = SelectiveTokenAggregation(
            in_dim=2,
            dim=config.dim,
            latent_dim=config.latent_dim,
            feature_dim=config.feature_dim,
            sigma_q=config.sigma_q,
            num_heads=config.heads,
            linear=config.linear_frequency,
        )
        self.decoder = TokenDecoder(aggregator, build_head(config))

    def initialize(self, images: Float[Tensor, "b c h w"]) -> None:
        """The local start, if that is how this model begins; the pictures are only looked at.

        Raises:
            UserError: a system whose encoder or aggregator are others than LAINR's, or sizes without room for places.
        """
        encoder, aggregator, padding = self.encoder, self.decoder.aggregator, self.config.padding
        if not isinstance(encoder, LatentEncoder) or not isinstance(aggregator, SelectiveTokenAggregation):
            raise UserError(f"start local is for LAINR's own encoder and aggregation; {self.name} takes start small")
        sides = [side + 2 * padding for side in images.shape[-2:]]
        edges = tuple(whole / side for whole, side in zip(sides, images.shape[-2:], strict=True))  # padding is outside
        low = (-edges[0], -edges[1])
        places = Grid.box(low, edges, *(whole // self.cell for whole in sides), device=images.device)
        local_start(encoder, aggregator, patchify(images, self.cell, padding), places)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """Pictures in [0, 1] of `config.size` -> latent tokens."""
        return self.encoder(patchify(images.to(self.encoder.embed.weight.dtype), self.cell, self.config.padding))

    def coarse(self, nodes: int) -> "Lainr":
        """The same model, weights and all, whose attention is computed on nodes x nodes points: see coarse.py."""
        other = copy(self)
        other.on_nodes = CoarseDecoder(self.decoder, nodes)
        return other

    @property
    def answering(self) -> TokenDecoder | CoarseDecoder:
        """Which decoder answers."""
        return self.on_nodes or self.decoder

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Any:
        """Queries (Eq. 4) and frequency features (Eq. 6) of the coordinates."""
        return self.answering.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r d"]) -> Any:
        """Keys, values, and the head's matrices with the attention's output map folded in."""
        return self.answering.prepare(tokens)

    def combine(self, located: Any, prepared: Any) -> Float[Tensor, "b q c"]:
        """Eq. 5, 7, 8, 9 and the output bias of 0.5."""
        return self.answering.combine(located, prepared)
