"""Fitting a codec's tables to a model and training pictures: parents, weights of contexts, classes' frequencies.

Weights are those under which magnitudes are most probable if they were geometric with the expected magnitude as mean:
least squares, with weights 1 / (mu (1 + mu)) of the last round and no weight below zero. Frequencies are counted,
with a geometric distribution as the prior of what was seldom seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.fields.codec.contexts import COARSEST, FINER, UNIT, Ints, Tables, Visit, Walk
from tokenfield.fields.codec.entropy import BUCKETS, bucket_of, span_of
from tokenfield.fields.codec.quantiser import Quantiser
from tokenfield.models.base import FieldModel

STEPS = (512, 1024, 2048, 4096, 8192, 16384)
"""Of the levels, in 1/256 of an 8-bit level: 2 to 64."""
CLASSES, FINEST, RATIO = 48, 0.0004, 1.32
"""Classes; the mean at which the second one begins, and from one to the next."""
PARENTS, ROUNDS, SAMPLES = 6, 3, 4096
"""Parents of a band; rounds of least squares; most cells that a band's weights are fitted to."""
PASSES = 1 + 2 * COARSEST.bit_length() - 2
Floats = NDArray[np.float64]


def fit(
    tokens: NDArray[np.float32],
    scale: NDArray[np.float32],
    starts: Sequence[int],
    layers: Sequence[int],
    predicted: int,
    *,
    rounds: int = 2,
    progress: Callable[[str], None] = print,
) -> Tables:
    """Tables for tokens (N, rows, columns, D) of N training pictures, bands sorted from coarse to fine.

    `scale` is how far a unit of each band moves a picture, `starts` the first bands of groups, `layers` the first
    groups of layers, both with their ends; the first `predicted` bands are predicted from neighbours.
    """
    planes = np.moveaxis(tokens.astype(np.float64), -1, 0)                       # (D, N, rows, columns)
    tables = blank(scale, starts, layers, predicted)
    tables = replace(tables, parents=parents_of(tables, planes))
    for done in range(rounds):
        for level in range(len(STEPS)):
            scaled = planes * scale[:, None, None, None] * (255 * 256 / STEPS[level])
            quantiser = Quantiser(tables, level, scaled.reshape(len(planes), -1), price=0.12 if done else 0.0)
            walk = Fitting(tables, level, planes.shape[1:], quantiser)
            for layer in range(len(layers) - 1):
                walk.layer(layer, quantiser)
            tables = walk.counted(scaled.reshape(len(planes), -1))
            progress(f"round {done}, step {STEPS[level] / 256:g}: {walk.bits:.4f} bits per value")
    return tables


def blank(scale: NDArray[np.float32], starts: Sequence[int], layers: Sequence[int], predicted: int) -> Tables:
    """Tables that know nothing: every class is geometric."""
    bands, levels = len(scale), len(STEPS)
    edges = FINEST * RATIO ** np.arange(CLASSES - 1)
    means = np.append(edges, edges[-1] * RATIO) / RATIO**0.5
    return Tables(
        starts=np.array(starts, np.int32), layers=np.array(layers, np.int32), predicted=np.array([predicted], np.int32),
        parents=np.full((bands, PARENTS), bands, np.int32),
        constants=np.zeros((levels, 2, bands), np.int64),
        weights=np.zeros((levels, 2, bands, 2 * PARENTS + 4), np.int32),
        spreads=np.zeros((levels, PASSES, max(predicted, 1), 2), np.int64),
        thresholds=np.round(edges * UNIT).astype(np.int64),
        frequencies=np.broadcast_to(whole(geometric(means)), (levels, CLASSES, BUCKETS)).copy(),
        shift=np.zeros((levels, CLASSES, 3), np.int16),
        steps=np.array(STEPS, np.int32), scale=scale)


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
    flat = planes.reshape(len(planes), -1) * tables.scale[:, None]
    size = np.log(np.abs(flat) + 4 / 255).astype(np.float32)
    size -= size.mean(1, keepdims=True)
    size /= np.linalg.norm(size, axis=1, keepdims=True) + 1e-6
    alike = size @ size.T
    out = np.full((len(planes), PARENTS), len(planes), np.int32)
    for first, after in zip(tables.starts, tables.starts[1:], strict=False):
        some = min(PARENTS, int(first))
        out[first:after, :some] = np.argsort(-alike[first:after, :first], axis=1, kind="stable")[:, :some]
    return out


class Fitting(Walk):
    """A walk that fits the weights of every group before the group's symbols are decided, and counts what comes."""

    def __init__(self, tables: Tables, level: int, grid: tuple[int, ...], quantiser: Quantiser):
        super().__init__(tables, level, grid)
        self.quantiser = quantiser
        self.classes_seen = np.zeros(self.symbols.shape, np.int16)
        self.residuals = np.zeros(self.symbols.shape, np.int64)

    def _in_context(self, bands: Ints, visit: Visit) -> None:
        guess = np.abs(self.quantiser.rounded(bands))                                     # (N, cells)
        self.near[bands] = guess
        for color, every in enumerate(self.passes):
            cells = every[:: len(every) // SAMPLES + 1]
            columns = [np.ones_like(guess[:, cells])] + [
                np.broadcast_to(f, (len(bands), len(cells))) for f in self.features(bands, cells)]
            if not color:
                columns[-2:] = [np.zeros_like(c) for c in columns[-2:]]          # nobody knows them yet
            weights = nonnegative(np.stack(columns, -1).astype(np.float32), guess[:, cells].astype(np.float32))
            self.tables.constants[self.level, color, bands] = np.round(weights[:, 0] * UNIT)
            fixed = np.round(weights[:, 1:] * (UNIT / FINER))
            self.tables.weights[self.level, color, bands] = np.minimum(fixed, (1 << 16) - 1)
        self.near[bands] = 0
        super()._in_context(bands, self._noting)

    def _predicted(self, bands: Ints, visit: Visit) -> None:
        self.symbols[bands] = self.quantiser.rounded(bands)
        for number, (cells, offsets) in enumerate(self.lattices()):
            if len(cells):
                mean, spread = self._neighbourhood(bands, cells, offsets)
                size = np.abs(self.symbols[bands[:, None], cells] - mean)
                columns = np.stack([np.ones_like(spread), spread], -1)
                weights = nonnegative(columns.astype(np.float32), size.astype(np.float32))
                self.tables.spreads[self.level, number, bands] = np.round(weights * UNIT)
        super()._predicted(bands, self._noting)

    def _noting(self, bands: Ints, cells: Ints, classes: Ints, prediction: Ints) -> Ints:
        values = self.quantiser(bands, cells, classes, prediction)
        self.classes_seen[bands[:, None], cells] = classes
        self.residuals[bands[:, None], cells] = values - prediction
        return values

    @property
    def bits(self) -> float:
        """Per symbol, by the tables that decided."""
        return self.quantiser.bits / self.symbols.size

    def counted(self, scaled: Floats) -> Tables:
        """The tables with frequencies and shifts of this level counted."""
        magnitude, kinds = np.abs(self.residuals).ravel(), self.classes_seen.ravel().astype(np.int64)
        counts = np.zeros((CLASSES, BUCKETS))
        np.add.at(counts, (kinds, bucket_of(magnitude)), 1)
        total = np.maximum(np.bincount(kinds, minlength=CLASSES), 1)
        edges = np.append(self.tables.thresholds, self.tables.thresholds[-1] * RATIO) / UNIT / RATIO**0.5
        means = np.where(total > 500, np.bincount(kinds, magnitude, minlength=CLASSES) / total, edges)
        prior = geometric(np.maximum(means, 1e-4))
        self.tables.frequencies[self.level] = whole(counts + 30 * prior / prior.sum(1, keepdims=True))
        away = (np.abs(scaled) - np.abs(self.symbols)).ravel()                     # of unpredicted bands
        away[: self.tables.predicted[0] * self.symbols.shape[1]] = 0
        for size in range(3):
            here = (magnitude == size + 1) if size < 2 else (magnitude > 2)
            count = np.bincount(kinds[here], minlength=CLASSES)
            mean = np.bincount(kinds[here], away[here], minlength=CLASSES) / (count + 50)
            self.tables.shift[self.level, :, size] = np.round(mean.clip(-0.45, 0.45) * 256)
        return self.tables


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


def scale_of(model: FieldModel, pictures: Tensor, probes: int = 4) -> NDArray[np.float32]:
    """How far a unit of each channel of tokens moves a picture: the norms of the columns of the decoder's Jacobian.

    By random signs v: the mean square of the gradients of v . picture. `pictures` are (N, C, H, W), whole cells or
    tiles; tokens' last axis is the channels.
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
            total = total + gradient.square().flatten(0, -2).mean(0)
    assert isinstance(total, Tensor)
    return (total / (probes * len(pictures))).clamp(min=1e-12).sqrt().numpy().astype(np.float32)
