"""What a pixel costs in small and in large pictures: LAINR from 178 to 4096 pixels, packaged models at 1 and 24 MP.

    python -m benchmarks.sizes                   # twelve minutes on one core
    python -m benchmarks.sizes --largest 1024    # two minutes

Microseconds per pixel of decoding tokens at hand, the same in operations of matrix products (what the machine would
multiply in that time: other work slows down both), and the memory that it needs at its peak beyond its result, each
size in a process of its own. LAINR is the paper's 178-pixel model with random weights: exact, by the fused kernel where
there is AMX, and with attention on 192 x 192 nodes (64 x 64 at 178 pixels). Of the first two all sizes take turns, 4096
pixels by bands of 256 rows, which are cut into tiles as the whole is, so that other work favours none: `of the
smallest` is then the median of ratios within a turn. `photos-s` (anchored) and `photos-ladder` (switched) decode a
photograph of so many megapixels at its own size, band by band. A table for people, then one line of JSON.
"""

import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

import tokenfield
from benchmarks import cases, measure
from benchmarks.large_picture import photograph
from tokenfield import Field
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel

SIZES = 178, 512, 1024, 4096
LARGE, BAND = 1024, 256
"""Pictures above this side take their turns by bands of so many rows."""
TURNS = 7
Way = Literal["exact", "fused", "nodes"]


@dataclass(frozen=True)
class Options:
    """How large, and in which types."""

    largest: int = 4096
    """Largest side for LAINR."""
    megapixels: tuple[float, ...] = (1.0, 24.0)
    """Of the photographs."""
    threads: int = 1
    """Threads of torch."""


Cost = tuple[float, float, int, float]
"""Seconds, bytes at the peak beyond the result, pixels, and how many products' operations a second the machine did."""


def has_kernel() -> bool:
    """Whether LAINR can be decoded by the fused kernel here."""
    try:
        paper("fused", 0)
    except UserError:
        return False
    return True


def product_rate() -> float:
    """Operations a second of a matrix product, now."""
    product, work = measure.matmul(torch.float32)
    seconds, _ = measure.interleave({"product": product}, 5)
    return work / measure.median(seconds["product"])


def paper(way: Way, size: int) -> FieldModel:
    """The paper's model, decoding in this way."""
    model, nodes = cases.build(cases.PAPER), 64 if size == 178 else 192
    return {"exact": lambda: model, "fused": model.fused, "nodes": partial(model.coarse, nodes)}[way]()


@torch.no_grad()
def turns(way: Way, sizes: list[int], threads: int) -> dict[int, tuple[float, float]]:
    """Of every size: seconds per pixel, and how many times those of the smallest; medians over turns."""
    torch.set_num_threads(threads)
    model, tokens = paper(way, 0), torch.randn(1, cases.PAPER.num_latents, cases.PAPER.latent_dim)
    whole = {size: Grid.cells(size, size) for size in sizes}
    bands = {size: Grid((grid.axes[0][: BAND if size > LARGE else size], grid.axes[1])) for size, grid in whole.items()}
    runs = {str(size): partial(model.decode, tokens, grid) for size, grid in bands.items()}
    measure.interleave(runs, 1)  # the warm-up
    seconds, _ = measure.interleave(runs, TURNS)
    each = {size: [one / len(grid) for one in seconds[str(size)]] for size, grid in bands.items()}
    first = each[sizes[0]]
    return {size: (measure.median(costs), measure.median([a / b for a, b in zip(costs, first, strict=True)]))
            for size, costs in each.items()}


@torch.no_grad()
def lainr(size: int, way: Way, threads: int) -> Cost:
    """The paper's model at size x size."""
    torch.set_num_threads(threads)
    model, seconds = paper(way, size), []
    tokens = torch.randn(1, cases.PAPER.num_latents, cases.PAPER.latent_dim)

    def run() -> torch.Tensor:
        start = time.perf_counter()
        values = model.decode(tokens, Grid.cells(size, size))
        seconds.append(time.perf_counter() - start)
        return values

    model.decode(tokens, Grid.cells(178, 178))  # the warm-up
    before = product_rate()
    peak = measure.peak_memory(run)
    if size <= 1024:
        for _ in range(3):
            run()
    return measure.median(seconds), peak - 4 * 3 * size**2, size**2, (before + product_rate()) / 2


def photographs(name: str, megapixels: float, threads: int) -> Cost:
    """A packaged model; bands are thrown away as a program that writes a file would."""
    torch.set_num_threads(threads)
    picture, seconds = photograph(megapixels), []
    field = Field.of(tokenfield.load(name).eval(), picture)
    height, width = field.native_size
    band = next(field.rows(height, width))

    def run() -> None:
        start = time.perf_counter()
        for _ in field.rows(height, width):
            pass
        seconds.append(time.perf_counter() - start)

    before = product_rate()
    peak = measure.peak_memory(run)
    return measure.median(seconds), peak - 4 * band.numel(), height * width, (before + product_rate()) / 2


def main(options: Options) -> None:
    """Measure, print the table, print the line of JSON."""
    table, rows = Table(title="Decoding, float32"), []
    for column in ("", "", "us per pixel", "products, GFLOP/s", "kFLOP in that time", "of the smallest", "peak MB"):
        table.add_column(column, justify="right")
    sizes = [size for size in SIZES if size <= options.largest]
    ways: list[Way] = ["exact", *(["fused"] if has_kernel() else []), "nodes"]
    tasks = {f"LAINR, {way}": [(f"{size} px", lainr, (size, way)) for size in sizes] for way in ways}
    flat = {f"LAINR, {way}": measure.in_own_process(turns, way, sizes, options.threads)
            for way in ways if way != "nodes" and sizes}
    tasks |= {name: [(f"{m:g} MP", photographs, (name, m)) for m in options.megapixels]
              for name in ("photos-s", "photos-ladder")}
    for name, of_name in tasks.items():
        table.add_section()
        smallest = None
        for size, cost, arguments in of_name:
            seconds, peak, pixels, rate = measure.in_own_process(cost, *arguments, options.threads)
            each, worth = 1e6 * seconds / pixels, seconds / pixels * rate / 1e3
            smallest = smallest or worth
            ratio = worth / smallest
            if name in flat:
                by_turns, ratio = flat[name][arguments[0]]
                each, worth = 1e6 * by_turns, by_turns * rate / 1e3
            table.add_row(name, size, f"{each:.2f}", f"{rate / 1e9:.0f}", f"{worth:.0f}", f"{ratio:.2f}",
                          f"{peak / 1e6:.0f}")
            rows.append({"what": name, "size": size, "us_per_pixel": each, "matmul_gflops": rate / 1e9,
                         "kflop_worth": worth, "of_the_smallest": ratio, "peak_mb": peak / 1e6})  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
    console, about = Console(width=110), measure.circumstances()
    console.print(table)
    console.print(f"{about['device']}; {about['date']}", highlight=False)
    print(json.dumps({"benchmark": "sizes", **about, "rows": rows}))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
