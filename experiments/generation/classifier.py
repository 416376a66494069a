"""A classifier of garments, whose features FID, KID, precision, recall and IS are measured by: results/generation.

    python -m experiments.generation.classifier build/fashion --out results/generation/fashion-classifier.pt

Published FIDs look through Inception v3, whose weights are not ours to ship and which has seen photographs of 299
pixels. Fashion-MNIST has labels and 60 000 pictures, so a network of its own is minutes away: four convolutions,
features averaged over places, and a linear map without bias. The file is TorchScript that takes (B, 3, 28, 28) in
[0, 1] and gives 128 features; its `classifier` is that map. Beside it, as JSON, is the accuracy on the test pictures.

    tokenfield score out --reference build/fashion --layout imagenette --size 28 --features script:FILE
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float, Int
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tokenfield.data import DataConfig
from tokenfield.evaluation.environment import machine, versions
from tokenfield.io.atomic import write_whole
from tokenfield.training import seeding

BEGUN = time.monotonic()
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
    epochs: int = 4
    """Over the training pictures."""
    batch: int = 128
    rate: float = 5e-3
    """Highest rate of AdamW, in one cycle."""
    shift: int = 2
    """Most pixels that a training picture is moved by."""
    seed: int = 0
    work: Path = Path("build/garments")
    """Where pictures are kept, and the state of a training that was stopped."""
    seconds: float = float("inf")
    """Training stops after so many, and the exit status is 3; the same command goes on."""


class Pictures(NamedTuple):
    """Those of a split."""

    pictures: Float[Tensor, "n 1 h w"]
    labels: Int[Tensor, " n"]


def read(folder: Path, kept: Path) -> tuple[Pictures, Pictures]:
    """All pictures (N, 1, H, W) in [0, 1] and their labels (N,), of training and of testing; kept in one file."""
    if not kept.is_file():
        tensors = {}
        for split in ("train", "test"):
            source = DataConfig(layout="imagenette", size=28, crop="center", channels=1).open(folder, split)
            pictures = torch.stack([torch.from_numpy(np.array(Image.open(path))) for path in source.paths])
            tensors |= {split: pictures[:, None], f"{split}-labels": torch.tensor(source.labels)}
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, save(tensors))
    tensors = load_file(kept)
    train, test = (Pictures(tensors[split].float() / 255, tensors[f"{split}-labels"]) for split in ("train", "test"))
    return train, test


def train(network: Classifier, data: Pictures, options: Options) -> float | None:
    """AdamW in one cycle, labels smoothed by 0.05, pictures moved by some pixels; the processor seconds that it took.

    Stopped by `options.seconds` it gives None, and goes on from `options.work` with the next call.
    """
    an_epoch = len(data.labels) // options.batch
    steps, side, state_file = options.epochs * an_epoch, data.pictures.shape[-1], options.work / "classifier.pt"
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, total_steps=steps)
    parts, first, spent = {"network": network, "optimizer": optimizer, "schedule": schedule}, 0, 0.0
    if state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        first, spent = state["step"], state["seconds"]
    begun = time.process_time()
    for step in range(first, steps):
        seconds = spent + time.process_time() - begun
        if time.monotonic() - BEGUN > options.seconds:
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save(state | {"step": step, "seconds": seconds}, state_file)
            print(f"step {step} of {steps}")
            return None
        epoch, place = divmod(step, an_epoch)
        order = torch.randperm(len(data.labels), generator=seeding.generator(options.seed, epoch, 0))
        chosen, draws = order[place * options.batch :][: options.batch], seeding.generator(options.seed, step, 1)
        top, left = torch.randint(2 * options.shift + 1, (2,), generator=draws).tolist()
        moved = F.pad(data.pictures[chosen], (options.shift,) * 4)[..., top : top + side, left : left + side]
        loss = F.cross_entropy(network(moved) @ network.classifier.T, data.labels[chosen], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return spent + time.process_time() - begun


@torch.no_grad()
def accuracy(network: Classifier, data: Pictures) -> float:
    """Share of the pictures that are of their label's class."""
    answers = [(network(part) @ network.classifier.T).argmax(1) for part in data.pictures.split(1000)]
    return (torch.cat(answers) == data.labels).double().mean().item()


def main(options: Options) -> None:
    """Train, measure, write."""
    torch.manual_seed(options.seed)
    network, (training, test) = Classifier(), read(options.data, options.work / "pictures.safetensors")
    seconds = train(network, training, options)
    if seconds is None:
        sys.exit(3)
    network.eval().requires_grad_(False)
    facts = {"accuracy": accuracy(network, test), "processor_seconds": round(seconds),
             "parameters": sum(p.numel() for p in network.parameters()),
             "options": {key: getattr(options, key) for key in ("epochs", "batch", "rate", "shift", "seed")},
             "machine": machine(), "versions": versions()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(network).save(str(options.out))
    write_whole(options.out.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
    print(f"{options.out}: {facts['accuracy']:.2%} of the test pictures, {facts['processor_seconds']} s of a processor")


if __name__ == "__main__":
    main(tyro.cli(Options))
