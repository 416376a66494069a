"""What encoder and decoder know beforehand: `codec.safetensors` in a model's folder, and its name in files."""

import hashlib
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tokenfield.errors import UserError
from tokenfield.io.limits import read_tensors
from tokenfield.models import folder, pretrained
from tokenfield.models.base import FieldModel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Frequencies = NDArray[np.int32]

LOG = 16
"""Logarithms are in 1/16."""
SHARES = 256
"""Shares are in 1/256."""
TOP = 20
"""The logarithm of the largest frequency."""
SCALE = 16
"""Usual sizes of symbols are in 1/16."""
HALF = {"weights": np.uint16}
"""Stored narrower than they are in memory."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Channels of tokens turned into bands that are worth quantising alike.

    Rounding adds noise to every band, and what it does to the picture is measured by G, the mean over tokens of J^T J
    for the Jacobian J of the decoder. Channels of covariance C become bands b = U^T G^(1/2) (z - mean), U being the
    eigenvectors of G^(1/2) C G^(1/2): noise of equal size in any band moves the picture equally far, and bands are
    uncorrelated (the Karhunen-Loeve transform in the metric of the decoder). Those come first that a cell's neighbours
    foretell. The mean of tokens that lie beside each other in tiles is one per place in the tile: what a token says of
    its place is the same in every picture, and so costs nothing and is exact at any step.
    """

    mean: NDArray[np.float32]
    """(rows of a tile, columns of a tile, D), or (D,)."""
    analysis: NDArray[np.float32]
    """Rows are what bands read of channels: (D, D)."""
    synthesis: NDArray[np.float32]
    """Its inverse."""

    def bands(self, tokens: NDArray[np.float32]) -> Floats:
        """A lattice of tokens (..., rows, columns, D) -> bands of that shape."""
        away: Floats = tokens.astype(np.float64) - self._means(tokens.shape)
        return away @ self.analysis.T.astype(np.float64)

    def tokens(self, bands: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bands -> tokens, shapes as in `bands`; in float64, for machines add in different orders."""
        away = bands.astype(np.float64) @ self.synthesis.T.astype(np.float64)
        return (away + self._means(bands.shape)).astype(np.float32)

    def _means(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        *tile, _ = self.mean.shape
        if any(n % p for n, p in zip(shape[-3:-1], tile, strict=False)):
            raise UserError(f"{shape[-3]} x {shape[-2]} tokens; the model's tables are for tiles of "
                            f"{' x '.join(map(str, tile))}")
        return np.tile(self.mean, [*(n // p for n, p in zip(shape[-3:-1], tile, strict=False)), 1])


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels: the first number of a token where it names one of K codes, as the switched model's does.

    A label is coded by those of its neighbours: how much more often than by chance it stands beside, above and
    diagonally to each of them is a table. Of several neighbours the logarithms are added, times a share below one, for
    neighbours say partly the same. All is arithmetic of whole numbers, and so every machine finds the same frequencies:

        log2 f(k) = base(k) + share sum_n pairs(axis of n, label of n, k)

    The label also says how large the other numbers of its token usually are, which their contexts take into account.
    """

    base: NDArray[np.int16]
    """Logarithms of how often labels are, (K,)."""
    pairs: NDArray[np.int8]
    """Logarithms of how much more often neighbours have two labels than by chance: (3, K, K), the neighbour's first.

    Of neighbours in a row, in a column, and on a diagonal.
    """
    share: NDArray[np.int16]
    """Per pass over the cells."""
    spread: NDArray[np.uint16]
    """Mean magnitudes at a step of one 8-bit level, in 1/SCALE: (K, D)."""

    def frequencies(self, number: int, count: int, near: list[tuple[int, Ints, NDArray[np.bool]]]) -> Frequencies:
        """Frequencies (count, K) in a pass, given axes, labels and whether there are any, of every neighbour."""
        score = np.zeros((count, len(self.base)), np.int32)
        for axis, labels, inside in near:
            score += self.pairs[axis][labels] * inside[:, None]
        score = self.base + (score * np.int32(self.share[number]) // SHARES)
        below = score.max(1, keepdims=True) - score
        whole, part = below // LOG, below % LOG
        out: Frequencies = np.maximum((2 * LOG - part) << TOP >> np.minimum(whole, 30), 2 * LOG) // (2 * LOG)
        return out  # straight lines between the powers of two

    @lru_cache(maxsize=8)  # noqa: B019, a model's tables live as long as it does
    def usual(self, step: int) -> Floats:
        """Usual magnitudes of symbols at a step in 1/256 of an 8-bit level, in 1/SCALE: (D, K)."""
        return np.ascontiguousarray((self.spread.astype(np.int64) * 256 // step).T.astype(np.float64))


@dataclass(frozen=True, eq=False)
class Tables:
    """What encoder and decoder know beforehand, fitted on training pictures and stored beside a model's weights.

    L levels are fits at L steps; K classes; P parents; F = 2 P + 4 features of a band, one more with labels; G groups.
    """

    starts: NDArray[np.int32]
    """First band of every group, and D: (G + 1,)."""
    layers: NDArray[np.int32]
    """First group of every layer, and G. A layer is what a prefix of a file may end with."""
    predicted: NDArray[np.int32]
    """How many bands, the whole of the first groups, are predicted: (1,)."""
    parents: NDArray[np.int32]
    """Bands of earlier groups, D for none: (D, P)."""
    constants: NDArray[np.int64]
    """(L, 2, D), in 1 / UNIT, per pass."""
    weights: NDArray[np.int32]
    """(L, 2, D, F), in FINER / UNIT."""
    spreads: NDArray[np.int64]
    """Of predicted bands: constant, and weight of the neighbours' spread, per pass: (L, passes, bands, 2)."""
    thresholds: NDArray[np.int64]
    """Between classes, rising, in 1 / UNIT: (K - 1,)."""
    frequencies: NDArray[np.int32]
    """Of magnitudes' buckets: (L, K, buckets)."""
    shift: NDArray[np.int16]
    """Mean of what quantisation to 1, to 2, and to more took away, in 1/256 of a step: (L, K, 3)."""
    steps: NDArray[np.int32]
    """The step of every level, in 1/256 of an 8-bit level."""
    scale: NDArray[np.float32]
    """Of every band: how far its unit is from moving a picture by 1 in the Euclidean norm, (D,); its step is divided
    by this."""
    basis: Basis | None = None
    """What bands are of channels; None: channels themselves."""
    labels: Labels | None = None
    """Where the first number of a token is a label, and a group of its own."""

    @cached_property
    def edges(self) -> Floats:
        """The thresholds, which float64 has exactly."""
        return self.thresholds.astype(np.float64)

    @property
    def bands(self) -> int:
        """D."""
        return int(self.starts[-1])

    def level(self, step: int) -> int:
        """The level fitted at the nearest step, by ratio: 2 a b against a^2 + b^2 in whole numbers."""
        larger = [max(int(s), step) * 1000 // min(int(s), step) for s in self.steps]
        return larger.index(min(larger))

    def groups(self, layer: int) -> range:
        """The groups of a layer."""
        return range(int(self.layers[layer]), int(self.layers[layer + 1]))


PARTS = {"basis": Basis, "labels": Labels}
"""What tables have or do not have."""
TABLES = tuple(field.name for field in fields(Tables) if field.name not in PARTS)


def tables_of(model: FieldModel) -> tuple[Tables, bytes]:
    """The tables of a model and the four bytes that name them in files. Raises UserError where it has none."""
    path = None if model.origin is None else pretrained.folder_of(model.origin) / folder.TABLES
    if path is None or not path.is_file():
        raise UserError(f"the model {model.origin or model.name} has no {folder.TABLES} to code its tokens with; store "
                        "them as they are (--lossless), or take photos-codec")
    return load_tables(path)


@lru_cache(maxsize=8)
def load_tables(path: Path) -> tuple[Tables, bytes]:
    """The tables in a file, and their name. Raises UserError for what is damaged."""
    try:
        stored = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
        widened = {name: stored[name].astype(np.int32) for name in HALF}
        tables = Tables(**{name: (stored | widened)[name] for name in TABLES}, basis=None, labels=None)
        for part, kind in PARTS.items():
            own = {name.removeprefix(f"{part}."): stored[name] for name in stored if name.startswith(f"{part}.")}
            tables = replace(tables, **{part: kind(**own)}) if own else tables
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error})") from error
    named = [*TABLES, *sorted(name for name in stored if "." in name)]
    return tables, hashlib.sha256(b"".join(stored[name].tobytes() for name in named)).digest()[:4]
