"""Functa: *From data to functa: Your data point is a function and you can treat it like one* (ICML 2022).

Below it stands its successor whose latent is a grid, Spatial Functa.

One SIREN is shared by all pictures (`tokenfield.nn.siren`); a picture is a latent vector, from which a linear map makes
shifts of the SIREN's layers. There is no encoder: the latent starts at zero and takes 3 steps of gradient descent on
the picture's error (`tokenfield.nn.meta_learning`).

From the published runs: the same 3 steps in training and in evaluation; a rate per entry; shifts alone and a linear map
(deeper ones were worse); coordinates in [0, 1]; Adam at 3e-6 for everything shared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates, Grid
from tokenfield.metrics import mse
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.nn.lattice_reading import Read, linear, nearest, read_grid, read_points
from tokenfield.nn.meta_learning import descend
from tokenfield.nn.siren import ModulatedSiren, exactly

META_RECIPE: dict[str, object] = {
    "optim": {"name": "adam", "rate": 3e-4},
    "objective": {"jitter": "none", "fraction": 1.0},  # all pixels, where it adapts
    "accumulate": 4,
}
"""How systems that adapt by a few steps of descent are trained."""


@dataclass(frozen=True)
class MetaSizes(Sizes):
    """What vector and grid latents share: a SIREN, and steps from zero."""

    may_be_zero = frozenset({"inner_steps", "lowest_rate"})

    size: tuple[int, int] = (64, 64)
    """Height and width of the pictures it adapts to."""
    channels: int = 3
    """Values per coordinate."""
    dim: int = 512
    """Width of the SIREN."""
    depth: int = 15
    """Linear layers of the SIREN, the output included."""
    latent_dim: int = 512
    """Width of a latent. More than (depth - 1) x dim shifts could not say more."""
    w0: float = 30.0
    """Factor inside the sines."""
    inner_steps: int = 3
    """Steps of gradient descent per picture."""
    lowest_rate: float = 0.005
    """Rates of the steps start uniform between this ..."""
    highest_rate: float = 0.1
    """... and this."""


@dataclass(frozen=True)
class FunctaConfig(MetaSizes):
    """Sizes of the SIREN and of the latent vector; the defaults are those published for CelebA-HQ at 64 pixels."""

    def build(self) -> "Functa":
        return Functa(self)


class EntryRates(nn.Module):
    """A rate in [0, 1] for every entry of a latent, trained like a weight (Meta-SGD); uniform at the start."""

    def __init__(self, shape: tuple[int, ...], lowest: float, highest: float):
        super().__init__()
        self.rate = nn.Parameter(torch.empty(shape).uniform_(lowest, highest))

    def forward(self) -> Float[Tensor, "*d"]:
        """The rates."""
        return self.rate.clamp(0, 1)


class MetaLearnedField(FieldModel):
    """What vector and grid latents share: a modulated SIREN, and tokens of a `shape` that are adapted from zero.

    Subclasses say where coordinates lie (`locate`), and which shifts a latent means (`prepare`, `combine`).
    `error_scale` multiplies the mean squared error over the picture before its gradient is taken.
    """

    def __init__(self, config: MetaSizes, shape: tuple[int, ...], error_scale: float = 1.0):
        super().__init__()
        self.config, self.input_size, self.channels = config, config.size, config.channels
        self.shape, self.error_scale = shape, error_scale
        self.siren = ModulatedSiren(2, config.dim, config.depth, config.channels, config.w0)
        self.rates = EntryRates(shape, config.lowest_rate, config.highest_rate)

    def adapt(self, images: Float[Tensor, "b c h w"], steps: int) -> Iterator[Float[Tensor, "b *d"]]:
        """Tokens before the first step, which are zero, and after each."""
        target, rates = images.flatten(2).mT, self.rates()  # (B, Q, C)
        located = self.locate(Grid.cells(*images.shape[-2:], device=images.device))

        def error(at: list[Tensor]) -> Tensor:
            values = self.combine(located, self.prepare(at[0]))
            return mse(values, target.to(values.dtype)).sum() * self.error_scale

        start = torch.zeros(len(images), *self.shape, dtype=rates.dtype, device=images.device)
        for (tokens,) in descend([start], error, lambda _: [rates], steps):
            yield tokens

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b *d"]:
        """Pictures in [0, 1] -> their latents, after `config.inner_steps` steps on all pixels, in float32 or wider.

        Autocast is off for the steps: it would run the products of their gradients in bfloat16.
        """
        with torch.autocast(images.device.type, enabled=False):
            *_, tokens = self.adapt(images, self.config.inner_steps)
        return tokens


class Functa(MetaLearnedField):
    """Functa, whose latent is a vector. Tokens are (B, 1, latent_dim): the vector is one token, without a place."""

    name = "functa"
    token = "the latent vector of the whole picture"
    default_recipe: ClassVar[RecipeFields | None] = META_RECIPE | {"model": {"dim": 128, "depth": 5}}

    def __init__(self, config: FunctaConfig):
        super().__init__(config, (1, config.latent_dim))
        self.to_shifts = nn.Linear(config.latent_dim, self.siren.num_shifts)
        nn.init.trunc_normal_(self.to_shifts.weight, std=config.latent_dim**-0.5)
        nn.init.zeros_(self.to_shifts.bias)

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Float[Tensor, "*q d"]:
        """The first layer, before its shift; the SIREN sees points in [0, 1]."""
        points = coords.coords() if isinstance(coords, Grid) else coords
        return self.siren.locate((points + 1) / 2)

    def prepare(self, tokens: Float[Tensor, "b 1 d"]) -> Float[Tensor, "b 1 s"]:
        """Shifts of all layers."""
        return exactly(self.to_shifts, tokens)

    def combine(self, located: Float[Tensor, "*q d"], prepared: Float[Tensor, "b 1 s"]) -> Float[Tensor, "b q c"]:
        """The shifted SIREN."""
        values: Tensor = self.siren(located, prepared)
        return values


@dataclass(frozen=True)
class SpatialFunctaConfig(MetaSizes):
    """Sizes of the SIREN and of the grid; the latents are those of Table 5 at 256 pixels, the SIREN's sizes our own."""

    size: tuple[int, int] = (256, 256)
    """Height and width of the pictures it adapts to."""
    dim: int = 256
    """Width of the SIREN."""
    depth: int = 6
    """Linear layers of the SIREN, the output included."""
    latent_dim: int = 256
    """Width of a latent."""
    grid: tuple[int, int] = (16, 16)
    """Rows and columns of latents."""
    kernel: int = 3
    """Side of the convolution that makes shifts of latents; 1 lets every cell speak for itself."""
    interpolation: Literal["nearest", "linear"] = "nearest"
    """How a coordinate reads the shifts of the cells around it."""

    def build(self) -> "SpatialFuncta":
        return SpatialFuncta(self)


class QueryState(NamedTuple):
    """The SIREN's first layer, before its shift, (Q, d) or (B, Q, d); and what each axis, of a grid or not, reads."""

    first: Tensor
    axes: tuple[Read, Read]
    grid: bool


class SpatialFuncta(MetaLearnedField):
    """Functa whose latent is a grid. Tokens are (B, rows, columns, latent_dim), one for every cell.

    *Spatial Functa: Scaling Functa to ImageNet Classification and Generation* (2023): a convolution makes shifts of the
    latents, cell by cell, and a coordinate reads them by one of two interpolations. The gradient of a picture's mean
    error by one cell falls with the number of cells. It is multiplied with that number (the error of a cell's own
    pixels), so that the published range of rates means the same for any grid.
    """

    name = "spatial-functa"
    token = "a latent vector of one cell of the picture"
    default_recipe: ClassVar[RecipeFields | None] = META_RECIPE | {
        "model": {"size": (64, 64), "grid": (8, 8), "latent_dim": 96, "kernel": 1, "dim": 64, "depth": 5}
    }

    def __init__(self, config: SpatialFunctaConfig):
        rows, columns = config.grid
        super().__init__(config, (rows, columns, config.latent_dim), error_scale=float(rows * columns))
        self.to_shifts = nn.Conv2d(config.latent_dim, self.siren.num_shifts, config.kernel, padding=config.kernel // 2)
        nn.init.trunc_normal_(self.to_shifts.weight, std=(config.latent_dim * config.kernel**2) ** -0.5)
        nn.init.zeros_(self.to_shifts.get_parameter("bias"))
        self.read = nearest if config.interpolation == "nearest" else linear

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> QueryState:
        """Which cells the coordinates read, and the first layer before its shift."""
        axes = coords.axes if isinstance(coords, Grid) else coords.unbind(-1)
        y, x = (self.read(axis, cells) for axis, cells in zip(axes, self.shape[:-1], strict=True))
        grid = isinstance(coords, Grid)
        points = Grid((y.local, x.local)).coords() if grid else torch.stack([y.local, x.local], -1)
        return QueryState(self.siren.locate(points), (y, x), grid)

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> Float[Tensor, "b m n s"]:
        """Shifts of all layers, in every cell."""
        return exactly(self.to_shifts, tokens.movedim(-1, 1)).movedim(1, -1)

    def combine(self, located: QueryState, prepared: Float[Tensor, "b m n s"]) -> Float[Tensor, "b q c"]:
        """The SIREN, shifted point by point."""
        read = read_grid if located.grid else read_points
        values: Tensor = self.siren(located.first, read(prepared, *located.axes))
        return values
