"""LAINR at the paper's 178-pixel configuration: tokenfield beside the plain reference, in one run.

    python -m benchmarks.lainr_178                    # everything, under six minutes on two cores
    python -m benchmarks.lainr_178 --only decode      # or encode, or train
    python -m benchmarks.lainr_178 --malloc tuned     # glibc keeps freed memory: the plain code gains most

Encode one picture, decode it at 178, 512 and 1024 pixels, train on four pictures (all pixels; a tenth of them). Per
alternative: median time of interleaved turns, ratio to the plain one, share of the matrix-product rate measured in the
same turns, peak memory in a process of its own, agreement with the plain one's float32 values. A table for people, then
one line of JSON.

bfloat16 is timed where the processor multiplies it natively; elsewhere it is emulated, many times slower than float32,
and only its values are checked, at the smallest size.
"""

import json
import os
import sys
from dataclasses import dataclass
from typing import Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import cases, measure
from benchmarks.cases import Case
from tokenfield.metrics import decibels

SECTIONS = {  # title -> (kind, what distinguishes it)
    "encode, 1 picture": ("encode", 1),
    "decode, 178 px": ("decode", 178),
    "decode, 512 px": ("decode", 512),
    "decode, 1024 px": ("decode", 1024),
    "train step, 4 pictures": ("train", 1.0),
    "train step, 4 pictures, 10 % of pixels": ("train", 0.1),
}
LONG = (1024, 0.1)  # few turns, and no warm-up beyond the other sections'
VALUES_ONLY = (1, 178)  # where an emulated type is worth one run
TOY_SIZES = {178: 14, 512: 23, 1024: 31}


@dataclass(frozen=True)
class Options:
    """What to measure."""

    only: Literal["all", "encode", "decode", "train"] = "all"
    """One kind of work, or all."""
    repeats: int = 5
    """Recorded turns; three at most where one takes long (1024 pixels, a tenth of the pixels)."""
    compile: bool = False
    """Also decode with torch.compile (minutes of compilation; needs a C++ compiler)."""
    malloc: Literal["default", "tuned"] = "default"
    """tuned: glibc keeps freed memory (in the environment of this program, started anew)."""
    memory: bool = True
    """Measure peak memory too, every alternative in a process of its own."""
    quick: bool = False
    """Toy sizes, in seconds: whether it runs, not how fast."""
    threads: int = 2
    """Threads of torch."""


@dataclass(frozen=True)
class Row:
    """One alternative's numbers; None where it was not measured."""

    section: str
    name: str
    dtype: str
    seconds: list[float]
    median_s: float | None
    times_plain: float | None  # above 1: faster than the plain one
    gflops: float
    share_of_matmul: float | None  # of the rate of its own type, measured in the same turns
    peak_mb: float | None
    max_abs_diff: float | None
    db_against_fp32: float | None


def build(title: str, options: Options, bf16: bool) -> list[Case]:
    """The alternatives of a section."""
    kind, which = SECTIONS[title]
    config = cases.TOY if options.quick else cases.PAPER
    if kind == "decode":
        size = TOY_SIZES[which] if options.quick else which
        return cases.decode(config, size, bf16=bf16, compiled=options.compile)
    return cases.encode(config, which, bf16=bf16) if kind == "encode" else cases.train(
        config, which, bf16=bf16, recompute=True)


def peak(title: str, options: Options, bf16: bool, index: int) -> float:
    """Peak memory in MB of one alternative; run in a process of its own."""
    torch.set_num_threads(options.threads)
    case = build(title, options, bf16)[index]
    case.settle()
    return measure.peak_memory(case.run) / 1e6


def agreement(value: Tensor, plain: Tensor) -> tuple[float, float]:
    """Largest difference, and decibels of the mean squared one (peak 1, as values of pictures have)."""
    difference = value.double() - plain.double()
    return difference.abs().max().item(), decibels(difference.square().mean()).item()


def run_section(title: str, options: Options, native: bool) -> tuple[list[Row], dict[str, float]]:
    """All numbers of a section, and the matrix-product rates (GFLOP/s) of its turns."""
    kind, which = SECTIONS[title]
    bf16 = native or which in VALUES_ONLY
    alternatives = build(title, options, bf16)
    timed = [case for case in alternatives if native or case.dtype is torch.float32]
    products = {f"matmul {case.dtype}": measure.matmul(case.dtype) for case in timed}  # one per type
    runs = {case.name: case.run for case in timed} | {name: run for name, (run, _) in products.items()}
    for case in alternatives:
        case.settle()
    if kind != "train" and which not in LONG:
        measure.interleave(runs, 1)  # the warm-up
    seconds, values = measure.interleave(runs, min(3, options.repeats) if which in LONG else options.repeats)
    values |= {case.name: case.run() for case in alternatives if case not in timed}
    rates = {name: work / measure.median(seconds[name]) / 1e9 for name, (_, work) in products.items()}

    plain = alternatives[0]
    rows = []
    for index, case in enumerate(alternatives):
        times = seconds.get(case.name, [])
        middle = measure.median(times) if times else None
        weighed = options.memory and case in timed and not (which == 1024 and case is plain)
        comparable = kind != "train" and case is not plain  # steps draw different coordinates; tests compare gradients
        difference, closeness = agreement(values[case.name], values[plain.name]) if comparable else (None, None)
        rows.append(
            Row(
                section=title,
                name=case.name,
                dtype=str(case.dtype).removeprefix("torch."),
                seconds=[round(s, 6) for s in times],
                median_s=middle,
                times_plain=measure.median(seconds[plain.name]) / middle if middle else None,
                gflops=case.flops / 1e9,
                share_of_matmul=case.flops / 1e9 / middle / rates[f"matmul {case.dtype}"] if middle else None,
                peak_mb=measure.in_own_process(peak, title, options, bf16, index) if weighed else None,
                max_abs_diff=difference,
                db_against_fp32=closeness,
            )
        )
    return rows, rates


def show(rows: list[Row], rates: dict[str, dict[str, float]], about: dict[str, object]) -> None:
    """The table for people."""
    table = Table(title="LAINR, 178-pixel configuration: plain reference and tokenfield, interleaved")
    for column in ("", "median ms", "x plain", "GFLOP", "of matmul rate", "peak MB", "largest diff", "dB vs fp32"):
        table.add_column(column, justify="left" if not column else "right")

    def cell(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    for title in dict.fromkeys(row.section for row in rows):
        speeds = " / ".join(f"{rate:.0f}" for rate in rates[title].values())
        table.add_section()
        table.add_row(f"[bold]{title}[/bold]", "", "", "", f"[dim]{speeds} GFLOP/s[/dim]")
        for row in (row for row in rows if row.section == title):
            table.add_row(
                row.name,
                cell(row.median_s and row.median_s * 1e3, ".1f"),
                cell(row.times_plain, ".2f"),
                cell(row.gflops, ".1f"),
                cell(row.share_of_matmul, ".0%"),
                cell(row.peak_mb, ".0f"),
                cell(row.max_abs_diff, ".1e"),
                cell(row.db_against_fp32, ".1f"),
            )
    console = Console(width=130)
    console.print(table)
    for key, value in about.items():
        console.print(f"{key}: {value}", highlight=False)


def main(options: Options) -> None:
    """Measure, print the table, print the line of JSON."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    about = measure.circumstances()
    native = measure.multiplies_natively(torch.bfloat16)
    about["bfloat16"] = "native" if native else "emulated by this processor: not timed, values only"
    rows: list[Row] = []
    rates = {}
    for title, (kind, _) in SECTIONS.items():
        if options.only in ("all", kind):
            print(f"{title} ...", file=sys.stderr, flush=True)
            section, rates[title] = run_section(title, options, native)
            rows += section
    about["load after"] = [round(x, 2) for x in os.getloadavg()]
    show(rows, rates, about)
    record = {"benchmark": "lainr_178", "options": vars(options), **about}
    print(json.dumps(record | {"matmul_gflops": rates, "rows": [vars(row) for row in rows]}))


if __name__ == "__main__":
    options = tyro.cli(Options, description=__doc__)
    if options.malloc == "tuned" and any(os.environ.get(k) != v for k, v in measure.TUNED_MALLOC.items()):
        command = [sys.executable, "-m", "benchmarks.lainr_178", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | measure.TUNED_MALLOC)  # read once, when a program starts
    main(options)
