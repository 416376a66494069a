"""Systems for fields on the sphere: LAINR, ANR and anchored tokens at latitudes and longitudes.

The parts are those of the picture systems. The encoder reads a global grid of C variables, standardised, and beside
them what share of each cell has values: a missing cell holds 0, the mean, and the share says that it is no value.
Coordinates are points of the unit sphere (d_in = 3), or of the plain grid of ANR (d_in = 2), and values are C
standardised ones, without the offset of 0.5 that pictures have.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.earth.data import GridSample
from tokenfield.earth.sphere import LatLon, plane, unit_vectors
from tokenfield.errors import UserError
from tokenfield.models.anchored import Anchored, AnchoredConfig
from tokenfield.models.anr import AnrConfig, HyperField
from tokenfield.models.base import FieldModel, Model
from tokenfield.models.folder import unwrapped
from tokenfield.models.lainr import LainrConfig, build_aggregator, build_encoder, build_head
from tokenfield.models.token_field import TokenField, patch_places
from tokenfield.nn.local_start import local_start
from tokenfield.nn.parts import Decoding, QueryState, TokenState
from tokenfield.nn.places import on_sphere
from tokenfield.nn.token_decoder import TokenDecoder

Earth = Literal["sphere", "plane"]


@dataclass(frozen=True)
class Variable:
    """What a channel is, and how it is standardised: x -> (x - offset) scale, as ANR's 0.01 (x - 260) for ERA5."""

    name: str = ""
    """As in the files; empty: any variable, one at a time."""
    units: str = ""
    """What its values are in; empty: as the file says."""
    offset: float | None = None
    """Subtracted from its values; None: every field's own mean."""
    scale: float | None = None
    """Multiplies what is left; None: one over every field's own standard deviation."""


@dataclass(frozen=True)
class EarthConfig:
    """What the gridded systems share; `channels` of the sizes they wrap is not used."""

    variables: tuple[Variable, ...] = (Variable(),)
    coordinates: Earth = "sphere"
    """sphere: unit vectors, continuous around the Earth and over the poles; plane: (y, x), as ANR has ERA5."""
    masked: bool = True
    """False: the encoder does not read which cells are missing, for fields that lack none."""

    @property
    def in_dim(self) -> int:
        """d_in."""
        return 3 if self.coordinates == "sphere" else 2

    def inputs(self) -> int:
        """Channels of what the encoder reads."""
        return len(self.variables) * (2 if self.masked else 1)


@dataclass(frozen=True)
class GriddedLainrConfig(EarthConfig):
    """A LAINR on the sphere."""

    lainr: LainrConfig = field(default_factory=LainrConfig)

    def build(self) -> "GriddedLainr":
        return GriddedLainr(self)


@dataclass(frozen=True)
class GriddedAnrConfig(EarthConfig):
    """An ANR on the sphere."""

    anr: AnrConfig = field(default_factory=AnrConfig)

    def build(self) -> "GriddedAnr":
        return GriddedAnr(self)


@dataclass(frozen=True)
class GriddedAnchoredConfig(EarthConfig):
    """Anchored tokens around the Earth, one per cell."""

    anchored: AnchoredConfig = field(default_factory=lambda: AnchoredConfig(start="random"))
    size: tuple[int, int] = (90, 180)
    """Rows and columns of the grid, multiples of the cell."""

    def build(self) -> "GriddedAnchored":
        return GriddedAnchored(self)


class EarthModel(FieldModel):
    """What the gridded systems answer beside `encode` and `decode`."""

    command = "climate"
    takes = "maps"
    after_training = "climate evaluate {out} --data {data}"
    default_recipe = None
    in_unit = None  # standardised values
    config: EarthConfig
    input_size: tuple[int, int]

    @property
    def coordinate_dim(self) -> int:
        return self.config.in_dim

    def example(self, batch: int = 2) -> tuple[Tensor, dict[int, str]]:
        return torch.rand(batch, self.config.inputs(), *self.input_size), {0: "batch"}

    def inputs(
        self, values: Float[Tensor, "b c h w"], covered: Float[Tensor, "b c h w"], mean: Float[Tensor, "b c"],
        deviation: Float[Tensor, "b c"]
    ) -> tuple[Float[Tensor, "b d h w"], Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """What `encode` takes, and the offset and scale of every variable.

        Of physical values on the encoder's grid, and what share of each cell has any; mean and deviation of every field
        stand for an offset and a scale that a variable lacks.
        """
        # A field without any variation is divided by 1.
        own = torch.where(deviation > 1e-6 * mean.abs().clamp(min=1e-6), 1 / deviation, 1.0)
        columns = list(zip(self.config.variables, mean.unbind(1), own.unbind(1), strict=True))
        offset = torch.stack([m if v.offset is None else torch.full_like(m, v.offset) for v, m, _ in columns], 1)
        scale = torch.stack([s if v.scale is None else torch.full_like(s, v.scale) for v, _, s in columns], 1)
        standard = (values - offset[..., None, None]) * scale[..., None, None] * (covered > 0)
        return torch.cat([standard, covered] if self.config.masked else [standard], 1), offset, scale

    def encode_sample(self, sample: GridSample) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens of one field, and offset (C,) and scale (C,) of every variable; no gradient is recorded."""
        device = next(self.parameters()).device
        parts = sample.inputs, sample.covered, sample.mean, sample.deviation
        with torch.no_grad():
            inputs, offset, scale = self.inputs(*(part[None].to(device) for part in parts))
            return self.encode(inputs)[0].float(), offset[0], scale[0]

    def place(self, places: Float[Tensor, "*q 2"]) -> Float[Tensor, "*q x"]:
        """(latitude, longitude) in degrees -> coordinates that `decode` takes."""
        return unit_vectors(places) if self.config.coordinates == "sphere" else plane(places)

    @property
    def own_standards(self) -> int:
        """Numbers stored per field beside the tokens: offsets and scales that are the field's own."""
        return sum((v.offset is None) + (v.scale is None) for v in self.config.variables)


def earth_model(model: object) -> EarthModel:
    """The model, compiled or parallel too, if it is one of fields on the sphere. Raises UserError for another."""
    own: Model = unwrapped(model)
    if not isinstance(own, EarthModel):
        raise UserError(f"a {own.name} model knows no latitudes; train one of lainr-climatology, anr-climatology, "
                        "anchored-climatology, lainr-era5, anr-era5")
    return own


class GriddedLainr(EarthModel, TokenField):
    """LAINR on the sphere. Tokens are (B, R, latent_dim), a set."""

    name = "gridded-lainr"
    config: GriddedLainrConfig

    def __init__(self, config: GriddedLainrConfig):
        sizes, in_dim = replace(config.lainr, channels=len(config.variables)), config.in_dim
        encoder, aggregator = build_encoder(sizes, channels=config.inputs()), build_aggregator(sizes, in_dim=in_dim)
        decoder = TokenDecoder(aggregator, build_head(sizes, in_dim=in_dim), output_bias=0.0)
        super().__init__(config, sizes, encoder, decoder, start=sizes.start)

    def initialize(self, samples: dict[str, Tensor]) -> None:  # type: ignore[override]
        """The local start; see `start_on_earth`."""
        start_on_earth(self, self, samples)


class GriddedAnr(EarthModel):
    """ANR on the sphere, or on the plain grid as published. Tokens are (B, R, dim), a set."""

    name = "gridded-anr"
    config: GriddedAnrConfig

    def __init__(self, config: GriddedAnrConfig):
        super().__init__()
        sizes = replace(config.anr, channels=len(config.variables))
        self.config, self.channels = config, sizes.channels
        self.input_size, self.cell = sizes.size, sizes.patch
        self.field = HyperField(sizes, in_dim=config.in_dim, patch_channels=config.inputs(), positions=True)
        self.field.in_unit = None
        self.initial_pictures = self.field.initial_pictures

    def initialize(self, samples: dict[str, Tensor]) -> None:
        """The local start; see `start_on_earth`."""
        start_on_earth(self, self.field, samples)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """What `inputs` made -> R-tokens."""
        return self.field.encode(images)

    @property
    def decoding(self) -> Decoding:
        """The ANR within."""
        return self.field


def start_on_earth(model: EarthModel, field: TokenField, samples: dict[str, Tensor]) -> None:
    """The local start, with anchors of equal area on the sphere, or on the plain grid.

    Args:
        model: says what coordinates are.
        field: the system, or what is in it: its weights are changed.
        samples: what the source gives, stacked.
    """
    images, _, _ = model.inputs(samples["inputs"], samples["covered"], samples["mean"], samples["deviation"])
    if model.config.coordinates == "plane":
        return TokenField.initialize(field, images)
    patches = LatLon.globe(*patch_places((images.shape[-2], images.shape[-1]), field.cell, field.padding).shape)
    local_start(field.encoder, field.decoder.aggregator, field.cut(images), on_sphere, model.place(patches.places()))


class GriddedAnchored(EarthModel):
    """Anchored tokens on a lattice that closes around the Earth. Tokens are (B, rows, columns, latent_dim).

    The lattice is a picture of the Earth, so its cells are as narrow near the poles as meridians are, and a pole is a
    row of cells: the field is continuous around the Earth, but a pole has a value per meridian. The picture and the
    tokens are continued across longitude 0 by as many columns as the two transformers reach.
    """

    name = "gridded-anchored"
    config: GriddedAnchoredConfig

    def __init__(self, config: GriddedAnchoredConfig):
        super().__init__()
        if config.coordinates != "plane":
            raise UserError("anchored tokens lie on a lattice of latitudes and longitudes; set coordinates to plane")
        cell = config.anchored.cell
        if any(side % cell for side in config.size):
            raise UserError(f"a grid of {config.size} in cells of {cell}; sides must be multiples of the cell")
        self.config, self.channels = config, len(config.variables)
        self.input_size, self.cell = config.size, cell
        self.anchored = Anchored(replace(config.anchored, channels=config.inputs()))
        self.anchored.in_unit = None
        self.initial_pictures = 64 if self.anchored.initial_pictures else 0  # fields, of many cells each
        self.before, self.after = self.anchored.halo, self.anchored.reach

    def muon_excluded(self) -> set[str]:
        """As for pictures."""
        return {f"anchored.{name}" for name in self.anchored.muon_excluded()}

    def initialize(self, samples: dict[str, Tensor]) -> None:
        """The linear path starts at the principal components of the cells' values; shares have no part in them."""
        images, _, _ = self.inputs(samples["inputs"], samples["covered"], samples["mean"], samples["deviation"])
        images[:, self.channels :] = 0.0
        self.anchored.initialize(images / 4 + 0.5)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n d"]:
        """What `inputs` made -> one token per cell."""
        beyond = self.before * self.cell
        round_the_earth = nn.functional.pad(images / 4 + 0.5, (beyond, beyond, 0, 0), "circular")
        tokens = self.anchored.encode(round_the_earth)
        return tokens[:, :, self.before : tokens.shape[2] - self.before]

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> QueryState:
        """Where the points lie among the anchors of the continued lattice."""
        rows, columns = lattice
        wider = columns + 2 * self.after
        y, x = (coords.coords() if isinstance(coords, Grid) else coords).unbind(-1)
        return self.anchored.locate(torch.stack([y, x * (columns / wider)], -1), (rows, wider))

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> TokenState:
        """The local function of every token of the continued lattice."""
        ends = tokens[:, :, -self.after :], tokens, tokens[:, :, : self.after]
        return self.anchored.prepare(torch.cat(ends, 2))

    def combine(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "b q c"]:
        """The blended values of the neighbours; the shares of cells are left out."""
        return (self.anchored.combine(located, prepared)[..., : self.channels] - 0.5) * 4
