"""Encode and train, for test_latents_processes.py: python latents_share.py FIELD PICTURES OUT under torchrun."""

import sys
from dataclasses import replace
from pathlib import Path

import latent_toys as toys
import torch

from tokenfield.cli import main
from tokenfield.training import train
from tokenfield.training.session import Session


def work(field: Path, pictures: Path, out: Path) -> None:
    """The folder `out/latents`, and in `out/run` a denoiser of it after two steps."""
    options = ["--shard", "5", "--batch", "3", "--device", "cpu"]
    assert main(["latents", str(field), str(pictures), "-o", str(out / "latents"), *options]) == 0
    recipe = replace(toys.RECIPE, steps=2, evaluate_every=2)
    train(recipe, out / "latents", out / "run", session=Session(device="cpu", quiet=True))


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(*map(Path, sys.argv[1:]))
