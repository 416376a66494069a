"""Places of tokens, and vectors that stand for places: what the local start gives tokens (docs/local_start.md).

A token's place, its anchor, is a point of the space that coordinates are of: [-1, 1]^2 of a picture, the unit sphere,
rays. A place p is described by Fourier features with weights w_j >= 0,

    f(p) = sqrt(w_ij) (cos pi omega_j p_i, sin pi omega_j p_i)   for axes i and frequencies j of Eq. 2,

whose inner products are a function of the difference alone, f(v) . f(p) = sum_ij w_ij cos(pi omega_j (v_i - p_i)).
Non-negative least squares makes it about -|v - p|^2 / (2 t^2) near 0 and flat beyond, with t a third of the distance of
two anchors: a softmax over anchors is then a bump on the share of each. R anchors span few directions of these
features, of a g x g lattice at most 2 g: coordinates in those are the place's code, and that is what a token has room
for.
"""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.coords import Grid, centers

ELONGATED = 1.6
"""Anchors stand up to so many times closer along one axis than along the other, if that makes all rows alike."""
WIDTH = 0.35
"""t over the distance of two anchors: half-way between two, a token has e^-1 of its largest weight."""
FLOOR = -8.0
"""Of the bump's logarithm, per axis: e^-8 is little enough, and a deeper floor needs higher frequencies."""
SPANNED = 1e-3
"""Directions in which anchors differ by less than this share of the largest are left out of the code."""


@dataclass(frozen=True)
class Anchors:
    """R places in the space of the coordinates, and how far apart neighbours are along every axis."""

    places: Float[Tensor, "r x"]
    spacing: tuple[float, ...]


def lattice(count: int, patches: tuple[int, int], aspect: float) -> Anchors:
    """Anchors (y, x) for `count` tokens in [-1, 1]^2, row by row, each with the same area of the picture.

    The patches' own lattice, if there are as many; else rows of equal length, if a nearly square lattice has them;
    else rows whose lengths differ by one, each as high as its anchors need. `patches` are rows and columns of the
    patches, `aspect` is the picture's height over its width.
    """
    counts = [patches[1]] * patches[0] if count == math.prod(patches) else _rows(count, aspect)
    edges = torch.tensor([0, *counts]).cumsum(0)
    rows = (edges[:-1] + edges[1:]) / count - 1
    places = [torch.stack([y.expand(n), centers(n)], -1) for y, n in zip(rows, counts, strict=True)]
    return Anchors(torch.cat(places), (2 / len(counts), 2 * len(counts) / count))


def _rows(count: int, aspect: float) -> list[int]:
    """Anchors in each row."""

    def elongation(rows: int) -> float:
        return abs(math.log(rows * rows / (count * aspect)))

    near = [rows for rows in range(1, count + 1) if elongation(rows) <= math.log(ELONGATED)]
    rows = min(near or range(1, count + 1), key=lambda rows: (bool(near) and count % rows > 0, elongation(rows)))
    return [(i + 1) * count // rows - i * count // rows for i in range(rows)]


def boxes(count: int, patches: tuple[int, ...]) -> Anchors:
    """Anchors for `count` tokens in [-1, 1]^X, row-major: the middles of equal boxes, of as equal a shape in patches as
    a product of whole numbers allows. `patches` are how many there are along each axis.
    """
    every = product(range(1, count + 1), repeat=len(patches) - 1)
    fits = [counts for counts in every if count % math.prod(counts) == 0]

    def elongation(counts: tuple[int, ...]) -> float:
        sides = [math.log(n / along) for n, along in zip(patches, counts, strict=True)]
        return max(sides) - min(sides)

    best = min(((*counts, count // math.prod(counts)) for counts in fits), key=elongation)
    return Anchors(Grid.cells(*best).coords(), tuple(2 / along for along in best))


def on_sphere(count: int) -> Anchors:
    """Unit vectors with equal areas around them: bands of equal height, each turned on by the golden angle."""
    z = centers(count).double()
    angle = math.pi * (3 - math.sqrt(5)) * torch.arange(count, dtype=torch.double)
    radius = (1 - z**2).sqrt()
    places = torch.stack([radius * angle.cos(), radius * angle.sin(), z], -1).float()
    return Anchors(places, (math.sqrt(4 * math.pi / count),) * 3)


def means_of(points: Float[Tensor, "n x"], count: int) -> Anchors:
    """Means of `count` groups of points, each of the points nearest to it (k-means, from points that lie far apart)."""
    from scipy.cluster.vq import kmeans2  # a third of a second that every start would pay

    indices = [0]
    nearest = (points - points[0]).square().sum(-1)
    for _ in range(count - 1):
        indices.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (points - points[indices[-1]]).square().sum(-1))
    means, _ = kmeans2(points.double().numpy(), points[indices].double().numpy(), minit="matrix", missing="raise")
    places = torch.from_numpy(means).float()
    apart = torch.cdist(places, places).fill_diagonal_(math.inf).min() if count > 1 else torch.tensor(2.0)
    return Anchors(places, (float(apart),) * points.shape[1])


def bump_weights(spacing: float, omega: Float[Tensor, " n"], most: int) -> tuple[list[int], Float[Tensor, " k"]]:
    """Which frequencies, rising, and w_j >= 0 such that sum_j w_j cos(pi omega_j D) is max(-D^2 / (2 t^2), floor).

    Nearly, and but for a constant, which softmax does not see. Of the queries' frequencies (Eq. 2) at most so many are
    used: those that weigh most when all are.
    """
    from scipy.optimize import nnls

    distance = np.linspace(-2, 2, 801)
    target = np.maximum(-(distance**2) / (2 * (WIDTH * spacing) ** 2), FLOOR)
    importance = np.where(np.abs(distance) < 1.5 * spacing, 6.0, 1.0)
    cosines = np.cos(np.pi * distance[:, None] * omega.double().numpy())
    constants = np.stack([np.ones_like(distance), -np.ones_like(distance)], 1)  # one of either sign

    def solve(which: list[int]) -> np.ndarray:
        parts = np.concatenate([cosines[:, which], constants], 1)
        weights: np.ndarray = nnls(parts * importance[:, None], target * importance, maxiter=10_000)[0]
        return weights[: len(which)]

    ranked = np.argsort(-solve(list(range(len(omega)))), kind="stable")
    which = sorted(ranked[:most].tolist())
    return which, torch.from_numpy(solve(which)).float()


def golden_steps(dim: int) -> list[float]:
    """Steps along each axis of the additive recurrence of the generalised golden ratio, R_d (Roberts, 2018).

    Its first points are evenly spread however many are taken.
    """
    golden = 1.5
    for _ in range(64):  # the root of x^(d + 1) = x + 1
        golden = (1 + golden) ** (1 / (dim + 1))
    return [golden ** -(axis + 1) for axis in range(dim)]


def spread(count: int, dim: int) -> Float[Tensor, "n x"]:
    """Points that share [-1/2, 1/2]^dim evenly, of mean 0: one is the origin, more follow `golden_steps`."""
    steps = torch.tensor(golden_steps(dim), dtype=torch.double)
    points = (torch.arange(1, count + 1, dtype=torch.double)[:, None] * steps + 0.5) % 1
    return (points - points.mean(0)).float()


@dataclass(frozen=True)
class PlaceCode:
    """The code of places: coordinates of f(p), over a factor that makes codes as long as 1, in what anchors span.

    Of the waves that are used: the coordinate, the number of the frequency, the frequency, and w; `basis` holds
    orthonormal directions of their features, two of a wave, that the anchors span.
    """

    axes: Int[Tensor, " k"]
    which: Int[Tensor, " k"]
    omega: Float[Tensor, " k"]
    weights: Float[Tensor, " k"]
    basis: Float[Tensor, "f c"]

    @classmethod
    def of(cls, anchors: Anchors, omega: Float[Tensor, " n"], most: int, room: int) -> "PlaceCode":
        """The code for anchors: of at most so many of the queries' frequencies per axis, of at most `room` numbers."""
        axes, which, weights = [], [], []
        for axis, spacing in enumerate(anchors.spacing):
            positions, heights = bump_weights(spacing, omega, most)
            axes += [axis] * len(positions)
            which += positions
            weights.append(heights)
        every = torch.cat(weights)
        whole = cls(torch.tensor(axes), torch.tensor(which), omega[which], every, torch.eye(2 * len(every)))
        spanned = torch.linalg.svd(whole.features(anchors.places).double(), full_matrices=False)
        count = min(room, int((SPANNED * spanned.S[0] < spanned.S).sum()))
        return replace(whole, basis=spanned.Vh[:count].T.float())

    def features(self, places: Float[Tensor, "n x"]) -> Float[Tensor, "n f"]:
        """f(p) of any places: all cosines, all sines."""
        phase = torch.pi * self.omega * places[:, self.axes]
        return torch.cat([phase.cos(), phase.sin()], -1) * self.weights.sqrt().repeat(2)

    @property
    def length(self) -> float:
        """|f(p)|, the same for every place."""
        return math.sqrt(float(self.weights.sum()))

    def __call__(self, places: Float[Tensor, "n x"]) -> Float[Tensor, "n c"]:
        """Codes of any places: an anchor's is 1 long; products of two times `length` squared are the bump."""
        return self.features(places) @ self.basis / self.length

    def keys(self, offset: Float[Tensor, " x"]) -> Float[Tensor, "f c"]:
        """The map from the code of p to w_j (cos, sin)(pi omega_j (p_i + offset_i)), which meet a query's features."""
        cosines, sines = (self.weights.sqrt().repeat(2)[:, None] * self.basis * self.length).chunk(2)
        phase = torch.pi * self.omega * offset[self.axes]
        turn, lift = phase.cos()[:, None], phase.sin()[:, None]
        return torch.cat([turn * cosines - lift * sines, turn * sines + lift * cosines])

    def columns(self, in_dim: int, frequencies: int) -> Tensor:
        """Where gamma (Eq. 2: cosines and sines, axes, frequencies) has the features."""
        cosines = self.axes * frequencies + self.which
        return torch.cat([cosines, in_dim * frequencies + cosines])
