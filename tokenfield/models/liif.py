"""LIIF: *Learning Continuous Image Representation with Local Implicit Image Function* (Chen et al., CVPR 2021).

encode: EDSR's body makes a feature of every pixel; this map is the tokens, many times as many numbers as the picture.
decode: an MLP answers for a coordinate from the features of 3 x 3 pixels (unfolding), from where the coordinate is
    beside their middle, and from the size of the pixel that is asked for (cell decoding); four answers, from the four
    pixels around, are blended by the areas opposite (local ensemble).

    s(x, c) = sum_t (S_t / S) f([unfold(z)_t, x - v_t, c])

Lengths are in half pixels of the encoded picture, as in the authors' code. What the first layer of f makes of the
unfolded features is a convolution of the map, and so depends on tokens alone. `skip` adds the picture itself, blended
between pixels, and leaves to the MLP what that lacks; LTE (Lee and Jin, 2022) does so, LIIF does not.
"""

from dataclasses import dataclass
from itertools import pairwise, product
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.nn.affine import wide
from tokenfield.nn.lattice_reading import Read, cubic, linear, pick, read_grid, read_points


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))); no normalisation, which would tie pixels to the contrast of the whole picture."""

    def __init__(self, dim: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(dim, dim, 3, padding=1) for _ in range(2))

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        """One feature map to another."""
        changed: Tensor = x + self.second(self.first(x).relu())
        return changed


class Edsr(nn.Module):
    """EDSR's body. Pictures (B, C, H, W) -> features (B, dim, H, W); one depends on `reach` pixels around its own.

    *Enhanced Deep Residual Networks for Single Image Super-Resolution* (Lim et al., 2017), without its upsampling:
    f = head(x), then f + body(f), where the body is residual blocks x + conv(ReLU(conv(x))) and one more convolution.
    All are 3 x 3 with zeros around the picture. The baseline has 16 blocks of 64 channels.
    """

    def __init__(self, channels: int, dim: int, depth: int):
        super().__init__()
        self.head = nn.Conv2d(channels, dim, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(dim) for _ in range(depth)), nn.Conv2d(dim, dim, 3, padding=1))
        self.reach = 2 * depth + 2

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Channels last in memory: on CPUs the convolutions of such narrow maps are a fifth faster, in bf16 half."""
        features = self.head(images.contiguous(memory_format=torch.channels_last))
        whole: Tensor = features + self.body(features)
        return whole


@dataclass(frozen=True)
class LiifConfig(Sizes):
    """Sizes of the model; the defaults are those published with EDSR-baseline."""

    may_be_zero = frozenset({"depth"})

    channels: int = 3
    """Values per pixel."""
    dim: int = 64
    """Features per pixel."""
    depth: int = 16
    """Residual blocks of the encoder."""
    hidden: tuple[int, ...] = (256, 256, 256, 256)
    """Widths of the MLP's hidden layers."""
    largest_zoom: float = 4.0
    """Magnification beyond which a smaller pixel is answered for as one of this: the largest that training draws."""
    skip: Literal["none", "bilinear", "bicubic"] = "none"
    """Whether the picture itself is added, blended between its pixels; its values are then part of the tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.largest_zoom < 1:
            raise UserError(f"largest_zoom {self.largest_zoom:g}; give at least 1")

    def build(self) -> "Liif":
        return Liif(self)


class Corner(NamedTuple):
    """One of the four pixels around: its row and column, what the MLP's first layer makes of where it is, its weight.

    Rows and columns are those of a grid's axes, or of points; the others are of all Q points, (..., hidden), (..., 1).
    """

    rows: Tensor
    columns: Tensor
    first: Tensor
    weight: Tensor


class QueryState(NamedTuple):
    """The four pixels around, how a grid's axes or points read the picture itself, and whether it is a grid."""

    corners: list[Corner]
    skip: tuple[Read, Read]
    grid: bool


class TokenState(NamedTuple):
    """What the first layer makes of 3 x 3 features, (B, M, N, hidden), and the picture, (B, M, N, C) or no channels."""

    first: Tensor
    picture: Tensor


def offsets(coords: Float[Tensor, "*q"], read: Read, cells: int) -> Float[Tensor, "*q k"]:
    """From the centres of the pixels read to the coordinates, in half pixels."""
    place = (coords + 1) / 2 * cells - 0.5
    return 2 * (place.unsqueeze(-1) - read.cells)


class Liif(FieldModel):
    """A feature of every pixel, read by an MLP. Tokens are (B, H, W, dim), with `skip` (B, H, W, dim + C).

    A query with a `span` stands for a pixel of so many pixels of the encoded picture, one without for a whole pixel.
    """

    name = "liif"
    token = "the feature of one pixel"
    default_recipe: ClassVar[RecipeFields | None] = {"objective": {"jitter": "none", "fraction": 1.0}}

    def __init__(self, config: LiifConfig):
        super().__init__()
        self.config, self.channels = config, config.channels
        self.smallest_span = 1 / config.largest_zoom
        self.encoder = Edsr(config.channels, config.dim, config.depth)
        self.halo, self.reach = self.encoder.reach, 2
        self.unfolded = nn.Conv2d(config.dim, config.hidden[0], 3, padding=1)
        self.place = nn.Linear(4, config.hidden[0], bias=False)  # of two offsets and the cell
        bound = (9 * config.dim + 4) ** -0.5  # both are one linear map in the authors' code, and start as one
        nn.init.uniform_(self.place.weight, -bound, bound)
        widths = (*config.hidden, config.channels)
        maps = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.layers = nn.Sequential(*(part for one in maps for part in (nn.ReLU(), one)))
        if config.skip != "none":  # begins as the blended picture
            nn.init.zeros_(maps[-1].weight)
            nn.init.zeros_(maps[-1].bias)

    def muon_excluded(self) -> set[str]:
        """The last map makes pixels; the one of coordinates is too narrow to count."""
        return {f"layers.{len(self.layers) - 1}.weight"}

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w d"]:
        """Pictures in [0, 1] of any size -> features; the network sees [-1, 1], as in the authors' code."""
        images = images.to(self.place.weight.dtype)
        features = wide(self.encoder(2 * images - 1)).movedim(1, -1)
        return features if self.config.skip == "none" else torch.cat([features, images.movedim(1, -1)], -1)

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> QueryState:
        """The pixels around, of a picture of (rows, columns), and what the MLP is told of the place."""
        grid = isinstance(coords, Grid)
        axes = coords.axes if isinstance(coords, Grid) else coords.unbind(-1)
        spans = (coords.span if isinstance(coords, Grid) else None) or (1.0, 1.0)
        y, x = (linear(axis, cells) for axis, cells in zip(axes, lattice, strict=True))
        down, right = (offsets(*one) for one in zip(axes, (y, x), lattice, strict=True))
        sides = [2 * torch.as_tensor(span).clamp(min=self.smallest_span) for span in spans]
        corners = []
        for i, j in product(range(2), range(2)):
            place = points([down[..., i], right[..., j]], grid)
            cells = [side.to(place[0]).expand_as(place[0]) for side in sides]
            weight_y, weight_x = points([y.weights[..., i], x.weights[..., j]], grid)
            first = self.place(torch.stack([*place, *cells], -1).to(self.place.weight.dtype))
            corners.append(Corner(y.cells[..., i], x.cells[..., j], first, (weight_y * weight_x).unsqueeze(-1)))
        if self.config.skip == "bicubic":
            y, x = (cubic(axis, cells) for axis, cells in zip(axes, lattice, strict=True))
        return QueryState(corners, (y, x), grid)

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> TokenState:
        """The unfolded features through their share of the first layer."""
        features, picture = tokens.split([self.config.dim, tokens.shape[-1] - self.config.dim], -1)
        first = self.unfolded(features.to(self.place.weight.dtype).movedim(-1, 1))
        return TokenState(first.movedim(1, -1).contiguous(), picture)

    def combine(self, located: QueryState, prepared: TokenState) -> Float[Tensor, "b q c"]:
        """The four answers, blended."""
        values: Tensor | float = 0.5 if self.config.skip == "none" else self.blended(located, prepared.picture)
        for rows, columns, first, weight in located.corners:
            near = pick(prepared.first, rows, columns, located.grid)
            values = values + weight * wide(self.layers(near + first.to(near.dtype))) / 2  # from [-1, 1]
        assert isinstance(values, Tensor)
        return values

    def blended(self, located: QueryState, picture: Float[Tensor, "b m n c"]) -> Float[Tensor, "b q c"]:
        """The picture itself between its pixels."""
        return (read_grid if located.grid else read_points)(picture, *located.skip)


def points(axes: list[Tensor], grid: bool) -> list[Tensor]:
    """Numbers of a grid's two axes as numbers of its points, (Q,) each; those of points as they are."""
    return [one.flatten() for one in torch.meshgrid(axes, indexing="ij")] if grid else axes
