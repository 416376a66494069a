"""What a pixel costs in small and in large pictures: LAINR from 178 to 4096 pixels, packaged models at 1 and 24 MP.

    python -m benchmarks.sizes                   # eight minutes on one core
    python -m benchmarks.sizes --largest 1024    # two minutes

Microseconds per pixel of decoding tokens at hand, the same in operations of matrix products (what the machine would
multiply in that time: other work slows down both), and the memory that it needs at its peak beyond its result, each
size in a process of its own. LAINR is the paper's 178-pixel model with random weights, exact and with attention on 192
x 192 nodes (64 x 64 at 178 pixels); `photos-s` (anchored) and `photos-ladder` (switched) decode a photograph of so many
megapixels at its own size, band by band. A table for people, then one line of JSON.
"""

import json
import sys
import time
from dataclasses import dataclass

import torch
import tyro
from rich.console import Console
from rich.table import Table

import tokenfield
from benchmarks import cases, measure
from benchmarks.large_picture import photograph
from tokenfield import Field
from tokenfield.coords import Grid

SIZES = 178, 512, 1024, 4096


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


def product_rate() -> float:
    """Operations a second of a matrix product, now."""
    product, work = measure.matmul(torch.float32)
    seconds, _ = measure.interleave({"product": product}, 5)
    return work / measure.median(seconds["product"])


@torch.no_grad()
def lainr(size: int, nodes: int, threads: int) -> Cost:
    """The paper's model at size x size; 0 nodes: exact."""
    torch.set_num_threads(threads)
    model, seconds = cases.build(cases.PAPER), []
    model = model.coarse(min(nodes, 64) if size == 178 else nodes) if nodes else model
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
    tasks = {name: [(f"{size} px", lainr, (size, nodes)) for size in sizes]
             for name, nodes in (("LAINR, exact", 0), ("LAINR, nodes", 192))}
    tasks |= {name: [(f"{m:g} MP", photographs, (name, m)) for m in options.megapixels]
              for name in ("photos-s", "photos-ladder")}
    for name, of_name in tasks.items():
        table.add_section()
        smallest = None
        for size, cost, arguments in of_name:
            seconds, peak, pixels, rate = measure.in_own_process(cost, *arguments, options.threads)
            each, worth = 1e6 * seconds / pixels, seconds / pixels * rate / 1e3
            smallest = smallest or worth
            table.add_row(name, size, f"{each:.2f}", f"{rate / 1e9:.0f}", f"{worth:.0f}", f"{worth / smallest:.2f}",
                          f"{peak / 1e6:.0f}")
            rows.append({"what": name, "size": size, "us_per_pixel": each, "matmul_gflops": rate / 1e9,
                         "kflop_worth": worth, "peak_mb": peak / 1e6})  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
    console, about = Console(width=110), measure.circumstances()
    console.print(table)
    console.print(f"{about['device']}; {about['date']}", highlight=False)
    print(json.dumps({"benchmark": "sizes", **about, "rows": rows}))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
