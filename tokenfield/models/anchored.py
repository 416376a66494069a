"""Anchored token fields: one token per cell, any height and width, cost linear in the area. This project's own.

encode: every cell of 8 x 8 pixels is a data token; transformer blocks on the neighbourhood; one latent token per cell,
    the sum of a linear code of the cell (its leading principal components, at first) and what the transformer adds.
decode: transformer blocks on the neighbourhood of the latents make features; tokens and features give every token a
    function of the coordinate relative to its anchor (relative head); a coordinate attends to its nearest anchors by
    content and distance (anchored aggregation).

As in the locality-aware model (NeurIPS 2023) coordinates select tokens; here tokens have places. The linear part starts
at the best linear code of the training pictures, the floor which learned codes are measured against, and not 30 dB
below it (docs/log.md). Related: LIIF (local latents, relative coordinates), Equivariant Neural Fields (2406.05753).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates, Grid, centers
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.nn.anchors import AnchoredAggregation, Gaps, Neighbours, fade, gaps, harmonics, neighbours, window
from tokenfield.nn.encoder import patchify
from tokenfield.nn.neighbourhood import NeighbourhoodTransformer
from tokenfield.nn.relative import RelativeHead, ScaledLinear


@dataclass(frozen=True)
class CellSizes(Sizes):
    """What systems with a token per cell share."""

    cell: int = 8
    """Side of a cell in pixels; every cell is one token."""
    channels: int = 3
    """Values per pixel."""
    harmonics: int = 16
    """Cosines per axis of a token's function, over two cells."""
    sharpness: float = 9.0
    """Sharpness of the distance term at the start of training."""


@dataclass(frozen=True)
class AnchoredConfig(CellSizes):
    """Sizes of an anchored model; the defaults are those of the packaged `photos-s`."""

    may_be_zero = frozenset({"encoder_depth", "decoder_depth", "radius"})

    latent_dim: int = 96
    """Width of a token: 96 of the 192 values of an 8 x 8 cell are stored, one per two pixel values."""
    encoder_dim: int = 128
    """Width of the encoder's transformer."""
    encoder_depth: int = 1
    """Its blocks; 0 leaves the linear code alone."""
    decoder_dim: int = 128
    """Width of the decoder's transformer."""
    decoder_depth: int = 1
    """Its blocks; 0 decodes every token by itself."""
    head_dim: int = 32
    """Width of an attention head."""
    radius: int = 1
    """Cells on each side that a token attends to."""
    mlp_ratio: float = 4.0
    """Hidden width of the feed-forward parts over the transformer's."""
    start: Literal["components", "random"] = "components"
    """Where the linear path starts: at the principal components of training pictures, or at random weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, dim, depth in (("encoder_dim", self.encoder_dim, self.encoder_depth),
                                 ("decoder_dim", self.decoder_dim, self.decoder_depth)):
            if depth and dim < self.head_dim:
                raise UserError(f"{name} {dim} is narrower than head_dim {self.head_dim}; change one of them")

    def build(self) -> "Anchored":
        return Anchored(self)


class QueryState(NamedTuple):
    """A set of coordinates among the anchors.

    `grid` holds the two axes of a grid sorted into gaps, and what the box of a query leaves of the harmonics, (k,) per
    axis. `distance` is the distance term per neighbour, (4, Q), or (B, 4, Q) for points of their own, and `outside` of
    the same shape is 0 for neighbours on the lattice.
    """

    y: Neighbours
    x: Neighbours
    grid: tuple[Gaps, Gaps, tuple[Tensor, Tensor]] | None
    distance: Tensor
    outside: Tensor


class TokenState(NamedTuple):
    """What depends on the tokens alone.

    `coefficients` are local functions, (B, M + 2, N + 2, C + 1, k, k), within a border of zeros; the last channel is
    the content score. `sharpness`, (B,), is a factor beside the sharpness that the aggregation learned.
    """

    coefficients: Tensor
    sharpness: Tensor | None = None


def add_axes(y: Float[Tensor, "*b h 2"], x: Float[Tensor, "*b w 2"], grid: bool) -> Float[Tensor, "*b 4 q"]:
    """Numbers of the two neighbours per axis -> their sums for the four neighbours of points or of a grid's points."""
    if grid:
        return (y.T[:, None, :, None] + x.T[None, :, None, :]).flatten(2).flatten(0, 1)
    return (y.unsqueeze(-1) + x.unsqueeze(-2)).flatten(-2).transpose(-1, -2)


class AnchorField(FieldModel):
    """Tokens on a lattice of cells, each a function of the coordinate relative to its anchor. (B, rows, columns, D)

    Subclasses make `head` and `aggregation`, and `prepare` says what a token's function is.
    """

    head: RelativeHead
    aggregation: AnchoredAggregation

    def __init__(self, config: CellSizes):
        super().__init__()
        self.config, self.cell, self.channels = config, config.cell, config.channels
        self.largest_span = float(config.cell)
        self.chunk = 1 << 15  # a grid's cost is per row of cells: larger parts waste less of it

    def pixels(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n p"]:
        """The pixels of every cell, around 0; sides are multiples of `cell`."""
        rows, columns = (side // self.cell for side in images.shape[-2:])
        pixels: Tensor = patchify(images, self.cell).unflatten(1, (rows, columns)) - 0.5
        return pixels

    def continued(self) -> Float[Tensor, "k p"]:
        """From a cell's pixels along an axis to cosines that show them, continued by reflection into the next cells."""
        basis = harmonics(centers(2 * self.cell, dtype=torch.float64), self.head.shape[-1])  # (2p, k)
        pixels = torch.eye(self.cell, dtype=torch.float64)
        before, after = pixels[: self.cell // 2].flip(0), pixels[self.cell // 2 :].flip(0)
        inverse: Tensor = torch.linalg.pinv(basis)  # the transpose when there are 2p harmonics
        return inverse @ torch.cat([before, pixels, after])

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> QueryState:
        """Where the coordinates lie among the anchors of a lattice of (rows, columns)."""
        axes = coords.axes if isinstance(coords, Grid) else coords.unbind(-1)
        y, x = (neighbours(axis, cells) for axis, cells in zip(axes, lattice, strict=True))
        grid = None
        if isinstance(coords, Grid):
            spans = coords.span or (1.0, 1.0)
            fade_y, fade_x = (fade(self.head.shape[-1], self.cell, span).to(y.relative) for span in spans)
            grid = gaps(y), gaps(x), (fade_y, fade_x)
        distance = add_axes(window(y.relative), window(x.relative), grid is not None)
        return QueryState(y, x, grid, distance, add_axes(y.outside, x.outside, grid is not None))

    def combine(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "b q c"]:
        """Evaluate the four neighbours' functions and blend them."""
        local = self.local(located, prepared)
        return self.blend(located, prepared, local[..., -1], local[..., :-1]) + 0.5

    def local(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "b four q c"]:
        """The four neighbours' functions: values, and in the last channel their content scores."""
        if located.grid is None:
            return self.head.at_points(prepared.coefficients, located.y, located.x)
        return self.head.on_grid(prepared.coefficients, *located.grid)

    def blend(self, located: QueryState, prepared: TokenState, content: Tensor, values: Tensor) -> Tensor:
        """The mean (B, Q, C) of what the four neighbours say (B, 4, Q, C), by content (B, 4, Q) and distance."""
        distance, sharpness = located.distance, prepared.sharpness
        if sharpness is not None:
            distance = sharpness[:, None, None] * distance  # (B, 4, Q)
        blended: Tensor = self.aggregation(content, distance, located.outside, values)
        return blended

    def attention(self, tokens: Float[Tensor, "one m n d"], coords: Float[Tensor, "q x"]) -> Float[Tensor, "one q r"]:
        """The weights of the four neighbours at their places among all anchors; one head, 0 for all others."""
        rows, columns = tokens.shape[1:3]
        located, prepared = self.locate(coords, (rows, columns)), self.prepare(tokens)
        content = self.local(located, prepared)[..., -1]  # (1, 4, Q)
        names = torch.eye(4, dtype=content.dtype, device=content.device)[:, None].expand(-1, coords.shape[0], -1)[None]
        four = self.blend(located, prepared, content, names)[0]  # (Q, 4)
        weights = four.new_zeros(coords.shape[0], rows + 2, columns + 2)  # with a border for neighbours off the lattice
        point = torch.arange(coords.shape[0], device=four.device)[:, None]
        one = torch.arange(4, device=four.device)
        weights[point, located.y.lower[:, None] + 1 + one // 2, located.x.lower[:, None] + 1 + one % 2] = four
        return weights[:, 1:-1, 1:-1].flatten(1)[None]


class Anchored(AnchorField):
    """One token per cell of a picture of any size. Tokens are (B, rows, columns, latent_dim).

    They have unit variance on the training pictures.
    """

    name = "anchored"
    token = "a latent vector of one cell of the picture"
    config: AnchoredConfig
    default_recipe: ClassVar[RecipeFields | None] = {"objective": {"jitter": "none", "fraction": 1.0}}

    def __init__(self, config: AnchoredConfig):
        super().__init__(config)
        patch = config.channels * config.cell**2

        def transformer(dim: int, depth: int) -> NeighbourhoodTransformer:
            sizes = {"num_heads": dim // config.head_dim, "radius": config.radius}
            return NeighbourhoodTransformer(dim, depth=depth, mlp_ratio=config.mlp_ratio, **sizes)

        self.linear_code = ScaledLinear(patch, config.latent_dim, scale=0.05)
        self.embed = nn.Linear(patch, config.encoder_dim)
        self.encoder = transformer(config.encoder_dim, config.encoder_depth)
        self.encoder_norm = nn.LayerNorm(config.encoder_dim)
        self.to_latent = ScaledLinear(config.encoder_dim, config.latent_dim, scale=0.05)

        self.from_latent = nn.Linear(config.latent_dim, config.decoder_dim)
        self.decoder = transformer(config.decoder_dim, config.decoder_depth)
        self.decoder_norm = nn.LayerNorm(config.decoder_dim)
        self.head = RelativeHead(
            latent_dim=config.latent_dim,
            feature_dim=config.decoder_dim if config.decoder_depth else 0,
            channels=config.channels + 1,  # the last one is the content score of the aggregation
            num_harmonics=config.harmonics,
        )
        self.aggregation = AnchoredAggregation(sharpness=config.sharpness)
        self.halo, self.reach = self.encoder.reach, self.decoder.reach + 1
        enough = 512 * max(1, config.cell // 8) ** 2  # pictures for `initialize`: larger cells have more components
        self.initial_pictures = enough if config.start == "components" else 0
        if config.start == "random":  # tokens of unit variance, pixels of deviation 1/4, as with components
            weight = torch.randn(config.latent_dim, patch) * 4 * patch**-0.5
            self.linear_code.set(weight, torch.zeros(config.latent_dim))
            nn.init.normal_(self.head.direct.weight, std=0.2)

    def muon_excluded(self) -> set[str]:
        """Maps between tokens and pixels keep to Adam: their columns mean something one by one."""
        names = "linear_code", "embed", "to_latent", "from_latent", "head.direct", "head.refined"
        return {f"{name}.weight" for name in names} & {name for name, _ in self.named_parameters()}

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n d"]:
        """Pictures in [0, 1], sides multiples of `cell` -> one token per cell."""
        pixels = self.pixels(images.to(self.embed.weight.dtype))
        tokens: Tensor = self.linear_code(pixels)
        if self.config.encoder_depth:
            hidden = self.encoder(self.embed(pixels * 4))  # pictures have a deviation of about 1/4
            tokens = tokens + self.to_latent(self.encoder_norm(hidden))
        return tokens

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> TokenState:
        """The local functions."""
        tokens = tokens.to(self.from_latent.weight.dtype)
        features = self.decoder_norm(self.decoder(self.from_latent(tokens))) if self.config.decoder_depth else None
        return TokenState(self.head.coefficients(tokens, features))

    @torch.no_grad()
    def initialize(self, images: Float[Tensor, "b c h w"]) -> None:
        """Set the linear path to the principal components of the pictures' cells, scaled to unit variance.

        A token's function shows them on its own cell and continues by reflection into the neighbouring cells.
        """
        p, d, c = self.cell, self.config.latent_dim, self.channels
        cells = patchify(images.double(), p).flatten(0, 1) - 0.5
        mean = cells.mean(0)
        variance, components = torch.linalg.eigh((cells - mean).T @ (cells - mean) / len(cells))
        components = components.flip(1)[:, :d]  # (patch, D), leading first
        deviation = variance.flip(0)[:d].clamp(min=1e-8).sqrt()
        analysis = (components / deviation).T  # (D, patch)
        self.linear_code.set(analysis, -analysis @ mean)

        synthesis = torch.cat([components * deviation, mean[:, None]], 1).view(c, p, p, -1)
        axis = self.continued()
        coefficients = torch.einsum("ky,lx,cyxd->ckld", axis, axis, synthesis)
        coefficients = torch.cat([coefficients, torch.zeros_like(coefficients[:1])])  # no content score yet
        flat = coefficients.flatten(0, 2)
        self.head.direct.set(flat[:, :d], flat[:, d])
