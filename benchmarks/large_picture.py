"""A 24-megapixel photograph: encoded as it is, and any region of it rendered at any zoom, in bounded memory.

    python -m benchmarks.large_picture                            # both packaged models, ten minutes on two cores
    python -m benchmarks.large_picture --models photos-s --megapixels 6

The picture is the held-out photographs beside and below each other, mirrored, 3 to 2. A region's cost should not depend
on how large the picture around it is: every region is timed in the large picture and in a picture of its own size.
Memory is what an operation needs at its peak beyond the picture, the model and the tokens, in a process of its own.
A table for people, then one line of JSON.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

import tokenfield
from benchmarks import measure
from tokenfield import Field
from tokenfield.data.demo_pictures import HELD_OUT, held_out
from tokenfield.metrics import psnr

REGION, ZOOM = 512, 16
"""Pixels of a rendered region on a side, and the zoom of the second one."""


@dataclass(frozen=True)
class Options:
    """How large, and with which models."""

    megapixels: float = 24.0
    """Of the picture."""
    models: tuple[str, ...] = ("photos-s", "photos-ladder")
    """Packaged models, or folders."""
    threads: int = 2
    """Threads of torch."""


def photograph(megapixels: float) -> Tensor:
    """(3, H, W), H to W as 2 to 3: crops of the held-out photographs, each beside its mirror image."""
    height, width = (round((megapixels * 1e6 * ratio) ** 0.5) for ratio in (2 / 3, 3 / 2))
    cells = [held_out(name, size=256) for name in HELD_OUT]
    rows = []
    for i in range(0, height, 256):
        row = [cells[(i // 256 * 3 + j) % len(cells)].flip(-1) if j % 2 else cells[(i // 256 * 3 + j) % len(cells)]
               for j in range(-(-width // 256))]  # fmt: skip
        rows.append(torch.cat(row, -1))
    return torch.cat(rows, -2)[:, :height, :width].contiguous()


def tasks(field: Field) -> dict[str, Callable[[], Tensor]]:
    """What is asked of a field: two regions around its middle, and bands of the whole from its top."""
    height, width = field.native_size
    top, left = (height - REGION) // 2, (width - REGION) // 2
    side = REGION // ZOOM
    box = field.pixel_box(top, left, top + REGION, left + REGION)
    small = field.pixel_box(top, left, top + side, left + side)
    return {
        f"region of {REGION} x {REGION} at 1x": lambda: field.crop(box, (REGION, REGION)),
        f"region of {side} x {side} at {ZOOM}x": lambda: field.crop(small, (REGION, REGION)),
        "a band of a megapixel, native size": lambda: next(field.rows(height, width)),
        "the whole at 1/8, means over boxes": lambda: field.render(height // 8, width // 8),
    }


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def whole(model: str, options: Options) -> dict[str, Any]:
    """Everything about one model; in a process of its own, so that peaks are its own."""
    torch.set_num_threads(options.threads)
    net, picture = tokenfield.load(model).eval(), photograph(options.megapixels)
    Field.of(net, picture[:, :REGION, :REGION])  # the warm-up
    fields: list[tuple[float, Field]] = []
    peak = measure.peak_memory(lambda: fields.append(timed(lambda: Field.of(net, picture))))
    seconds, field = fields[0]
    height, width = field.native_size
    alone = tasks(Field.of(net, picture[:, (height - REGION) // 2 :, (width - REGION) // 2 :][:, :REGION, :REGION]))
    rows = [{"task": "encode", "seconds": seconds, "peak_mb": (peak - 4 * field.values_stored) / 1e6, "alone": None}]
    for name, run in tasks(field).items():
        (duration, values), own = min((timed(run) for _ in range(2)), key=lambda pair: pair[0]), None
        if "region" in name:
            own = min(timed(alone[name])[0] for _ in range(2))
        rows.append({"task": name, "seconds": duration, "alone": own,
                     "peak_mb": (measure.peak_memory(run) - 4 * values.numel()) / 1e6})
    top, left = (height - REGION) // 2, (width - REGION) // 2
    region = picture[:, top : top + REGION, left : left + REGION]
    value = tasks(field)[f"region of {REGION} x {REGION} at 1x"]()
    return {"model": model, "height": height, "width": width, "picture_mb": 4 * picture.numel() / 1e6,
            "tokens_mb": 4 * field.values_stored / 1e6, "region_psnr": psnr(value[None], region[None]).item(),
            "rows": rows}


def show(results: list[dict[str, Any]], about: dict[str, object]) -> None:
    """The table for people."""
    table = Table(title=f"A photograph of {results[0]['height']} x {results[0]['width']} pixels")
    for column in ("", "seconds", "of which the picture's size costs", "peak MB beyond picture, tokens, result"):
        table.add_column(column, justify="left" if not column else "right")
    for result in results:
        table.add_section()
        table.add_row(f"[bold]{result['model']}[/bold]: tokens {result['tokens_mb']:.0f} MB, middle region "
                      f"{result['region_psnr']:.2f} dB")
        for row in result["rows"]:
            extra = "-" if row["alone"] is None else f"{row['seconds'] - row['alone']:+.3f}"
            table.add_row(row["task"], f"{row['seconds']:.2f}", extra, f"{row['peak_mb']:.0f}")
    console = Console(width=130)
    console.print(table)
    for key, value in about.items():
        console.print(f"{key}: {value}", highlight=False)


def main(options: Options) -> None:
    """Measure, print the table, print the line of JSON."""
    torch.set_num_threads(options.threads)
    about = measure.circumstances()
    results = [measure.in_own_process(whole, model, options) for model in options.models]
    about["load after"] = [round(x, 2) for x in os.getloadavg()]
    show(results, about)
    print(json.dumps({"benchmark": "large_picture", "options": vars(options), **about, "models": results}))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
