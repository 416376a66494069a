"""Field models of several kinds on the same garments, and the same denoiser on the latents of each: resumable.

    python -m experiments.generation.kinds build/fashion --out runs/fashion --seeds 0 1 2

trains, one after the other, `fashion-28-KIND` (LAINR, IPC, anchored, Spatial Functa: 384 stored values each), encodes
the pictures with it, and trains the denoiser on its latents, as many steps on each. What is finished is not made again,
what was interrupted goes on: the same command, until it prints that all is there, and `experiments.generation.garments`
measures what it made. Seeds are of the field model and of the denoiser alike.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from tokenfield.generation.latents import DESCRIPTION
from tokenfield.models.folder import WEIGHTS


@dataclass(frozen=True)
class Options:
    """Which kinds, and how long."""

    data: tyro.conf.Positional[Path]
    """Folder that experiments/pools/fashion.py wrote."""
    out: Path
    """Runs go to KIND-SEED/field, latents, and a folder for every denoiser there."""
    kinds: tuple[str, ...] = ("lainr", "ipc", "anchored", "spatial-functa")
    """Recipes fashion-28-KIND."""
    seeds: tuple[int, ...] = (0, 1, 2)
    field_steps: int = 4000
    """Of every field model; the recipe's."""
    steps: int = 8000
    """Of every denoiser; the recipe's."""
    denoisers: tuple[str, ...] = ("ldm-fashion-28-flow",)
    """Recipes; `ldm-fashion-28` is diffusion."""


def training(recipe: str, data: Path, out: Path, steps: int, seed: int, *sizes: str) -> tuple[Path, list[str]]:
    """The file that says that a training is done, and what to run: from the start, or on from where it stopped."""
    if (out / "recipe.json").is_file():
        return out / WEIGHTS, ["train", recipe, "--data", str(data), "--out", str(out), "--resume"]
    return out / WEIGHTS, ["train", recipe, *sizes, "--data", str(data), "--out", str(out), "--steps", str(steps),
                           "--seed", str(seed), "--workers", "1"]


def commands(options: Options, kind: str, seed: int) -> list[tuple[Path, list[str]]]:
    """What to run for one field model, each behind the file that says it is done."""
    folder = options.out / f"{kind}-{seed}"
    field, latents = folder / "field", folder / "latents"
    size = ["--size", "28"] if kind == "anchored" else []
    calls = [training(f"fashion-28-{kind}", options.data, field, options.field_steps, seed),
             (latents / DESCRIPTION, ["latents", str(field), str(options.data), "--layout", "imagenette", "--no-flips",
                                      "--shard", "4096", "--batch", "128", "-o", str(latents), *size])]
    if (latents / DESCRIPTION).is_file():
        shape = json.loads((latents / DESCRIPTION).read_text())
        sizes = ["--model.tokens", str(shape["tokens"]), "--model.latent-dim", str(shape["latent_dim"])]
        calls += [training(recipe, latents, folder / recipe, options.steps, seed, *sizes)
                  for recipe in options.denoisers]
    return calls


def main(options: Options) -> None:
    """Whatever is not done yet, seed by seed, so that all kinds have one before any has two."""
    for seed in options.seeds:
        for kind in options.kinds:
            while todo := [call for done, call in commands(options, kind, seed) if not done.is_file()]:
                print("python -m experiments", *todo[0], flush=True)
                subprocess.run([sys.executable, "-m", "experiments", *todo[0]], check=True)
    print(f"{options.out}: all is there")


if __name__ == "__main__":
    main(tyro.cli(Options))
