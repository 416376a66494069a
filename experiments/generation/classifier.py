"""A classifier of garments, whose features FID, KID, precision, recall and IS are measured by: results/generation.

    python -m experiments.generation.classifier build/fashion --out results/generation/fashion-classifier.pt

Published FIDs look through Inception v3, whose weights are not ours to ship and which has seen photographs of 299
pixels. Fashion-MNIST has labels and 60 000 pictures, so a network of its own is minutes away: four convolutions,
features averaged over places, and a linear map without bias. The file is TorchScript that takes (B, 3, 28, 28) in
[0, 1] and gives 128 features; its `classifier` is that map. Beside it, as JSON, is the accuracy on the test pictures.

    tokenfield score out --reference build/fashion --layout imagenette --size 28 --features script:FILE
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from tokenfield.data import DataConfig
from tokenfield.data.sources import Split
from tokenfield.evaluation.environment import machine, versions
from tokenfield.io.atomic import write_whole
from tokenfield.training import seeding

CLASSES = 10
WIDTHS = (24, 48, 96, 128)


class Classifier(nn.Module):
    """Convolutions of 3 x 3 with batch norm and ReLU, of 28, 14, 7 and 7 pixels; the mean over places; a linear map."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm2d(1)]
        for inward, outward, stride in zip((1, *WIDTHS), WIDTHS, (1, 2, 2, 1), strict=False):
            convolution = nn.Conv2d(inward, outward, 3, stride=stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outward), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Parameter(torch.randn(CLASSES, WIDTHS[-1]) * WIDTHS[-1] ** -0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, 128) of pictures (B, 3 or 1, H, W) in [0, 1]; colours are averaged."""
        features: Tensor = self.body(pictures.mean(1, keepdim=True)).mean((2, 3))
        return features


@dataclass(frozen=True)
class Options:
    """What it is trained on, and how long."""

    data: tyro.conf.Positional[Path]
    """Folder that experiments/pools/fashion.py wrote."""
    out: Path = Path("results/generation/fashion-classifier.pt")
    """The TorchScript file."""
    epochs: int = 5
    """Over the training pictures."""
    batch: int = 128
    rate: float = 5e-3
    """Highest rate of AdamW, in one cycle."""
    shift: int = 2
    """Most pixels that a training picture is moved by."""
    seed: int = 0


def read(folder: Path, split: Split) -> tuple[Float[Tensor, "n 1 h w"], Int[Tensor, " n"]]:
    """All pictures of a split and their labels."""
    source = DataConfig(layout="imagenette", size=28, crop="center", channels=1).open(folder, split)
    pictures = torch.stack([torch.from_numpy(np.array(Image.open(path))) for path in source.paths])
    return pictures[:, None].float() / 255, torch.tensor(source.labels)


def train(network: Classifier, pictures: Tensor, labels: Tensor, options: Options) -> None:
    """AdamW in one cycle, labels smoothed by 0.05, pictures moved by some pixels."""
    steps = options.epochs * (len(pictures) // options.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, total_steps=steps)
    draws, side = seeding.generator(options.seed, 0, 0), pictures.shape[-1]
    for step in range(steps):
        if step % (steps // options.epochs) == 0:
            order = torch.randperm(len(pictures), generator=draws)
        begin = step % (steps // options.epochs) * options.batch
        chosen = order[begin : begin + options.batch]
        top, left = torch.randint(2 * options.shift + 1, (2,), generator=draws).tolist()
        moved = F.pad(pictures[chosen], (options.shift,) * 4)[..., top : top + side, left : left + side]
        loss = F.cross_entropy(network(moved) @ network.classifier.T, labels[chosen], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def accuracy(network: Classifier, pictures: Tensor, labels: Tensor) -> float:
    """Share of the pictures that are of their label's class."""
    answers = [(network(part) @ network.classifier.T).argmax(1) for part in pictures.split(1000)]
    return (torch.cat(answers) == labels).double().mean().item()


def main(options: Options) -> None:
    """Train, measure, write."""
    torch.manual_seed(options.seed)
    begun, network = time.monotonic(), Classifier()
    train(network, *read(options.data, "train"), options)
    network.eval().requires_grad_(False)
    facts = {"accuracy": accuracy(network, *read(options.data, "test")), "seconds": round(time.monotonic() - begun),
             "parameters": sum(p.numel() for p in network.parameters()),
             "options": {key: str(value) if isinstance(value, Path) else value for key, value in
                         asdict(options).items() if key != "data"},
             "machine": machine(), "versions": versions()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(network).save(str(options.out))
    write_whole(options.out.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
    print(f"{options.out}: {facts['accuracy']:.2%} of the test pictures, {facts['seconds']} s")


if __name__ == "__main__":
    main(tyro.cli(Options))
