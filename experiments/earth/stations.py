"""Do deviations hold? Held-out fields from scattered places, and how many other places lie within the 90 % interval.

    python -m experiments.earth.stations --data build/climate
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

from tokenfield.earth.data import GriddedConfig, GridSample
from tokenfield.earth.harmonic_field import GriddedHarmonic
from tokenfield.models import pretrained

WITHIN = 1.645
"""Deviations on each side that hold 90 % of a normal distribution."""
OTHERS = 300
"""Places that are asked."""
FILES = ("coads_climatology.cdf", "ocean_atlas_subset.nc", "monthly_navy_winds.cdf")


@dataclass
class Options:
    """What to measure."""

    data: Path
    """The pool of climatologies."""
    model: str = "earth-climate"
    """A model of harmonic tokens."""
    counts: tuple[int, ...] = (60, 250, 1000)
    """Observations per field."""
    fields: int = 6
    """Held-out fields, spread evenly."""
    seed: int = 0


@torch.no_grad()
def coverage(model: GriddedHarmonic, sample: GridSample, count: int, draw: np.random.Generator) -> tuple[float, float]:
    """Share of other places within the interval, and the error's root mean square over the field's deviation."""
    cells = np.unique(np.searchsorted(sample.ladder, draw.random(count + OTHERS), side="right"))
    cells = draw.permutation(cells.clip(max=len(sample.ladder) - 1))
    where = sample.snapshot.grid.places()[cells].float()
    values = sample.snapshot.values[0].flatten()[cells]
    (seen, asked), (known, truth) = (part.split([len(cells) - OTHERS, OTHERS]) for part in (where, values))
    mean, spread = known.mean(), known.std(correction=0)
    standard = ((known - mean) / spread)[:, None]
    tokens: Tensor = model.observe(seen, standard)
    error = (model.locate(model.place(asked)) @ tokens)[:, 0] - (truth - mean) / spread
    deviation = model.deviation(asked, seen) * model.calibration(seen, standard)
    return float((error.abs() < WITHIN * deviation).float().mean()), float(error.square().mean().sqrt())


def main(options: Options) -> None:
    """Print a row per number of observations."""
    model = pretrained.load(options.model)
    assert isinstance(model, GriddedHarmonic), "harmonic tokens alone have deviations"
    source = GriddedConfig(size=model.input_size, holdout="spread", files=FILES).open(options.data, "test")
    layers = [source.layers[i * len(source) // options.fields] for i in range(options.fields)]
    for count in options.counts:
        draw = np.random.default_rng(options.seed)
        shares, errors = zip(*(coverage(model, source.load(layer), count, draw) for layer in layers), strict=True)
        low, high = 100 * min(shares), 100 * max(shares)
        low, high, error = 100 * min(shares), 100 * max(shares), np.mean(errors)
        print(f"{count} places: {100 * np.mean(shares):.1f} % within the 90 % interval ({low:.0f} to {high:.0f}), "
              f"error {error:.2f} of the field's deviation")


if __name__ == "__main__":
    main(tyro.cli(Options))
