"""More processes: measured on this machine with gloo, computed for 8 and 64 accelerators.

    python -m benchmarks.scale                # the computed tables alone, at once
    python -m benchmarks.scale --measure      # `torchrun` with 1, 2 and 4 processes of one thread each, ten minutes

Measured is `tokenfield train` under `torchrun` as a user runs it: pictures per second over the last half of a short
run, strong (the same batch shared out) and weak (a batch for each). Computed is what a step needs at the papers' sizes:
operations by formula over an assumed share of an accelerator's peak, and bytes that a ring all-reduce moves over a
link; both assumptions are options.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks import cases, flops, measure
from tokenfield.data.demo_pictures import HELD_OUT, held_out
from tokenfield.data.pictures import write_picture
from tokenfield.generation.denoiser import DenoiserConfig
from tokenfield.models.lainr import LainrConfig

IMAGENET = 1_281_167
"""Training pictures of ImageNet (ILSVRC 2012)."""


@dataclass(frozen=True)
class Options:
    """What to measure, and what an accelerator is assumed to do."""

    measure: bool = False
    """Run `torchrun` too."""
    steps: int = 16
    """Steps of each measured run."""
    batch: int = 8
    """Pictures per process (weak), or for 1 process of all (strong)."""
    tflops: float = 790.0
    """Peak bfloat16 TFLOP/s of an accelerator."""
    share: float = 0.4
    """Share of it that a training step reaches."""
    gbytes: float = 50.0
    """GB/s that a ring moves per accelerator; 50 is a 400 Gb/s network, inside a machine it is several times more."""


def lainr_step(batch: int) -> float:
    """Operations of a training step of the paper's LAINR on all pixels."""
    points = cases.PAPER.size[0] * cases.PAPER.size[1]
    per_picture = flops.encoder(cases.PAPER, last_block_whole=False) + flops.our_decoder(
        cases.PAPER, points, axes=cases.PAPER.size)
    return 3.0 * batch * per_picture


def denoiser_step(batch: int) -> float:
    """Operations of a training step of the paper's denoiser, but for its attention's scores."""
    config = DenoiserConfig()
    return 3.0 * 2 * batch * config.tokens * 12 * config.depth * config.width**2


def parameters(config: LainrConfig | DenoiserConfig) -> int:
    """How many numbers a model has; nothing is allocated."""
    with torch.device("meta"):
        return sum(p.numel() for p in config.build().parameters())


def computed(options: Options) -> list[dict[str, object]]:
    """Rows for 1, 8 and 64 accelerators, 16 pictures (LAINR) or 32 sets of tokens (denoiser) on each."""
    rows: list[dict[str, object]] = []
    lainr = "LAINR, 178 px", parameters(cases.PAPER), lainr_step(16), 16
    denoiser = "denoiser, DiT-L", parameters(DenoiserConfig()), denoiser_step(32), 32
    for name, weights, work, batch in (lainr, denoiser):
        for count in (1, 8, 64):
            compute = work / (options.tflops * 1e12 * options.share)
            moved = 2 * (count - 1) / count * 4 * weights  # a ring moves every float32 gradient twice
            exchange = moved / (options.gbytes * 1e9)
            seconds = max(compute, exchange)  # gradients travel while the backward pass goes on
            rows.append({"what": name, "accelerators": count, "batch": batch * count, "tflop_per_step": work / 1e12,
                         "compute_ms": 1e3 * compute, "moved_mb": moved / 1e6, "exchange_ms": 1e3 * exchange,
                         "instances_per_s": batch * count / seconds})  # fmt: skip
    return rows


def latents(options: Options) -> dict[str, float]:
    """ImageNet as tokens of the paper's LAINR: operations, bytes and shards."""
    values = cases.PAPER.num_latents * cases.PAPER.latent_dim
    work = IMAGENET * flops.encoder(cases.PAPER, last_block_whole=False)
    return {"values_each": values, "terabytes_fp16": 2 * values * IMAGENET / 1e12,
            "shards_of_4096": -(-IMAGENET // 4096), "gigabytes_per_shard": 2 * values * 4096 / 1e9,
            "hours_on_one_accelerator": work / (options.tflops * 1e12 * options.share) / 3600}  # fmt: skip


def run(processes: int, batch: int, steps: int, data: Path) -> float:
    """Pictures per second of `tokenfield train` with so many processes."""
    with tempfile.TemporaryDirectory() as out:
        program = ["-m", "tokenfield", "train", "lainr-photos-64", "--data", str(data), "--out", f"{out}/run"]
        sizes = ["--steps", str(steps), "--batch-size", str(batch), "--log-every", str(steps // 2), "--workers", "1",
                 "--evaluate-every", "0", "--quiet"]  # fmt: skip
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        subprocess.run([*launch, *program, *sizes], check=True, capture_output=True)
        last = json.loads((Path(out) / "run" / "metrics.jsonl").read_text().splitlines()[-1])
        return float(last["images_per_second"])


def measured(options: Options) -> list[dict[str, float]]:
    """Rows for 1, 2 and 4 processes."""
    with tempfile.TemporaryDirectory() as folder:
        for name in HELD_OUT:
            write_picture(Path(folder) / f"{name}.png", held_out(name))
        rows = []
        for count in (1, 2, 4):
            strong = run(count, 2 * options.batch, options.steps, Path(folder))
            weak = run(count, count * options.batch, options.steps, Path(folder))
            rows.append({"processes": count, "strong": strong, "weak": weak})
    return rows


def show(title: str, rows: list[dict[str, object]]) -> None:
    """A table for people."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=130).print(table)


def main(options: Options) -> None:
    """Compute, measure, print the line of JSON."""
    rows, tokens = computed(options), latents(options)
    show(f"Computed: {options.share:.0%} of {options.tflops:g} TFLOP/s, {options.gbytes:g} GB/s", rows)
    show("Computed: ImageNet as tokens of LAINR, 178 px", [tokens])
    record = {"benchmark": "scale", **measure.circumstances(), "computed": rows, "latents": tokens}
    if options.measure:
        record["measured"] = measured(options)
        show("Measured: pictures per second, lainr-photos-64 under torchrun", record["measured"])
    print(json.dumps(record))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
