"""Codes for fields on the sphere without any training, for any number of values: what tokens have to beat.

    python -m experiments.earth.harmonics MODEL --data FOLDER

- spherical harmonics up to degree l, (l + 1)^2 coefficients, fitted by least squares to the cells that have a value,
  each by its area: the best that any function of this bandwidth can be, for the number that is reported;
- a coarse grid of averages, interpolated linearly.

Both are fitted to the very field they are measured on, with its mask of missing cells; so are tokens.
"""

import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from tokenfield.cli import app, console
from tokenfield.earth.commands.files import Evaluate
from tokenfield.earth.files import Snapshot
from tokenfield.earth.globe import compare, encode_field, globe_of
from tokenfield.earth.harmonics import grid_basis
from tokenfield.earth.maps import Map, mollweide, nearest, sheet
from tokenfield.earth.scores import evaluate_fields, series_of
from tokenfield.earth.sphere import Averaging, LatLon, plane

RIDGE = 1e-9
"""Added to the diagonal, relative to its mean: over a continent without values, coefficients are otherwise free."""
MASKS = 24
"""Masks whose factors stay in memory: 8 MB each at 1024 coefficients."""


class Harmonics:
    """Least-squares fits of one bandwidth: the largest degree that has no more coefficients than `values`."""

    def __init__(self, values: int):
        self.degree = isqrt(values) - 1
        self.values = (self.degree + 1) ** 2
        self._grid: LatLon | None = None
        self._fit = lru_cache(MASKS)(self._factor)  # most of the work, and the months of a level share their mask

    def __call__(self, snapshot: Snapshot) -> Float[Tensor, "c h w"]:
        """The best fit to every channel of a snapshot, at all cells."""
        if self._grid is None or not self._grid.same(snapshot.grid):
            self._grid = snapshot.grid
            self._fit.cache_clear()
            self._table = grid_basis(snapshot.grid, self.degree)  # (H W, n)
        channels = []
        for values, valid in zip(snapshot.values, snapshot.valid, strict=True):
            cells, weights, factor = self._fit((valid > 0).numpy().tobytes())
            right = self._table[cells].T @ (weights * values.flatten()[cells].double())
            coefficients = torch.cholesky_solve(right[:, None], factor)
            channels.append((self._table @ coefficients)[:, 0].unflatten(0, valid.shape).float())
        return torch.stack(channels)

    def _factor(self, mask: bytes) -> tuple[Tensor, Tensor, Tensor]:
        """Cells with a value (H W,), their areas (n,), and the Cholesky factor of the normal equations."""
        assert self._grid is not None, "set by every call"
        cells = torch.from_numpy(np.frombuffer(mask, bool).copy())
        weights, table = self._grid.areas.flatten()[cells], self._table[cells]
        gram = table.T @ (table * weights[:, None])
        gram.diagonal().add_(RIDGE * gram.diagonal().mean())
        return cells, weights, torch.linalg.cholesky(gram)


class CoarseGrid:
    """Averages over the cells of a coarse grid, twice as many columns as rows and no more than `values`, interpolated
    linearly between centres."""

    def __init__(self, values: int):
        rows = max(2, isqrt(values // 2))
        self.grid, self.values = LatLon.globe(rows, 2 * rows), 2 * rows**2

    def __call__(self, snapshot: Snapshot) -> Float[Tensor, "c h w"]:
        """Every channel of a snapshot from its averages, at all cells; those without a value take no part."""
        averages, share = Averaging(snapshot.grid, self.grid)(snapshot.values, snapshot.valid)
        there = (share > 0).float()
        both = torch.cat([averages * there, there])[None]  # (1, 2 C, h, w)
        both = pad(pad(both, (1, 1, 0, 0), "circular"), (0, 0, 1, 1), "replicate")
        rows, columns = self.grid.shape
        y, x = plane(snapshot.grid.places().float()).unbind(-1)
        at = torch.stack([x * columns / (columns + 2), y * rows / (rows + 2)], -1)[None, None]  # grid_sample: (x, y)
        values, weights = grid_sample(both, at, align_corners=False)[0, :, 0].chunk(2)
        return (values / weights.clamp(min=1e-6)).view(-1, *snapshot.grid.shape)


CODES: dict[str, type[Harmonics] | type[CoarseGrid]] = {"harmonics": Harmonics, "coarse": CoarseGrid}
"""Codes without training by name."""


def error_maps(snapshot: Snapshot, fits: dict[str, Float[Tensor, "c h w"]], path: Path) -> None:
    """A field, and what is wrong with each of several fits of it, in one colour scale, on an equal-area map."""
    where, there = mollweide(260, 200.0), snapshot.valid[0] > 0
    truth = snapshot.values[0].masked_fill(~there, torch.nan)
    errors = {name: (fit[0] - snapshot.values[0]).masked_fill(~there, torch.nan) for name, fit in fits.items()}
    away = max(float(np.nanpercentile(error.abs(), 98)) for error in errors.values())
    low, high = map(float, np.nanpercentile(truth, (1, 99)))
    unit = snapshot.units[0]
    maps = [Map(nearest(snapshot.grid, truth, where), snapshot.name, "viridis", low, high, unit)]
    for name, error in errors.items():
        rmse = compare(fits[name], snapshot).rmse[0]
        maps.append(Map(nearest(snapshot.grid, error, where), f"error of {name}: RMSE {rmse:.3g} {unit}", "RdBu_r",
                        -away, away, unit))
    sheet([maps[:2], maps[2:]], path)


@dataclass(kw_only=True)
class Beside(Evaluate):
    """What tokenfield climate evaluate measures of a model, beside codes without training of no more values."""

    def run(self) -> int:
        """Measure, print a row per variable."""
        model, source, settings = self.open()
        with console.progress("evaluating", len(source)) as bar:
            report = evaluate_fields(model, source.fields(), settings=settings, before=bar.file)
        values = report["scores"][0]["values_stored"] - model.own_standards
        codes = {name: code(values) for name, code in CODES.items()}
        scores = defaultdict(list)
        for sample in source.fields():
            for name, code in codes.items():
                score = compare(code(sample.snapshot), sample.snapshot)
                for key, *pair in zip(series_of(sample.snapshot), score.rmse, score.psnr, strict=True):
                    scores[name, key].append(pair)
        for row, (name, code) in ((row, item) for row in report["series"] for item in codes.items()):
            errors, decibels = zip(*scores[name, (row["series"], row["unit"])], strict=True)
            row |= {f"{name}_rmse": statistics.fmean(errors), f"{name}_psnr": statistics.fmean(decibels)}
            settings[f"{name}_values"] = code.values
        rows = [["series", "fields", "RMSE", *CODES, "deviation", "unit", "PSNR dB", *(f"{name} dB" for name in CODES)]]
        for row in report["series"]:
            errors = [console.number(row[key], 3) for key in ("rmse", *(f"{name}_rmse" for name in CODES), "deviation")]
            decibels = [console.number(row[key]) for key in ("psnr", *(f"{name}_psnr" for name in CODES))]
            rows.append([row["series"], str(row["fields"]), *errors, row["unit"] or "-", *decibels])
        console.show_table(rows)
        if self.figure is not None:  # of the median PSNR
            median = sorted(report["scores"], key=lambda score: score["psnr"])[len(report["scores"]) // 2]["field"]
            sample = next(sample for sample in source.fields() if sample.snapshot.name == median)
            field = encode_field(model, sample)
            fits = {type(model).name: globe_of(field).native(field).cpu()}
            fits |= {name: code(sample.snapshot) for name, code in codes.items()}
            error_maps(sample.snapshot, fits, self.figure)
        return self.finish(source, len(report["scores"]), "harmonics", {**report, "settings": settings})


if __name__ == "__main__":
    program = "python -m experiments.earth.harmonics"
    sys.exit(app.main(parser=lambda argv: app.one_line(lambda: tyro.cli(Beside, prog=program, args=argv).run)))
