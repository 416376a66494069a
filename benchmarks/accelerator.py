"""LAINR on an accelerator: decode, training step, encode and sampling at the papers' sizes, within ten minutes.

    python -m benchmarks.accelerator --out accelerator.json                       # on the accelerator that torch finds
    python -m benchmarks.accelerator --out rehearsal.json --quick --device cpu    # the same at toy sizes, in a minute

What matters most comes first, every section is written to the file as soon as it is measured, and none is begun for
which too little of the budget is left: a run that is cut short still says what it had found. Per alternative: median
seconds of interleaved turns, pictures per second, ratio to the plain port, share of the matrix-product rate of its own
type measured in the same turns, memory beyond what was held before. A table for people, then one line of JSON.

ginr-ipc's training step is measured beside ours where its code is: clone kakaobrain/ginr-ipc, install what it names,
and give `--ginr-ipc PATH`; nothing of it is in this repository.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import cases, measure, peers
from benchmarks.cases import Case
from tokenfield.generation.denoiser import DenoiserConfig
from tokenfield.generation.sampling import guide
from tokenfield.io.atomic import write_whole
from tokenfield.models.lainr import LainrConfig


@dataclass(frozen=True)
class Options:
    """What to measure, where, and for how long."""

    out: Path
    """JSON file, written anew after every section."""
    device: str = "cuda"
    """Device of torch."""
    seconds: float = 540.0
    """No section begins for which less is left than the longest one has taken."""
    repeats: int = 7
    """Recorded turns."""
    batch: int = 16
    """Pictures per training step, as in the paper."""
    ginr_ipc: Path | None = None
    """A checkout of ginr-ipc."""
    quick: bool = False
    """Toy sizes: whether it runs, not how fast."""


@dataclass(frozen=True)
class Section:
    """Alternatives that are measured in turns.

    Attributes:
        title: what is done.
        pictures: how many pictures one run handles; 0 where that means nothing.
        make: the alternatives, the plain one first.
    """

    title: str
    pictures: int
    make: Callable[[], list[Case]]


def sections(options: Options) -> Iterator[Section]:
    """All of them, the most important first."""
    device, paper = options.device, cases.TOY if options.quick else cases.PAPER
    native = paper.size[0]
    batch, sizes = (2, (14, 23)) if options.quick else (options.batch, (178, 512, 1024, 4096))
    backend = "aot_eager" if options.quick else "inductor"

    def step(fraction: float) -> list[Case]:
        rows = cases.train(paper, fraction, batch=batch, row_blocks=1, backend=backend, device=device)
        return rows + (peers.ginr_ipc_step(options.ginr_ipc, batch, device) if fraction == 1 else [])

    yield Section(f"training step, {batch} pictures of {native} px", batch, lambda: step(1.0))
    for size in sizes:
        yield Section(f"decode, {size} px", 1, lambda size=size: decode(paper, size, options))
    yield Section(f"decode {batch} pictures, {native} px", batch, lambda: decode(paper, native, options, batch))
    yield Section(f"encode, {batch} pictures", batch, lambda: cases.encode(paper, batch, device=device))
    yield Section("encode, 1 picture", 1, lambda: cases.encode(paper, device=device))
    yield Section(f"training step, {batch} pictures, 10 % of pixels", batch, lambda: step(0.1))
    yield Section(f"one guided evaluation of the denoiser, {batch} samples", batch, lambda: sampling(batch, options))


def decode(config: LainrConfig, size: int, options: Options, batch: int = 1) -> list[Case]:
    """Tokens -> values, in chunks above the size that was trained on."""
    compiled = not options.quick and size <= 1024
    rows = cases.decode(config, size, batch=batch, compiled=compiled, device=options.device)
    return rows + (peers.ginr_ipc_decode(options.ginr_ipc, size, options.device) if batch == 1 and size <= 1024 else [])


def sampling(batch: int, options: Options) -> list[Case]:
    """One evaluation of the paper's denoiser with guidance; 250 of them draw the samples."""
    toy = {"width": 16, "depth": 2, "heads": 2, "tokens": 5, "latent_dim": 6, "classes": 3}
    config = DenoiserConfig(**toy) if options.quick else DenoiserConfig()
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        denoiser = config.build().eval().to(options.device, dtype)
        noisy = torch.randn(batch, *denoiser.shape).to(options.device, dtype)
        labels = torch.zeros(batch, dtype=torch.long, device=options.device)
        weights = sum(p.numel() for p in denoiser.blocks.parameters())
        run = torch.no_grad()(lambda d=denoiser, x=noisy, y=labels: guide(d, x, 500, y, 2.5))
        tokens = 2 * batch * denoiser.shape[0]
        rows.append(Case(str(dtype).removeprefix("torch."), run, 2.0 * tokens * weights, dtype))
    return rows


def memory(run: Callable[[], Tensor], device: torch.device) -> float | None:
    """Bytes that `run` needs at its peak beyond what is held; None where the device does not say."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    return float(torch.cuda.max_memory_allocated(device) - before)


def measured(section: Section, options: Options) -> list[dict[str, object]]:
    """A row for every alternative."""
    device, alternatives = torch.device(options.device), section.make()
    for case in alternatives:
        case.settle()
    sizes = (64, 64, 64) if options.quick else (16384, 1024, 1024)
    products = {str(d): measure.matmul(d, *sizes, device=device) for d in {case.dtype for case in alternatives}}
    runs = {case.name: case.run for case in alternatives} | {name: run for name, (run, _) in products.items()}
    measure.interleave(runs, 2)  # the warm-up, and compilation
    seconds, _ = measure.interleave(runs, options.repeats)
    rates = {name: work / measure.median(seconds[name]) for name, (_, work) in products.items()}
    plain = measure.median(seconds[alternatives[0].name])
    rows: list[dict[str, object]] = []
    for case in alternatives:
        middle, peak = measure.median(seconds[case.name]), memory(case.run, device)
        rows.append({
            "section": section.title, "name": case.name, "median_s": middle, "times_plain": plain / middle,
            "pictures_per_s": section.pictures / middle,
            "tflops": case.flops / middle / 1e12, "matmul_tflops": rates[str(case.dtype)] / 1e12,
            "share_of_matmul": case.flops / middle / rates[str(case.dtype)],
            "peak_mb": None if peak is None else peak / 1e6,
        })  # fmt: skip
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """The table for people."""
    table = Table(title="LAINR at the paper's sizes")
    for column in ("", "ms", "pictures / s", "x plain", "TFLOP/s", "of matmul rate", "peak MB"):
        table.add_column(column, justify="left" if not column else "right")
    for title in dict.fromkeys(row["section"] for row in rows):
        table.add_section()
        table.add_row(f"[bold]{title}[/bold]")
        for row in (row for row in rows if row["section"] == title):
            peak = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
            table.add_row(row["name"], f"{1e3 * row['median_s']:.2f}", f"{row['pictures_per_s']:.0f}",
                          f"{row['times_plain']:.2f}", f"{row['tflops']:.1f}", f"{row['share_of_matmul']:.0%}", peak)
    Console(width=130).print(table)


def main(options: Options) -> None:
    """Measure section by section; the file holds whatever was measured when the time is up."""
    started, longest = time.monotonic(), 0.0
    torch.backends.cuda.matmul.allow_tf32 = False  # float32 is float32
    rows: list[dict[str, object]] = []
    record = {"benchmark": "accelerator", **measure.circumstances(), "left out": []}
    if options.device == "cuda":
        record["device"] = torch.cuda.get_device_name()
    for section in sections(options):
        left = options.seconds - (begun := time.monotonic()) + started
        print(f"{section.title} ... {left:.0f} s left", file=sys.stderr, flush=True)
        try:
            if left < longest:
                raise RuntimeError("no time was left")
            rows += measured(section, options)
        except RuntimeError as error:  # what one section meets, lack of memory above all, does not end the others
            record["left out"].append(f"{section.title}: {' '.join(str(error).split())[:200]}")
        longest = max(longest, time.monotonic() - begun)
        write_whole(options.out, json.dumps(record | {"rows": rows}, indent=1))
    show(rows)
    print(json.dumps(record | {"rows": rows}))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
