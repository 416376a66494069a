"""How local LAINR's tokens are before the first step, with the parts of the local start and its constants one by one.

    python -m experiments.training.local_start_parts build/photos     # the table in docs/local_start.md, two minutes

Of the model of `lainr-photos`, untrained: the share of a tile that holds 90 % of what a token's removal changes, mean
over tokens, tiles and seeds, in units of 1 / R. 1 is a token's own share of the tile, R is all of it.
"""

import argparse
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from tokenfield.coords import Grid
from tokenfield.fields.locality import area_holding
from tokenfield.models.lainr import LainrConfig
from tokenfield.nn import local_start, places
from tokenfield.registry import RECIPES

PICTURES, TOKENS = 16, 8


@contextmanager
def changed(**values: object) -> Iterator[None]:
    """Other constants, or parts left out, of the two modules while it is entered."""
    homes = {name: places if name in ("WIDTH", "FLOOR") else local_start for name in values}
    before = {name: getattr(home, name) for name, home in homes.items()}
    try:
        for name, value in values.items():
            setattr(homes[name], name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(homes[name], name, value)


@torch.no_grad()
def areas(config: LainrConfig, tiles: torch.Tensor, seed: int) -> float:
    """R times the mean area of an untrained model's tokens."""
    torch.manual_seed(seed)
    model = config.build()
    if model.initial_pictures:
        model.initialize(tiles)
    grid, tokens = Grid.cells(*config.size), model.encode(tiles[:4])
    whole, shares = model.decode(tokens, grid), []
    for k in range(0, config.num_latents, max(1, config.num_latents // TOKENS)):
        without = tokens.clone()
        without[:, k] = 0
        change = (model.decode(without, grid) - whole).abs().mean(-1)
        shares += [area_holding(one.view(grid.shape)) for one in change]
    return config.num_latents * statistics.fmean(shares)


def nothing(*_) -> None:
    """In a part's place."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="pool of photographs (experiments/pools/photos.py)")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    recipe = RECIPES["lainr-photos"]()
    source = recipe.data.open(args.data, "train")
    tiles = torch.stack([source.sample(0, 2**40, slot) for slot in range(PICTURES)])
    local = recipe.model

    def row(name: str, config: LainrConfig = local, **values: object) -> None:
        with changed(**values):
            measured = [areas(config, tiles, seed) for seed in range(args.seeds)]
        deviation = statistics.stdev(measured) if len(measured) > 1 else float("nan")
        print(f"| {name} | {statistics.fmean(measured):.2f} | {deviation:.2f} |", flush=True)

    print("| start | area x R | deviation |\n|---|---|---|")
    row("published: N(0, 1)", replace(local, start="published"))
    row("small: N(0, 0.02)", replace(local, start="small"))
    row("**local**")
    row("local, queries and keys alone (1, 2)", start_encoder=nothing)
    row("local without the encoder's attention (1-3)", look_there=nothing)
    for heads in (1, 2, 8):
        row(f"local, {heads} head{'s' * (heads > 1)} (16)", replace(local, heads=heads))
    row("local, 16 heads at one place", spread=lambda count, dim: torch.zeros(count, dim))
    for width in (0.25, 0.5, 0.7):
        row(f"local, width {width} (0.35)", WIDTH=width)
    for amplitude in (1.0, 2.0, 8.0):
        row(f"local, amplitude {amplitude:g} (4)", AMPLITUDE=amplitude)
    for sigma in (2.0, 4.0, 11.5, 23.0):
        row(f"local, sigma_q {sigma:g} (5.75)", replace(local, sigma_q=sigma))
    for count in (16, 36, 63, 100, 256):
        row(f"local, R {count} (64)", replace(local, num_latents=count))


if __name__ == "__main__":
    main()
