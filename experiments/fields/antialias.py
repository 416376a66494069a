"""Rendering below the native size: point samples, cell decoding and box integrals beside the reduced photograph.

    python -m experiments.fields.antialias --data POOL --out results/antialias

Held-out photographs of scikit-image (256-pixel centre crops) are encoded by a packaged model and rendered at 1/2, 1/4
and 1/8 of their size. The truth is the photograph reduced by area (the mean of whole pixels), as a camera with larger
pixels would have seen it. The last column compares the integral with the area mean of the field's own rendering at
full size.

Cell decoding (LIIF, Chen et al. 2021) tells the decoder the size of the query's cell and lets it learn the answer: here
log2(cell) scales and shifts the features, and an output map of its own reads them; both are trained for --seconds on
the training photographs while everything else is frozen.
"""

import json
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from tokenfield.coords import Grid
from tokenfield.data import DataConfig
from tokenfield.data.demo_pictures import held_out_pictures
from tokenfield.data.pictures import write_picture
from tokenfield.evaluation import tables
from tokenfield.evaluation.environment import machine, versions
from tokenfield.fields.field import Field
from tokenfield.metrics import psnr
from tokenfield.models import pretrained

REDUCTIONS = (2, 4, 8)


@dataclass(frozen=True)
class Options:
    """Which model, how long to train the cell decoding."""

    data: Path
    """Folder of photographs with a `train` sub-folder."""
    out: Path = Path("results/antialias")
    """Where JSON, table and figure go."""
    model: str = "photos-s"
    """An anchored model."""
    seconds: float = 120
    """Training of the cell decoding."""
    seed: int = 0
    """Of its training."""


class CellDecoding(nn.Module):
    """An anchored model's decoder that is told the size of the query's cell."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.modulation = nn.Sequential(nn.Linear(1, 64), nn.GELU(), nn.Linear(64, 2 * model.config.decoder_dim))
        self.head = deepcopy(model.head).requires_grad_(True)
        nn.init.zeros_(self.modulation[-1].weight)
        nn.init.zeros_(self.modulation[-1].bias)

    def forward(self, tokens: Tensor, reduction: int, grid: Grid) -> Tensor:
        """Values (B, Q, C) at the centres of cells of `reduction` pixels."""
        with torch.no_grad():
            features = self.model.decoder_norm(self.model.decoder(self.model.from_latent(tokens)))
        size = torch.tensor([float(reduction)]).log2()
        scale, shift = self.modulation(size).chunk(2)
        coefficients = self.head.coefficients(tokens, features * (1 + scale) + shift)
        located = self.model.locate(grid, tuple(tokens.shape[1:-1]))
        local = self.head.on_grid(coefficients, *located.grid)
        return self.model.aggregation(local[..., -1], located.distance, located.outside, local[..., :-1]) + 0.5


def train_cells(model, options: Options) -> tuple[CellDecoding, int]:
    """The cell decoding, trained, and its steps."""
    source = DataConfig(layout="folder", size=96).open(options.data, "train")
    torch.manual_seed(options.seed)
    decoding = CellDecoding(model)
    trained = [*decoding.modulation.parameters(), *decoding.head.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.99), weight_decay=0)
    begun, step = time.monotonic(), 0
    while (progress := (time.monotonic() - begun) / options.seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - progress)
        reduction = REDUCTIONS[step % len(REDUCTIONS)]
        images = torch.stack([source.sample(options.seed, step, slot) for slot in range(8)])
        with torch.no_grad():
            tokens = model.encode(images)
        target = F.avg_pool2d(images, reduction)
        values = decoding(tokens, reduction, Grid.cells(*target.shape[-2:]))
        errors = (values - target.flatten(2).transpose(1, 2)).square().mean((1, 2))
        optimizer.zero_grad()
        (errors + 1e-6).log().mean().backward()
        optimizer.step()
        step += 1
    return decoding.eval(), step


def main(options: Options) -> None:
    """Train, measure, print, write."""
    model = pretrained.load(options.model).eval().requires_grad_(False)
    decoding, steps = train_cells(model, options)
    sums: dict[int, dict[str, list[float]]] = {n: {} for n in REDUCTIONS}
    options.out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        for name, picture in held_out_pictures(256):
            field = Field.of(model, picture)
            full, thumbnails = field.render(256, 256), {}
            for n in REDUCTIONS:
                side, truth = 256 // n, F.avg_pool2d(picture, n)
                cells = decoding(field.tokens[None], n, Grid.cells(side, side))[0].T.unflatten(1, (side, side))
                ways = {
                    "point samples": field.render(side, side, antialias=False),
                    "cell decoding": cells,
                    "box integral": field.render(side, side),
                }
                for way, image in ways.items():
                    sums[n].setdefault(way, []).append(psnr(image[None], truth[None]).item())
                mean = F.avg_pool2d(full, n)
                sums[n].setdefault("integral against the field's own mean", []).append(
                    psnr(ways["box integral"][None], mean[None]).item()
                )
                thumbnails[n] = [truth, *ways.values()]
            if name.startswith("coffee"):
                rows = [F.interpolate(image[None], size=(256, 256), mode="nearest")[0] for image in thumbnails[4]]
                write_picture(options.out / "coffee-quarter.png", torch.cat(rows, 2))
    means = {n: {way: sum(values) / len(values) for way, values in ways.items()} for n, ways in sums.items()}
    ways = list(means[REDUCTIONS[0]])
    rows = [[f"1/{n}", *(f"{means[n][way]:.2f}" for way in ways)] for n in REDUCTIONS]
    text = tables.markdown([["size", *ways], *rows]) + "\n"
    trained = {"seconds": options.seconds, "steps": steps, "seed": options.seed}
    facts = {"model": options.model, "cell_decoding": trained,
             "machine": machine(torch.device("cpu")), "versions": versions()}
    (options.out / "antialias.json").write_text(json.dumps(facts | {"mean": means, "pictures": sums}, indent=1) + "\n")
    (options.out / "antialias.md").write_text(text)
    print(text + f"cell decoding: {steps} steps")


if __name__ == "__main__":
    main(tyro.cli(Options))
