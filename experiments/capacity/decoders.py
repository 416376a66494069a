"""Tables 3, 4 and 7 with the encoder taken out: what the decoders can express when tokens are not the limit.

    python -m experiments.capacity.decoders --data PHOTOGRAPHS --out results/compare/capacity

The three tables are about decoders, but each row is trained behind a transformer, and in a short run it is the
transformer that limits all of them (`results/compare/README.md`). Here the tokens of a few pictures are free numbers,
trained together with the shared decoder by Adam; then the decoder is frozen and the tokens of unseen pictures are
found in the same way. The rows are those of `experiments.tables` at the miniature scale, on larger pictures if asked:

    python -m experiments.capacity.decoders --data PHOTOGRAPHS --side 48 --out results/compare/capacity-48

Then the tokens grow with the area and the bandwidths with the side, and the width of the decoders does not. What that
is about: a decoder of width 256 has 124 pixels for each of its numbers at 178 x 178, one of width 48 has 5 at 16 x 16
and 48 at 48 x 48, and a modulated weight matrix, which all coordinates share, can only be short of numbers if there
are many pixels.

Every row and seed is a file of its own under --runs: a stopped study goes on with the same command, and several
processes share the work. Written: JSON, a Markdown table with the published column, a figure.
"""

import json
import math
import statistics
import time
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from experiments.miniature import TINY, base, miniature
from experiments.tables.tables import TABLES, Row
from tokenfield.comparison.running import Busy, claim
from tokenfield.coords import Grid
from tokenfield.evaluation import tables
from tokenfield.evaluation.environment import machine, versions
from tokenfield.io.atomic import written_aside
from tokenfield.io.charts import COLOURS, plot
from tokenfield.io.progress import progress
from tokenfield.metrics import mse, psnr
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.sampling import draw

STUDIED = ("3", "4", "7")
COLOUR = dict(zip(STUDIED, COLOURS, strict=False))
TOKEN_RATE, DECODER_RATE, WARMUP = 1e-2, 3e-3, 50
"""Adam's rates after the warm-up; both fall to zero along half a cosine."""


@dataclass(frozen=True)
class Options:
    """How much of it."""

    data: Path
    """A folder of photographs with `train` and `test`."""
    out: Path = Path("results/compare/capacity")
    """Where JSON, table and figure go."""
    runs: Path = Path("runs/capacity")
    """Where the rows' own results go."""
    seeds: int = 3
    """How many, from 0 on: of the decoder's and the tokens' start. The pictures are always the same."""
    pictures: int = 32
    """Crops whose tokens are trained together with the decoder."""
    unseen: int = 16
    """Crops of the test pictures whose tokens are found for the frozen decoder."""
    side: int = 16
    """Of the pictures, a multiple of 4; above 16, a step asks for 16 x 16 of their pixels."""
    steps: int = 1500
    """Of decoder and tokens; a fifth as many of the tokens of unseen pictures."""
    spread: float = 0.3
    """Deviation of the tokens at the start."""
    common: float = 0.0
    """Share of that variance that all pictures have in common: token i then begins alike in all of them, as those of an
    encoder do, which are learned vectors before they have seen a picture."""


FINER = 178 / 128
"""Bandwidths are the published ones as for pictures of 128 pixels, as in the runs of 22 November; miniatures have since
had them as for 178."""


def enlarged(model: Any, side: int) -> Any:
    """A miniature's configuration for larger pictures: tokens by the area, bandwidths by the side, no other change."""
    times, finer, changes = side // TINY.side, side / TINY.side * FINER, {}
    for name in (field.name for field in fields(model)):
        value = getattr(model, name)
        if is_dataclass(value):
            changes[name] = enlarged(value, side)
        elif name == "size":
            changes[name] = (side, side)
        elif name == "num_latents":
            changes[name] = value * times**2
        elif name in ("sigma", "sigma_q"):
            changes[name] = value * finer
        elif name == "sigmas":
            changes[name] = tuple(sigma * finer for sigma in value)
    return replace(model, **changes)


def rows() -> list[tuple[str, Row]]:
    """Every row of the three tables once, with the table it is first in."""
    same = {"(128, 32), 16", "IPC"}  # other names of rows that are there already
    rows_by_name: dict[str, tuple[str, Row]] = {}
    for name in STUDIED:
        for row in TABLES[name].paper_rows():
            if row.label not in same:
                rows_by_name.setdefault(row.label, (name, row))
    return list(rows_by_name.values())


def rate(step: int, steps: int) -> float:
    """Share of the full rate: linear warm-up, then half a cosine to zero."""
    return min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def fit(model: Any, tokens: Tensor, pictures: Tensor, steps: int, trained: list[Tensor], label: str) -> list[list]:
    """Train `tokens`, and `trained` beside them, in place; returns [step, mean PSNR] eight times along the way."""
    height, width = pictures.shape[2:]
    coordinates = ReconstructionConfig(jitter="none", fraction=TINY.side**2 / (height * width), subset="grid")
    draws = torch.Generator().manual_seed(0)
    groups = [{"params": [tokens], "lr": TOKEN_RATE}, *([{"params": trained, "lr": DECODER_RATE}] if trained else [])]
    adam, curve = torch.optim.Adam(groups, betas=(0.9, 0.99)), []
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: rate(step, steps))
    for step in progress(range(1, steps + 1), steps, label):
        sampling = draw(coordinates, height, width, draws)
        mse(model.decode(tokens, sampling.coords), sampling.gather(pictures)).mean().backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        schedule.step()
        adam.zero_grad()
        if step % max(1, steps // 8) == 0 or step == steps:
            curve.append([step, round(quality(model, tokens, pictures), 3)])
    return curve


@torch.no_grad()
def quality(model: Any, tokens: Tensor, pictures: Tensor) -> float:
    """Mean PSNR at all pixel centres."""
    values = model.decode(tokens.detach(), Grid.cells(*pictures.shape[2:]))
    return psnr(values, pictures.flatten(2).transpose(1, 2)).mean().item()


def train_row(row: Row, seed: int, options: Options, pictures: Tensor, unseen: Tensor) -> dict[str, Any]:
    """One row and seed: decoder and tokens, then the tokens of unseen pictures."""
    torch.manual_seed(seed)
    model = enlarged(miniature(row.at("published", seed), seed, TINY).model, options.side).build()
    shape = model.encode(pictures[:1]).shape[1:]
    decoder = [p for p in model.parameters() if p.requires_grad]
    start, began = torch.Generator().manual_seed(seed), time.process_time()
    own, alike = (torch.randn(n, *shape, generator=start) for n in (len(pictures), 1))
    mixed = (1 - options.common) ** 0.5 * own + options.common**0.5 * alike
    tokens = (options.spread * mixed).requires_grad_()
    curve = fit(model, tokens, pictures, options.steps, decoder, f"{row.label}, seed {seed}")
    seconds = time.process_time() - began
    model.requires_grad_(False)
    codes = tokens.detach().mean(0).expand(len(unseen), *shape).clone().requires_grad_()
    later = fit(model, codes, unseen, options.steps // 5, [], f"{row.label}, seed {seed}, unseen")
    return {"psnr": curve[-1][1], "unseen_psnr": later[-1][1], "curve": curve, "unseen_curve": later,
            "values_stored": tokens[0].numel(), "processor_seconds": round(seconds, 1)}


def crops(options: Options) -> tuple[Tensor, Tensor]:
    """The pictures whose tokens are trained, (N, C, H, W), and the unseen ones."""
    config = replace(base().data, size=options.side)
    train, test = (config.open(options.data, split) for split in ("train", "test"))
    training = torch.stack([train.sample(0, 0, i) for i in range(options.pictures)])
    photographs = [picture for _, picture in test.pictures()]
    every = max(1, len(photographs) // options.unseen)
    return training, torch.stack(photographs[::every][: options.unseen])


def summary(options: Options) -> list[dict[str, Any]]:
    """Rows with means and deviations over the seeds that are there."""
    lines = []
    for table, row in rows():
        files = [path(options, row, seed) for seed in range(options.seeds)]
        runs = [json.loads(file.read_text()) for file in files if file.exists()]
        if not runs:
            continue
        line = {"table": table, "label": row.label, "published": row.published, "seeds": len(runs), "runs": runs}
        for key in ("psnr", "unseen_psnr"):
            values = [run[key] for run in runs]
            line[key] = round(statistics.fmean(values), 3)
            line[f"{key}_deviation"] = round(statistics.stdev(values), 3) if len(values) > 1 else None
        lines.append(line)
    return lines


def path(options: Options, row: Row, seed: int) -> Path:
    """The file of a row and a seed, named after all that decides it."""
    name = "".join(c if c.isalnum() else "-" for c in row.label).strip("-")
    deciding = f"{options.side}-{options.pictures}-{options.steps}-{options.spread:g}-{options.common:g}"
    return options.runs / f"{name}-{deciding}-seed{seed}.json"


def study_table(lines: list[dict[str, Any]]) -> str:
    """The table for people."""
    rows = [["table", "row", "published, dB", "seeds", "PSNR, dB", "unseen pictures, dB"]]
    for line in lines:
        ours = (f"{line[key]:.2f}" + (f" ± {line[f'{key}_deviation']:.2f}" if line["seeds"] > 1 else "")
                for key in ("psnr", "unseen_psnr"))
        rows.append([line["table"], line["label"], f"{line['published']:.2f}", str(line["seeds"]), *ours])
    return tables.markdown(rows) + "\n"


def draw_figure(lines: list[dict[str, Any]], file: Path) -> None:
    """Published against measured: a point per row, a colour per table."""
    title = "Decoders without their encoder: PSNR with free tokens, dB"
    with plot(file, title=title, size=(9.0, 5.2), xlabel="published PSNR, dB") as axis:
        for table, colour in COLOUR.items():
            own = [line for line in lines if line["table"] == table]
            axis.errorbar([line["published"] for line in own], [line["psnr"] for line in own], color=colour,
                          yerr=[line["psnr_deviation"] or 0 for line in own], fmt="o", capsize=3,
                          label=f"table {table}")
        height = max(line["psnr"] for line in lines) - min(line["psnr"] for line in lines)
        for line in lines:
            above = [other["psnr"] - line["psnr"] for other in lines if abs(other["published"] - line["published"]) < 1]
            covered = any(0 < gap < height / 12 for gap in above)  # its name would lie on that of the point just above
            axis.annotate(line["label"], (line["published"], line["psnr"]), xytext=(6, -13 if covered else 3),
                          textcoords="offset points", fontsize=10)
        axis.margins(x=0.2)


def main(options: Options) -> None:
    """Make the runs that are missing, then write what there is."""
    pictures, unseen = crops(options)
    for seed in range(options.seeds):
        for _, row in rows():
            file = path(options, row, seed)
            try:
                with claim(file):
                    if not file.exists():
                        result = train_row(row, seed, options, pictures, unseen)
                        with written_aside(file) as aside:
                            aside.write(json.dumps(result).encode())
            except Busy:
                continue  # another process is at it
    lines = summary(options)
    facts = {key: getattr(options, key) for key in ("pictures", "unseen", "side", "steps", "spread", "common")}
    about = {"options": facts | {"token_rate": TOKEN_RATE, "decoder_rate": DECODER_RATE},
             "machine": machine(), "versions": versions()}
    options.out.mkdir(parents=True, exist_ok=True)
    with written_aside(options.out / "capacity.json") as file:
        file.write((json.dumps({**about, "rows": lines}, indent=1) + "\n").encode())
    with written_aside(options.out / "table.md") as file:
        file.write(study_table(lines).encode())
    draw_figure(lines, options.out / "figure.png")
    print(study_table(lines))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
