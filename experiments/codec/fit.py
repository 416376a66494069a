"""Fitting a codec's tables to a model and training pictures: parents, weights of contexts, classes' frequencies.

Weights are those under which magnitudes are most probable if they were geometric with the expected magnitude as mean:
least squares, with weights 1 / (mu (1 + mu)) of the last round and no weight below zero. Frequencies are counted,
with a geometric distribution as the prior of what was seldom seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.fields.codec.coding import in_steps
from tokenfield.fields.codec.contexts import FINER, LATTICES, UNIT, Visitor, Walk, mixings
from tokenfield.fields.codec.entropy import BUCKETS, bucket_of, span_of
from tokenfield.fields.codec.quantiser import Quantiser
from tokenfield.fields.codec.tables import HALF, PARTS, TABLES, Basis, Ints, Labels, Tables
from tokenfield.io.atomic import write_whole
from tokenfield.models import folder
from tokenfield.models.base import FieldModel

STEPS = (512, 1024, 2048, 4096, 8192, 16384)
"""Of the levels, in 1/256 of an 8-bit level: 2 to 64."""
CLASSES, FINEST, RATIO = 48, 0.0004, 1.32
"""Classes; the mean at which the second one begins, and from one to the next."""
PARENTS, ROUNDS, SAMPLES = 6, 3, 4096
"""Parents of a band; rounds of least squares; most cells that a band's weights are fitted to."""
FLOOR = 1e-5
"""Directions that move the picture less than this share of the first one are treated as if they moved it so much."""
FORETOLD = 0.7
"""A band is predicted from its neighbours if that leaves less than this share of its variance."""
Floats = NDArray[np.float64]


def fit(tokens: NDArray[np.float32], scale: NDArray[np.float32], starts: Sequence[int], layers: Sequence[int],
        predicted: int, *, basis: Basis | None = None, labels: Labels | None = None, rounds: int = 2,
        progress: Callable[[str], None] = print) -> Tables:
    """Tables for tokens (N, rows, columns, D) of N training pictures.

    `scale` is how far a unit of each band moves a picture, `starts` the first bands of groups, `layers` the first
    groups of layers, both with their ends; the first `predicted` bands are predicted from neighbours. Bands are the
    channels, sorted from coarse to fine, or those of a `basis`; with `labels` the first channel is one.
    """
    tables = blank(scale, starts, layers, predicted, basis=basis, labels=labels)
    planes = in_steps(tables, tokens, 255 * 256)                                 # (D, N, rows, columns)
    tables = replace(tables, parents=parents_of(tables, planes))
    for done in range(rounds):
        for level in range(len(STEPS)):
            scaled = in_steps(tables, tokens, STEPS[level])
            walk = Fitting(tables, level, scaled, price=0.12 if done else 0.0)
            for layer in range(len(layers) - 1):
                walk.layer(layer, walk.quantiser)
            walk.count()
            progress(f"round {done}, step {STEPS[level] / 256:g}: {walk.bits:.4f} bits per value")
    return tables


def blank(scale: NDArray[np.float32], starts: Sequence[int], layers: Sequence[int], predicted: int, *,
          basis: Basis | None = None, labels: Labels | None = None) -> Tables:
    """Tables that know nothing: every class is geometric."""
    bands, levels, features = len(scale), len(STEPS), 2 * PARENTS + (4 if labels is None else 5)
    edges = FINEST * RATIO ** np.arange(CLASSES - 1)
    means = np.append(edges, edges[-1] * RATIO) / RATIO**0.5
    return Tables(
        starts=np.array(starts, np.int32), layers=np.array(layers, np.int32), predicted=np.array([predicted], np.int32),
        parents=np.full((bands, PARENTS), bands, np.int32),
        constants=np.zeros((levels, 2, bands), np.int64),
        weights=np.zeros((levels, 2, bands, features), np.int32),
        spreads=np.zeros((levels, LATTICES, max(predicted, 1), 2), np.int64),
        thresholds=np.round(edges * UNIT).astype(np.int64),
        frequencies=np.broadcast_to(whole(geometric(means)), (levels, CLASSES, BUCKETS)).copy(),
        shift=np.zeros((levels, CLASSES, 3), np.int16),
        steps=np.array(STEPS, np.int32), scale=scale, basis=basis, labels=labels)


def geometric(means: Floats) -> Floats:
    """Probabilities of the buckets of geometric magnitudes with these means: (K, buckets)."""
    low, bits = span_of(np.arange(BUCKETS))
    ratio = (means / (1 + means))[:, None]
    return ratio**low - ratio ** (low + (1 << bits))


def whole(probabilities: Floats) -> NDArray[np.int32]:
    """Probabilities as frequencies of a sum near 2^24, none of them 0."""
    share = probabilities / probabilities.sum(1, keepdims=True)
    frequencies: NDArray[np.int32] = np.maximum(np.round(share * (1 << 24)), 1).astype(np.int32)
    return frequencies


def parents_of(tables: Tables, planes: Floats) -> NDArray[np.int32]:
    """For every band, the `PARENTS` bands of earlier groups whose magnitudes are most like its own."""
    flat = planes.reshape(len(planes), -1)
    size = np.log(np.abs(flat) + 4 / 255).astype(np.float32)
    size -= size.mean(1, keepdims=True)
    size /= np.linalg.norm(size, axis=1, keepdims=True) + 1e-6
    alike = size @ size.T
    out = np.full((len(planes), PARENTS), len(planes), np.int32)
    begin = int(tables.labels is not None)                                         # a label is no magnitude
    for first, after in zip(tables.starts, tables.starts[1:], strict=False):
        some = max(0, min(PARENTS, int(first) - begin))
        best = np.argsort(-alike[first:after, begin:first], axis=1, kind="stable")[:, :some]
        out[first:after, :some] = best + begin
    return out


class Fitting(Walk):
    """A walk that fits the weights of every group before the group's symbols are decided, and counts what comes."""

    def __init__(self, tables: Tables, level: int, planes: Floats, *, price: float):
        super().__init__(tables, level, planes.shape[1:])
        self.quantiser = Quantiser(tables, level, planes.reshape(len(planes), -1).take(self.order, 1), price=price)
        self.classes_seen = np.zeros(self.symbols.shape, np.int16)
        self.residuals = np.zeros(self.symbols.shape, np.int64)

    def _in_context(self, bands: slice, visit: Visitor) -> None:
        guess = np.abs(self.quantiser.rounded(bands)).astype(np.float64)                    # (N, cells)
        for color, cells in enumerate(self.passes):
            every = np.arange(cells.start, cells.stop)[:: (cells.stop - cells.start) // SAMPLES + 1]
            columns = self.features(bands, color, every - cells.start, guess)
            weights = nonnegative(columns.astype(np.float32), guess[:, every].astype(np.float32))
            self.tables.constants[self.level, color, bands] = np.round(weights[:, 0] * UNIT)
            fixed = np.round(weights[:, 1:] * (UNIT / FINER))
            self.tables.weights[self.level, color, bands] = np.minimum(fixed, (1 << 16) - 1)
        mixings.cache_clear()                                                               # of the weights before
        super()._in_context(bands, _Noting(self))

    def features(self, bands: slice, color: int, some: Ints, guess: Floats) -> Floats:
        """1, and what the expected magnitude is a sum of, in some cells of a pass: (N, M, 1 + F)."""
        known, parents = self.known[color], self.tables.parents[bands]
        rows = np.stack([2 + 2 * parents, 3 + 2 * parents], -1).reshape(len(parents), -1)
        near = np.where(rows[..., None] < 2 + 2 * bands.start, known[np.minimum(rows, len(known) - 1)][..., some], 0)
        columns = [np.ones((len(parents), 1, len(some))), near,
                   np.broadcast_to(known[:2, some], (len(parents), 2, len(some)))]
        if self.tables.labels is not None:
            columns.append(self.usual(bands, self.passes[color])[:, None, some])
        own = np.stack(self.own(guess), 1)[..., some] if color else np.zeros((len(parents), 2, len(some)))
        return np.concatenate([*columns, own], 1).swapaxes(1, 2)

    def _predicted(self, bands: slice, visit: Visitor) -> None:
        self.symbols[bands] = self.quantiser.rounded(bands)
        for number, (cells, offsets) in enumerate(self.lattices()):
            if len(cells):
                mean, spread = self._neighbourhood(bands, cells, offsets)
                size = np.abs(self.symbols[bands, self.place[cells]] - mean)
                columns = np.stack([np.ones_like(spread), spread], -1)
                weights = nonnegative(columns.astype(np.float32), size.astype(np.float32))
                self.tables.spreads[self.level, number, bands] = np.round(weights * UNIT)
        super()._predicted(bands, _Noting(self))

    @property
    def bits(self) -> float:
        """Per symbol, by the tables that decided."""
        return self.quantiser.bits / self.symbols.size

    def count(self) -> None:
        """Writes frequencies and shifts of this level, as they were counted, into the tables."""
        begin = int(self.tables.labels is not None)                                # labels have tables of their own
        magnitude = np.abs(self.residuals[begin:]).ravel()
        kinds = self.classes_seen[begin:].ravel().astype(np.int64)
        counts = np.zeros((CLASSES, BUCKETS))
        np.add.at(counts, (kinds, bucket_of(magnitude)), 1)
        total = np.maximum(np.bincount(kinds, minlength=CLASSES), 1)
        edges = np.append(self.tables.thresholds, self.tables.thresholds[-1] * RATIO) / UNIT / RATIO**0.5
        means = np.where(total > 500, np.bincount(kinds, magnitude, minlength=CLASSES) / total, edges)
        prior = geometric(np.maximum(means, 1e-4))
        self.tables.frequencies[self.level] = whole(counts + 30 * prior / prior.sum(1, keepdims=True))
        away = (np.abs(self.quantiser.values[begin:]) - np.abs(self.symbols[begin:])).ravel()   # of unpredicted bands
        away[: (self.tables.predicted[0] - begin) * self.symbols.shape[1]] = 0
        for size in range(3):
            here = (magnitude == size + 1) if size < 2 else (magnitude > 2)
            count = np.bincount(kinds[here], minlength=CLASSES)
            mean = np.bincount(kinds[here], away[here], minlength=CLASSES) / (count + 50)
            self.tables.shift[self.level, :, size] = np.round(mean.clip(-0.45, 0.45) * 256)


class _Noting:
    """A walk's quantiser, of which it is noted what it decided."""

    def __init__(self, walk: Fitting):
        self.walk, self.label = walk, walk.quantiser.label

    def __call__(self, bands: slice, cells: slice | Ints, classes: Ints, prediction: Ints) -> Ints:
        values = self.walk.quantiser(bands, cells, classes, prediction)
        self.walk.classes_seen[bands, cells] = classes
        self.walk.residuals[bands, cells] = values - prediction
        return values


def nonnegative(features: NDArray[np.float32], size: NDArray[np.float32]) -> Floats:
    """Weights (N, F) >= 0 of features (N, M, F) whose sum is the mean of geometric magnitudes (N, M)."""
    mean = 0.5 * size + 0.5 * size.mean(1, keepdims=True) + 1e-3
    weights = np.full((len(size), features.shape[-1]), 1e-3)
    for _ in range(ROUNDS):
        importance = (1 / (mean * (1 + mean)))[..., None] * features
        gram = np.swapaxes(features, 1, 2) @ importance
        target = (np.swapaxes(importance, 1, 2) @ size[..., None])[..., 0]
        gram, target = gram.astype(np.float64), target.astype(np.float64)
        for _ in range(200):  # multiplicative updates: rising likelihood, no sign changes
            weights = weights * (target + 1e-12) / ((gram @ weights[..., None])[..., 0] + 1e-9)
        mean = (features @ weights[..., None].astype(np.float32))[..., 0] + 1e-4
    return weights


def metric_of(model: FieldModel, pictures: Tensor, probes: int = 4) -> Floats:
    """What channels of tokens do to a picture, G = J^T J of the decoder's Jacobian, mean over tokens: (D, D).

    By random signs v: the mean of the products of the gradients of v . picture. `pictures` are (N, C, H, W), whole
    cells or tiles; tokens' last axis is the channels.
    """
    draw = torch.Generator().manual_seed(0)
    total: Tensor | float = 0.0
    for picture in pictures:
        with torch.no_grad():
            tokens = model.encode(picture[None])
        for _ in range(probes):
            tokens = tokens.detach().requires_grad_()
            values = model.decode(tokens, Grid.box((-1.0, -1.0), (1.0, 1.0), *picture.shape[1:]))
            signs = torch.randint(0, 2, values.shape, generator=draw) * 2.0 - 1
            (gradient,) = torch.autograd.grad((values * signs).sum(), tokens)
            flat = gradient.flatten(0, -2).double()
            total = total + flat.T @ flat / len(flat)
    assert isinstance(total, Tensor)
    metric: Floats = (total / (probes * len(pictures))).numpy()
    return metric


def scale_of(metric: Floats) -> NDArray[np.float32]:
    """How far a unit of each channel moves a picture: the norms of the columns of the decoder's Jacobian."""
    scale: NDArray[np.float32] = np.sqrt(np.diagonal(metric).clip(1e-12)).astype(np.float32)
    return scale


def fit_basis(tokens: NDArray[np.float32], metric: Floats, tile: tuple[int, int] = (1, 1)) -> tuple[Basis, int]:
    """The bands of tokens (N, rows, columns, D) of training pictures, given G (D, D), and how many are predicted.

    `tile` are the rows and columns of tokens of one tile, each of which has a mean of its own.
    """
    count, rows, columns, width = tokens.shape
    tiles = tokens.reshape(count, rows // tile[0], tile[0], columns // tile[1], tile[1], width)
    mean = tiles.mean((0, 1, 3), dtype=np.float64)
    away = (tiles - mean[:, None]).reshape(tokens.shape)
    size, axes = np.linalg.eigh(metric)
    size = np.sqrt(np.maximum(size, FLOOR * size[-1]))
    root, inverse = (axes * size) @ axes.T, (axes / size) @ axes.T
    turned = np.linalg.eigh(root @ np.cov(away.reshape(-1, width), rowvar=False) @ root)[1][:, ::-1]
    bands = away @ (root @ turned)
    around = (bands[:, :-2, 1:-1] + bands[:, 2:, 1:-1] + bands[:, 1:-1, :-2] + bands[:, 1:-1, 2:]) / 4
    inner = bands[:, 1:-1, 1:-1]
    foretold = (inner - around).var((0, 1, 2)) < FORETOLD * inner.var((0, 1, 2))
    order = np.argsort(~foretold, kind="stable")
    analysis, synthesis = (root @ turned)[:, order].T, (inverse @ turned)[:, order]
    stored = (np.ascontiguousarray(array, np.float32) for array in (mean, analysis, synthesis))
    return Basis(*stored), int(foretold.sum())


def save_tables(tables: Tables, model_folder: Path) -> None:
    """Write tables into a model's folder."""
    stored = {name: np.ascontiguousarray(getattr(tables, name)) for name in TABLES}
    stored |= {name: stored[name].astype(kind) for name, kind in HALF.items()}
    for part in PARTS:
        if (there := getattr(tables, part)) is not None:
            stored |= {f"{part}.{name}": np.ascontiguousarray(value) for name, value in vars(there).items()}
    write_whole(model_folder / folder.TABLES, save(stored))
