"""Gridded earth-science fields as training data: files and variables, their split, and the samples of a step.

A sample is one moment (and level) of one variable, or of several as channels. The encoder reads it averaged onto the
model's own grid, with what share of each cell has values; the loss is at places of the file's own cells, drawn with
probability proportional to their area, so that a mean over them is a mean over the Earth's surface. Grids of different
files may therefore differ.

Splits are by time. The steps of a file (or the files of a folder that hold one step each, sorted by name, as ANR's
ERA5) are a series; all levels and variables of a step fall on the same side.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.data.draws import Draws
from tokenfield.data.pictures import SkippedFiles
from tokenfield.data.sources import Split
from tokenfield.earth.files import SUFFIXES, EarthFile, Layer, Snapshot
from tokenfield.earth.plugin import ZARR
from tokenfield.earth.sphere import Averaging, LatLon
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.walk import walk

CACHE_BYTES = 1 << 28
"""Samples that stay in memory: 256 MB, all of the climatologies or sixty steps of ERA5."""
ATTEMPTS = 100
"""Snapshots without a value in a row after which a source gives up."""


@dataclass(frozen=True)
class GriddedConfig:
    """Which fields to read, and at which places a step compares them."""

    size: tuple[int, int] = (90, 180)
    """Rows and columns of the encoder's global grid; as the model's."""
    files: tuple[str, ...] = ()
    """Patterns of file names, such as `*.cdf`; empty: every netCDF, Zarr and NPY file."""
    variables: tuple[str, ...] = ()
    """Names of variables; empty: all that lie on latitudes and longitudes."""
    units: tuple[str, ...] = ()
    """Units that those variables are converted to, one each, "" for as they are; empty: all as they are."""
    channels: Literal["apart", "together"] = "apart"
    """apart: every variable is a sample of its own; together: they are the channels of one."""
    points: int = 1024
    """Places per sample and step, drawn by area; 0: every cell of the encoder's grid, each once."""
    jitter: Literal["none", "normal"] = "none"
    """normal: places lie anywhere within their cells, 0.15 cells wide and clipped at 0.25 (variational coordinates)."""
    holdout: Literal["last", "spread"] = "last"
    """last: the end of every series is held out; spread: every `every`-th step, for the months of a climatology."""
    shares: tuple[float, float, float] = (0.85, 0.10, 0.05)
    """`last`: shares of a series to train on, to choose by, to test on (ANR's ERA5). Only first and last are read."""
    every: int = 4
    """`spread`: steps 2, 6, 10 of every twelve at 4, counted from 0, are tested on and the others trained on."""

    def __post_init__(self) -> None:
        if min(self.size) < 2 or self.points < 0 or self.every < 2:
            raise UserError(f"size {self.size}, points {self.points}, every {self.every}; at least (2, 2), 0 and 2")
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise UserError(f"shares {self.shares}; give three shares of at least 0 that add up to 1")
        if self.units and len(self.units) != len(self.variables):
            raise UserError(f"units {self.units} for variables {self.variables}; give one each, in their order")
        if self.channels == "together" and not self.variables:
            raise UserError("channels together needs variables: name those that are the channels, in their order")

    def open(self, root: str | Path, split: Split) -> "GriddedSource":
        """The fields of one split of a file, or of a folder, whose unusable files are noted.

        Raises:
            UserError: nothing there, nothing readable, or none of the variables.
        """
        root, skipped = Path(root), SkippedFiles()
        files: dict[Path, EarthFile] = {}
        layers: list[Layer] = []
        for path in find_earth_files(root, self.files):
            try:
                files[path] = EarthFile(path, self.variables)
                layers += self._layers(files[path])
            except PictureError as error:
                if path == root:
                    raise
                skipped.catch(error)
        if not files:
            raise UserError(f"{shown(root)}: no file can be read; {skipped.summary()}")
        if not layers:
            there = ", ".join(sorted({name for file in files.values() for name in file.variables}))
            raise UserError(f"{shown(root)}: none of {', '.join(self.variables)} is there; the variables are "
                            f"{there or 'none'}; {skipped.summary()}".rstrip("; "))
        selection = [layer for series in series_of(layers) for layer in self._share(series, split)]
        return GriddedSource(self, files, selection, skipped)

    def _layers(self, file: EarthFile) -> list[Layer]:
        """What a file holds of the variables. Raises PictureError where that is nothing."""
        names, together = self.variables or file.variables, self.channels == "together"
        present = tuple(name for name in names if name in file.variables)
        if not present or (together and present != names):
            raise PictureError(file.path, f"has no {', '.join(name for name in names if name not in present)}; its "
                                          f"variables are {', '.join(file.variables)}")
        for name in present:
            file.grid(name)  # axes that make no sense show now
        return list(file.layers(present, stacked=together))

    def _share(self, series: list[list[Layer]], split: Split) -> Iterator[Layer]:
        """The layers of a split, from a series of steps."""
        count, test = len(series), split == "test"
        first, last = int(count * self.shares[0]), int(count * (self.shares[0] + self.shares[1]) + 1e-9)
        for i, step in enumerate(series):
            if count == 1:
                mine = not test  # a single step cannot be shared
            elif self.holdout == "spread":
                mine = (i % self.every == self.every // 2) == test
            else:
                mine = i >= last if test else i < max(first, 1)
            if mine:
                yield from step


def find_earth_files(root: Path, patterns: tuple[str, ...] = ()) -> list[Path]:
    """The netCDF, Zarr and NPY files under a folder, sorted by name, or the file itself; UserError for none."""
    if not root.exists():
        raise UserError(f"{shown(root)}: no such file or folder; give netCDF, Zarr or NPY")
    if not root.is_dir() or root.suffix.lower() == ZARR:
        return [root]
    files = []
    for place, folders, names in walk(root):
        stores = [name for name in folders if name.lower().endswith(ZARR)]
        folders[:] = [name for name in folders if name not in stores]
        files += [place / name for name in (*stores, *names) if Path(name).suffix.lower() in SUFFIXES
                  and any(fnmatch(name, pattern) for pattern in patterns or "*")]
    files.sort()
    if not files:
        raise UserError(f"{shown(root)}: no file {' or '.join(patterns or SUFFIXES)} in it")
    return files


def series_of(layers: Iterable[Layer]) -> list[list[list[Layer]]]:
    """Series of steps of layers: one series per file with several steps, and one of all files with a single step."""
    steps: dict[Path, dict[int, list[Layer]]] = defaultdict(lambda: defaultdict(list))
    for layer in layers:
        steps[layer.path][layer.step].append(layer)
    files = [[layers[i] for i in sorted(layers)] for layers in steps.values()]
    single = [file[0] for file in files if len(file) == 1]
    return ([single] if single else []) + [file for file in files if len(file) > 1]


@dataclass(frozen=True, eq=False)
class GridSample:
    """A snapshot, and all that a step needs of it."""

    snapshot: Snapshot
    """The field on its own grid."""
    inputs: Float[Tensor, "c h w"]
    covered: Float[Tensor, "c h w"]
    """Averages on the encoder's grid, and what share of its cells has values."""
    mean: Float[Tensor, " c"]
    deviation: Float[Tensor, " c"]
    span: Float[Tensor, " c"]
    """Area-weighted mean and standard deviation, largest minus smallest value."""
    ladder: np.ndarray
    """(H W,) cumulative share of the area of cells with a value in any channel; ends at 1."""

    @classmethod
    def of(cls, snapshot: Snapshot, averaging: Averaging) -> "GridSample":
        """Everything about a snapshot that does not change from step to step."""
        inputs, covered = averaging(snapshot.values, snapshot.valid)
        weights = snapshot.grid.areas * snapshot.valid.double()  # (C, H, W)
        total = weights.sum((1, 2)).clamp(min=1e-12)
        mean = (weights * snapshot.values).sum((1, 2)) / total
        variance = (weights * (snapshot.values - mean[:, None, None]) ** 2).sum((1, 2)) / total
        ladder = weights.amax(0).flatten().cumsum(0)
        return cls(snapshot, inputs, covered, mean.float(), variance.sqrt().float(), snapshot.span.clamp(min=0),
                   (ladder / ladder[-1]).numpy())

    @property
    def nbytes(self) -> int:
        """Memory, but for a few numbers."""
        parts = self.snapshot.values, self.snapshot.valid, self.inputs, self.covered
        return sum(part.nbytes for part in parts) + self.ladder.nbytes


class GriddedSource:
    """Fields of one split: a `Source`, whose evaluation takes whole `fields`; a layer is a sample."""

    def __init__(self, config: GriddedConfig, files: dict[Path, EarthFile], layers: list[Layer], skipped: SkippedFiles):
        self.config, self.files, self.layers, self.skipped = config, files, layers, skipped
        self.globe = LatLon.globe(*config.size)
        self._averagings: list[tuple[LatLon, Averaging]] = []  # once per grid
        self._cache: OrderedDict[Layer, GridSample] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.layers)

    def load(self, layer: Layer) -> GridSample:
        """A layer, read at most once as long as the cache has room. Raises PictureError."""
        with self._lock:  # files are read by one thread at a time
            if layer not in self._cache:
                self._cache[layer] = self._read(layer)
                while len(self._cache) > 1 and sum(sample.nbytes for sample in self._cache.values()) > CACHE_BYTES:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(layer)
            return self._cache[layer]

    def _read(self, layer: Layer) -> GridSample:
        snapshot = self.files[layer.path].read(layer)
        if self.config.units:
            units = dict(zip(self.config.variables, self.config.units, strict=True))
            snapshot = snapshot.convert(tuple(units.get(name, "") for name in snapshot.variables))
        averaging = next((match for grid, match in self._averagings if grid.same(snapshot.grid)), None)
        if averaging is None:
            averaging = Averaging(snapshot.grid, self.globe)
            self._averagings.append((snapshot.grid, averaging))
        return GridSample.of(snapshot, averaging)

    def fields(self) -> Iterator[GridSample]:
        """All samples in their order; those without any value are noted and left out."""
        for layer in self.layers:
            try:
                yield self.load(layer)
            except PictureError as error:
                self.skipped.catch(error)

    def sample(self, seed: int, step: int, slot: int) -> dict[str, Tensor]:
        """What a training step needs of one field; a pure function of its arguments.

        That is inputs, covered (C, h, w); places (K, 2) in degrees with values and weights (K, C), weights of mean
        about 1; mean, deviation, span (C,). Values are physical.
        """
        for attempt in range(ATTEMPTS):
            draws = Draws(seed, step, slot, attempt)
            try:
                field = self.load(self.layers[draws.below(len(self.layers))])
            except PictureError as error:
                self.skipped.catch(error)
                continue
            places = self._all(field) if self.config.points == 0 else self._some(field, draws)
            return places | {"inputs": field.inputs, "covered": field.covered,
                            "mean": field.mean, "deviation": field.deviation, "span": field.span}
        raise UserError(f"{ATTEMPTS} fields in a row hold no value, check the files; {self.skipped.summary()}")

    def _all(self, field: GridSample) -> dict[str, Tensor]:
        """Every cell of the encoder's grid, as in ANR."""
        weights = self.globe.areas.float() * len(self.globe) * field.covered
        return {"places": self.globe.places().float(), "values": field.inputs.flatten(1).T.contiguous(),
                "weights": weights.flatten(1).T.contiguous()}

    def _some(self, field: GridSample, draws: Draws) -> dict[str, Tensor]:
        """`points` cells of the field's own grid, drawn by area, and where in them the places lie."""
        random, grid = np.random.default_rng(draws.below(2**63)), field.snapshot.grid
        cells = np.searchsorted(field.ladder, random.random(self.config.points), side="right")
        rows, columns = np.divmod(cells.clip(max=len(grid) - 1), grid.shape[1])
        latitudes, longitudes = grid.latitudes.numpy(), grid.longitudes.numpy()
        places = np.stack([latitudes[rows], longitudes[columns]], -1)
        if self.config.jitter == "normal":
            cell = np.stack([np.abs(np.gradient(latitudes))[rows], np.gradient(longitudes)[columns]], -1)
            places += cell * (0.15 * random.standard_normal(places.shape)).clip(-0.25, 0.25)
            places[:, 0] = places[:, 0].clip(-90, 90)
        return {
            "places": torch.from_numpy(places.astype(np.float32)),
            "values": field.snapshot.values[:, rows, columns].T.contiguous(),
            "weights": field.snapshot.valid[:, rows, columns].T.contiguous(),
        }
