"""Fields on the sphere: LAINR, ANR and anchored tokens, asked at latitudes and longitudes.

Nothing of the three systems is changed; other ends are put on the same parts:

- the encoder sees a global grid of C variables, standardised, and beside them what share of each cell was seen. A
  missing cell holds 0, the mean, and the share says that it is no value;
- the decoder is asked at points of the unit sphere (d_in = 3), or on the plain grid of ANR (d_in = 2), and answers C
  standardised values, without the offset of 0.5 that pictures have.

`Variable` says what a channel is and how it is standardised: x -> (x - offset) scale, with numbers of its own, as ANR's
0.01 (x - 260) for ERA5, or with every field's own mean and standard deviation, two more numbers to store.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.earth.sphere import plane, unit_vectors
from tokenfield.errors import UserError
from tokenfield.models.anchored import Anchored, AnchoredConfig
from tokenfield.models.anr import AnrConfig, HyperField
from tokenfield.models.base import FieldModel
from tokenfield.models.lainr import LainrConfig, TokenDecoder
from tokenfield.nn.aggregation import SelectiveTokenAggregation
from tokenfield.nn.encoder import LatentEncoder
from tokenfield.nn.modulation import MultiBandModulation
from tokenfield.nn.patchify import patchify

Earth = Literal["sphere", "plane"]


@dataclass(frozen=True)
class Variable:
    """What a channel is."""

    name: str = ""
    """As in the files; empty: whatever it is given, one variable at a time."""
    units: str = ""
    """What its values are in; empty: as the file says."""
    offset: float | None = None
    """Subtracted from its values; None: every field's own mean."""
    scale: float | None = None
    """Multiplies what is left; None: one over every field's own standard deviation."""


@dataclass(frozen=True)
class EarthConfig:
    """What the gridded systems share."""

    variables: tuple[Variable, ...] = (Variable(),)
    """The channels."""
    coordinates: Earth = "sphere"
    """sphere: unit vectors, continuous around the Earth and over the poles; plane: (y, x), as ANR asks ERA5."""
    masked: bool = True
    """False: the encoder is not told which cells are missing, for fields that lack none."""

    @property
    def in_dim(self) -> int:
        """d_in."""
        return 3 if self.coordinates == "sphere" else 2

    def inputs(self) -> int:
        """Channels of what the encoder sees."""
        return len(self.variables) * (2 if self.masked else 1)


@dataclass(frozen=True)
class GriddedLainrConfig(EarthConfig):
    """A LAINR on the sphere; `lainr.channels` is not used."""

    lainr: LainrConfig = field(default_factory=LainrConfig)
    """All sizes."""

    def build(self) -> "GriddedLainr":
        """The model with fresh weights."""
        return GriddedLainr(self)


@dataclass(frozen=True)
class GriddedAnrConfig(EarthConfig):
    """An ANR on the sphere; `anr.channels` is not used."""

    anr: AnrConfig = field(default_factory=AnrConfig)
    """All sizes."""

    def build(self) -> "GriddedAnr":
        """The model with fresh weights."""
        return GriddedAnr(self)


@dataclass(frozen=True)
class GriddedAnchoredConfig(EarthConfig):
    """Anchored tokens around the Earth; `anchored.channels` is not used."""

    anchored: AnchoredConfig = field(default_factory=lambda: AnchoredConfig(start="random"))
    """All sizes; a token per cell."""
    size: tuple[int, int] = (90, 180)
    """Rows and columns of the grid, multiples of the cell."""

    def build(self) -> "GriddedAnchored":
        """The model with fresh weights."""
        return GriddedAnchored(self)


class EarthModel(FieldModel):
    """What the gridded systems answer beside `encode` and `decode`."""

    command = "climate"
    takes = "maps"
    config: Any

    def inputs(
        self,
        values: Float[Tensor, "b c h w"],
        covered: Float[Tensor, "b c h w"],
        mean: Float[Tensor, "b c"],
        deviation: Float[Tensor, "b c"],
    ) -> tuple[Float[Tensor, "b d h w"], Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """What `encode` takes, and the offset and scale that were used.

        Args:
            values: physical values on the encoder's grid, anything where nothing was seen.
            covered: share of each cell that was seen.
            mean, deviation: of every field, in case its variable has no offset and scale of its own.
        """
        offset, scale = self.standards(mean, deviation)
        standard = (values - offset[..., None, None]) * scale[..., None, None] * (covered > 0)
        parts = [standard, covered] if self.config.masked else [standard]
        return torch.cat(parts, 1), offset, scale

    def standards(
        self, mean: Float[Tensor, "b c"], deviation: Float[Tensor, "b c"]
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """Offsets and scales of every field's variables. A field without any variation is divided by 1."""
        own = torch.where(deviation > 1e-6 * mean.abs().clamp(min=1e-6), 1 / deviation, 1.0)
        columns = list(zip(self.config.variables, mean.unbind(1), own.unbind(1), strict=True))
        offsets = [m if v.offset is None else torch.full_like(m, v.offset) for v, m, _ in columns]
        scales = [s if v.scale is None else torch.full_like(s, v.scale) for v, _, s in columns]
        return torch.stack(offsets, 1), torch.stack(scales, 1)

    def place(self, places: Float[Tensor, "*q 2"]) -> Float[Tensor, "*q x"]:
        """(latitude, longitude) in degrees -> coordinates that `decode` takes."""
        return unit_vectors(places) if self.config.coordinates == "sphere" else plane(places)

    @property
    def own_standards(self) -> int:
        """Numbers stored per field beside the tokens: offsets and scales that are the field's own."""
        return sum((v.offset is None) + (v.scale is None) for v in self.config.variables)


class GriddedLainr(EarthModel):
    """LAINR on the sphere. Tokens are (B, R, latent_dim), a set."""

    name: ClassVar[str] = "gridded-lainr"

    def __init__(self, config: GriddedLainrConfig):
        super().__init__()
        self.config, sizes = config, config.lainr
        self.input_size, self.cell, self.channels = sizes.size, sizes.patch, len(config.variables)
        rows, columns = ((side + 2 * sizes.padding) // sizes.patch for side in sizes.size)
        self.encoder = LatentEncoder(
            patch_dim=config.inputs() * sizes.patch**2,
            num_patches=rows * columns,
            num_latents=sizes.num_latents,
            latent_dim=sizes.latent_dim,
            dim=sizes.encoder_dim,
            depth=sizes.encoder_depth,
            num_heads=sizes.encoder_heads,
            mlp_ratio=sizes.mlp_ratio,
        )
        shared: dict[str, Any] = {"in_dim": config.in_dim, "dim": sizes.dim, "feature_dim": sizes.feature_dim}
        aggregator = SelectiveTokenAggregation(
            latent_dim=sizes.latent_dim, sigma_q=sizes.sigma_q, num_heads=sizes.heads, **shared
        )
        head = MultiBandModulation(sigmas=sizes.sigmas, out_dim=self.channels, **shared)
        self.decoder = TokenDecoder(aggregator, head, output_bias=0.0)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """What `inputs` made -> latent tokens."""
        return self.encoder(patchify(images.to(self.encoder.embed.weight.dtype), self.cell, self.config.lainr.padding))

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Any:
        """Queries (Eq. 4) and frequency features (Eq. 6) of the points."""
        return self.decoder.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r d"]) -> Any:
        """Keys, values, and the head's matrices with the attention's output map folded in."""
        return self.decoder.prepare(tokens)

    def combine(self, located: Any, prepared: Any) -> Float[Tensor, "b q c"]:
        """Eq. 5, 7, 8 and 9: standardised values."""
        return self.decoder.combine(located, prepared)


class GriddedAnr(EarthModel):
    """ANR on the sphere, or on the plain grid as published. Tokens are (B, R, dim), a set."""

    name: ClassVar[str] = "gridded-anr"

    def __init__(self, config: GriddedAnrConfig):
        super().__init__()
        sizes = replace(config.anr, channels=len(config.variables))
        self.config, self.channels = config, sizes.channels
        self.input_size, self.cell = sizes.size, sizes.patch
        self.field = HyperField(sizes, in_dim=config.in_dim, patch_channels=config.inputs(), positions=True)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """What `inputs` made -> R-tokens."""
        return self.field.encoder(self.field.cut(images))

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Any:
        """Queries of the points."""
        return self.field.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r d"]) -> Any:
        """Keys, values, and the folded matrix of the global MLP."""
        return self.field.prepare(tokens)

    def combine(self, located: Any, prepared: Any) -> Float[Tensor, "b q c"]:
        """Localized attention and the head: standardised values."""
        return self.field.combine(located, prepared)


class GriddedAnchored(EarthModel):
    """Anchored tokens on a lattice that closes around the Earth. Tokens are (B, rows, columns, latent_dim).

    The lattice is a picture of the Earth, so its cells are as narrow near the poles as meridians are, and a pole is a
    row of cells: the field is continuous around the Earth, but a pole has a value per meridian. The picture and the
    tokens are continued across longitude 0 by as many columns as the two transformers reach.
    """

    name: ClassVar[str] = "gridded-anchored"

    def __init__(self, config: GriddedAnchoredConfig):
        super().__init__()
        if config.coordinates != "plane":
            raise UserError("anchored tokens lie on a lattice of latitudes and longitudes; set coordinates to plane")
        cell = config.anchored.cell
        if any(side % cell for side in config.size):
            raise UserError(f"a grid of {config.size} in cells of {cell}; sides must be multiples of the cell")
        self.config, self.channels = config, len(config.variables)
        self.input_size, self.cell = config.size, cell
        self.anchored = Anchored(replace(config.anchored, channels=config.inputs(), start="random"))
        self.before, self.after = self.anchored.halo, self.anchored.reach

    def muon_excluded(self) -> set[str]:
        """As for pictures."""
        return {f"anchored.{name}" for name in self.anchored.muon_excluded()}

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n d"]:
        """What `inputs` made -> one token per cell."""
        beyond = self.before * self.cell
        round_the_earth = nn.functional.pad(images / 4 + 0.5, (beyond, beyond, 0, 0), "circular")
        tokens = self.anchored.encode(round_the_earth)
        return tokens[:, :, self.before : tokens.shape[2] - self.before]

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Any:
        """Where the points lie among the anchors of the continued lattice."""
        rows, columns = lattice
        wider = columns + 2 * self.after
        y, x = (coords.coords() if isinstance(coords, Grid) else coords).unbind(-1)
        return self.anchored.locate(torch.stack([y, x * (columns / wider)], -1), (rows, wider))

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> Any:
        """The local function of every token of the continued lattice."""
        ends = tokens[:, :, -self.after :], tokens, tokens[:, :, : self.after]
        return self.anchored.prepare(torch.cat(ends, 2))

    def combine(self, located: Any, prepared: Any) -> Float[Tensor, "b q c"]:
        """The blended values of the neighbours; what they say of the shares of cells is left out."""
        return (self.anchored.combine(located, prepared)[..., : self.channels] - 0.5) * 4
