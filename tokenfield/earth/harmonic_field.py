"""Harmonic tokens: spherical harmonics, and learned functions of the whole sphere for what they leave.

    y(v) = sum_lm z_lm Y_lm(v) + sum_k z_k P_k(v)

Y_lm are the harmonics up to `degree`, P_k patterns on a grid of the sphere, between whose nodes they are bilinear:
where coasts, currents and winds depart from what is smooth. A token is the coefficient of one function, for every
channel; it is the most likely one under a normal prior, whose variances are learned too, so a field can be made of the
cells of any grid, of those that have values, or of some stations, and every answer has a deviation:

    z = argmin sum_i w_i (y_i - y(v_i))^2 / s^2 + sum_k z_k^2 / p_k,      S = (B^T W B / s^2 + diag(1 / p))^-1
    deviation(v)^2 = b(v)^T S b(v) + s(v)^2

b(v) are the functions at v, the rows of B at the observations, s(v)^2 the variance that the functions leave there.

Training starts from the answer in closed form: without patterns this is the best fit of spherical harmonics; patterns
are the principal components of what that leaves of training fields, so no step is made below it. A gradient step then
moves the patterns alone, since at the best z the loss does not change with z (variable projection, Golub and Pereyra,
1973). This project's own; linear in its tokens.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample, pad

from tokenfield.coords import Coordinates, Grid
from tokenfield.earth.data import GridSample
from tokenfield.earth.harmonics import basis, exact_least_squares, grid_basis, least_squares
from tokenfield.earth.models import EarthConfig, EarthModel
from tokenfield.earth.sphere import LatLon, plane
from tokenfield.errors import UserError
from tokenfield.nn.affine import wide

START = 256
"""Training fields, drawn with replacement, from which the patterns start."""
GRIDDED = 1e-3
"""Factor on the prior's weight for data on a grid, which are to be given back and not smoothed."""
LARGEST = 4096
"""Scattered observations by which deviations are calibrated: a matrix of so many rows is solved."""


@dataclass(frozen=True)
class GriddedHarmonicConfig(EarthConfig):
    """Harmonic tokens; with the defaults 1024 per field, as many as harmonics up to degree 31 have."""

    size: tuple[int, int] = (90, 180)
    """Rows and columns of the patterns' grid, and of the encoder's."""
    degree: int = 30
    """Of the spherical harmonics: (degree + 1)^2 tokens."""
    patterns: int = 63
    """Learned functions: as many tokens."""

    def __post_init__(self) -> None:
        if self.degree < 0 or self.patterns < 1 or self.coordinates != "sphere" or not self.masked:
            raise UserError(f"degree {self.degree}, patterns {self.patterns}, coordinates {self.coordinates}, masked "
                            f"{self.masked}; give at least 0, at least 1, sphere and True")

    def build(self) -> "GriddedHarmonic":
        """The model with patterns of nothing: `initialize` makes them."""
        return GriddedHarmonic(self)


class GriddedHarmonic(EarthModel):
    """Harmonic tokens, (B, N, C): a linear code of the sphere."""

    name = "gridded-harmonic"
    token = "the coefficient of one function of the whole sphere"
    config: GriddedHarmonicConfig
    log_prior: Tensor
    log_noise: Tensor

    def __init__(self, config: GriddedHarmonicConfig):
        super().__init__()
        self.config, self.channels, self.input_size = config, len(config.variables), config.size
        self.initial_pictures = START
        self.globe = LatLon.globe(*config.size)
        self.patterns = nn.Parameter(torch.zeros(config.patterns, *config.size))
        count = (config.degree + 1) ** 2 + config.patterns
        self.register_buffer("log_prior", torch.zeros(count))  # log p_k
        self.register_buffer("log_noise", torch.zeros(config.size))  # log s(v)^2

    def precision(self, *, mean_known: bool = True) -> Float[Tensor, " n"]:
        """s^2 / p_k, what least squares adds to its diagonal; scattered places do not know the sphere's mean."""
        prior = self.log_prior.exp()
        if not mean_known:
            prior = torch.cat([prior[:1].clamp(min=1.0), prior[1:]])
        mean: Tensor = self.log_noise.exp().mean()
        return mean / prior

    def encode(self, images: Float[Tensor, "b d h w"]) -> Float[Tensor, "b n c"]:
        """What `inputs` made -> tokens, fitted to the cells of the encoder's grid that have values."""
        values, shares = images.flatten(2).flatten(0, 1).unflatten(0, (images.shape[0], 2, -1)).unbind(1)
        weights = shares * (self.globe.areas.flatten().to(shares) * len(self.globe))
        patterns = wide(self.patterns)
        values, weights = (part.flatten(0, 1).T.to(patterns) for part in (values, weights))
        with torch.no_grad():
            harmonics = grid_basis(self.globe, self.config.degree).to(values)
            table = torch.cat([harmonics, patterns.flatten(1).T], 1)
            tokens = least_squares(table, values, weights, self.precision())
        return tokens.T.unflatten(0, (images.shape[0], -1)).transpose(1, 2)

    def encode_sample(self, sample: GridSample) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (N, C) fitted to a snapshot on its own grid, offset (C,) and scale (C,)."""
        grid, valid = sample.snapshot.grid, sample.snapshot.valid
        _, offset, scale = self.inputs(*(part[None].to(self.patterns.device) for part in (
            sample.inputs, sample.covered, sample.mean, sample.deviation)))
        offset, scale = offset[0], scale[0]
        values = (sample.snapshot.values.to(scale) - offset[:, None, None]) * scale[:, None, None]
        weights = (valid * (grid.areas / grid.areas.mean())).to(scale)
        with torch.no_grad():
            harmonics, patterns = grid_basis(grid, self.config.degree), self.at_places(grid.places().to(scale))
            table = torch.cat([harmonics.to(scale), patterns], 1)
            values, weights = (part.flatten(1).T for part in (values, weights))
            tokens = exact_least_squares(table, values, weights, self.precision() * GRIDDED)
        return tokens, offset, scale

    @torch.no_grad()
    def observe(self, where: Float[Tensor, "o 2"], values: Float[Tensor, "o c"]) -> Float[Tensor, "n c"]:
        """Tokens of standardised values at any places, (latitude, longitude) in degrees."""
        table, prior = self.locate(self.place(where)), self.precision(mean_known=False)
        return exact_least_squares(table, values, torch.ones_like(values), prior)

    @torch.no_grad()
    def deviation(self, where: Float[Tensor, "q 2"], observed: Float[Tensor, "o 2"]) -> Float[Tensor, " q"]:
        """Standard deviations, of standardised values, of what a field of observations there answers at places."""
        table, rows = self.locate(self.place(where)), self.locate(self.place(observed))
        noise = self.log_noise.exp().mean().double()
        inverse = ((rows.T @ rows).double() + torch.diag(self.precision(mean_known=False).double())) / noise
        half = torch.linalg.solve_triangular(torch.linalg.cholesky(inverse), table.T.double(), upper=False)
        own = on_sphere(self.log_noise[None], where)[:, 0].exp().double()
        return (half.square().sum(0) + own).sqrt().to(self.patterns)

    @torch.no_grad()
    def calibration(self, where: Float[Tensor, "o 2"], values: Float[Tensor, "o c"]) -> Float[Tensor, " c"]:
        """By how much errors exceed deviations: root mean square over observations, each predicted from all others.

        With K = B diag(p) B^T + s^2, leaving out observation i has the error (K^-1 y)_i / (K^-1)_ii and the variance
        1 / (K^-1)_ii (Rasmussen and Williams, Gaussian Processes for Machine Learning, Eq. 5.12).
        """
        rows = self.locate(self.place(where[:LARGEST])).double()
        noise = self.log_noise.exp().mean().double()
        covariance = rows * (noise / self.precision(mean_known=False).double()) @ rows.T
        covariance.diagonal().add_(noise)
        inverse = torch.linalg.inv(covariance)
        ratio = inverse @ values[:LARGEST].double() / inverse.diagonal().sqrt()[:, None]
        return ratio.square().mean(0).sqrt().to(self.patterns)

    def at_places(self, places: Float[Tensor, "q 2"]) -> Float[Tensor, "q k"]:
        """The patterns at (latitude, longitude) in degrees."""
        return on_sphere(wide(self.patterns), places)

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Float[Tensor, "*q n"]:
        """The functions at unit vectors."""
        points = coords.coords() if isinstance(coords, Grid) else coords
        flat = points.reshape(-1, 3)
        latitude, longitude = flat[:, 2].clamp(-1, 1).asin(), torch.atan2(flat[:, 1], flat[:, 0])
        places = torch.stack([latitude, longitude], -1).rad2deg()
        patterns = self.at_places(places)
        table = torch.cat([basis(flat, self.config.degree).to(patterns), patterns], 1)
        return table.unflatten(0, points.shape[:-1])

    def prepare(self, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """The tokens themselves: the field is linear in them."""
        return tokens.to(wide(self.patterns).dtype)

    def combine(self, located: Float[Tensor, "*q n"], prepared: Float[Tensor, "b n c"]) -> Float[Tensor, "b q c"]:
        """The sum of the functions, each times its token."""
        return located @ prepared

    @torch.no_grad()
    def initialize(self, samples: dict[str, Tensor]) -> None:
        """Patterns: components of what harmonics leave of samples; prior and noise: what tokens and remainder vary."""
        images, _, _ = self.inputs(samples["inputs"], samples["covered"], samples["mean"], samples["deviation"])
        values, shares = (part.flatten(0, 1).flatten(1) for part in images.chunk(2, 1))  # (F, q) of all channels
        areas = self.globe.areas.flatten().to(values) * len(self.globe)
        harmonics = grid_basis(self.globe, self.config.degree).to(values)
        weak = values.new_full(harmonics.shape[1:], 1e-3)
        z = least_squares(harmonics, values.T, (shares * areas).T, weak)
        rest = (values - (harmonics @ z).T) * (shares > 0)
        energy, vectors = torch.linalg.eigh(((rest * areas) @ rest.T).double())
        count = self.config.patterns
        if len(rest) < count:
            raise UserError(f"{len(rest)} fields for {count} patterns; give model.patterns of at most {len(rest)}")
        leading = vectors[:, -count:].T.to(rest) @ rest / energy[-count:, None].clamp(min=1e-9).sqrt().to(rest)
        leading = leading * len(self.globe) ** 0.5
        self.patterns.copy_(leading.view_as(self.patterns))
        own = (rest * areas) @ leading.T / len(self.globe)  # (F, K)
        self.log_prior.copy_(torch.cat([z.T, own], 1).square().mean(0).clamp(min=1e-8).log())
        left = ((rest - own @ leading) * (shares > 0)).square().sum(0) / (shares > 0).sum(0).clamp(min=1)
        self.log_noise.copy_(left.clamp(min=1e-5).log().view(self.config.size))


def on_sphere(maps: Float[Tensor, "k h w"], places: Float[Tensor, "q 2"]) -> Float[Tensor, "q k"]:
    """Maps of the whole sphere at (latitude, longitude) in degrees, bilinear; at a pole the mean of its row."""
    rows, columns = maps.shape[1:]
    poles = [2 * row.mean(-1, keepdim=True) - row for row in (maps[:, :1], maps[:, -1:])]  # half a cell beyond
    wider = pad(torch.cat([poles[0], maps, poles[1]], 1), (1, 1, 0, 0), "circular")
    y, x = plane(places).unbind(-1)
    at = torch.stack([x * columns / (columns + 2), y * rows / (rows + 2)], -1).to(maps)  # grid_sample: (x, y)
    values: Tensor = grid_sample(wider[None], at[None, None], align_corners=False)[0, :, 0].T
    return values
