"""A fresh model, trained from nothing for a few seconds: the main job of this package, run to its end.

The model is LAINR as the paper has it, on tiles of 16 x 16 pixels so that two cores see a thousand steps in the time a
reader waits. It learns from the photographs that come with scikit-image, all but one; that one, the cat, it never sees,
and after every leg the whole of it is encoded and decoded in overlapping tiles. Each leg resumes from the checkpoint
of the one before, so stopping and resuming are shown, too.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from tokenfield.data import DataConfig
from tokenfield.data.demo_pictures import HELD_OUT, data_folder
from tokenfield.fields.field import Field
from tokenfield.io.progress import Bar
from tokenfield.io.record import Record
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.models.lainr import LainrConfig
from tokenfield.training import checkpoint
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe, fresh_model
from tokenfield.training.session import Session
from tokenfield.training.trainer import train

UNSEEN = "chelsea"
"""The held-out photograph that the fresh model is shown on."""
ALSO_TRAINED_ON = ("motorcycle_right.png", "brick.png", "grass.png", "gravel.png", "moon.png", "camera.png",
                   "coins.png", "cell.png")
"""Photographs of scikit-image that are in no evaluation."""
LEGS = (0.15, 0.35, 0.65, 1.0)
"""Parts of the time after which the model is tried."""


def lainr_in_seconds() -> Recipe:
    """LAINR on 16-pixel tiles: 94 k parameters, one stored value per two pixel values of a tile, no published number.

    Muon at a constant rate, and a moving average of the weights in place of a rate that falls: how many
    steps the seconds will hold is not known beforehand.
    """
    model = LainrConfig(size=(16, 16), patch=4, padding=0, num_latents=16, latent_dim=24, encoder_dim=64,
                        encoder_depth=1, encoder_heads=2, dim=64, feature_dim=64, sigma_q=4.0, sigmas=(16.0, 4.0))
    return Recipe(
        name="lainr-in-seconds",
        model=model,
        data=DataConfig(layout="folder", size=16, crop="pyramid", holdout=0.0),
        optim=OptimConfig(name="muon", rate=2e-3, betas=(0.9, 0.99), muon_rate=0.02, warmup=20),
        objective=ReconstructionConfig(jitter="axis"),
        steps=1_000_000,  # the seconds end it
        batch_size=16,
        clip_norm=1.0,
        ema_decay=0.98,
        log_every=5,
        evaluate_every=0,  # the tour looks at a whole photograph instead
        checkpoint_every=1_000_000,
        keep_checkpoints=1,
    )


@dataclass(frozen=True)
class Snapshot:
    """The unseen photograph, encoded and decoded, at one moment of training."""

    seconds: float
    step: int
    psnr: float
    reconstruction: Float[Tensor, "3 h w"]


@dataclass
class Fresh:
    """The training of a fresh model."""

    recipe: Recipe
    photograph: Float[Tensor, "3 h w"]
    """The one that it never saw."""
    trained_on: list[str]
    """Names of the training photographs."""
    snapshots: list[Snapshot] = field(default_factory=list)
    """Before the first step and after every leg."""
    curve: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, dB) of the training batches, means over a few steps."""
    parameters: int = 0
    values_per_pixel_value: float = 0.0
    """Stored for the unseen photograph, whose tiles overlap."""


def training_files() -> list[Path]:
    """The photographs of the installed scikit-image that the fresh model learns from."""
    names = [file for name, file in HELD_OUT.items() if name != UNSEEN]
    return [path for name in (*names, *ALSO_TRAINED_ON) if (path := data_folder() / name).exists()]


def train_fresh(recipe: Recipe, files: Sequence[Path], photograph: Float[Tensor, "3 h w"], seconds: float, out: Path,
                bar: Bar) -> Fresh:
    """Train by a recipe on picture files for so many seconds, and save the model in a folder.

    At least one step is made per leg; the recipe's own steps should be more than the seconds hold.
    """
    result = Fresh(recipe, photograph, [path.stem for path in files])

    def look(model: FieldModel, at: float, step: int) -> None:
        field = Field.of(model.eval(), photograph)
        rendered = field.render(*photograph.shape[1:])
        shot = Snapshot(at, step, psnr(rendered[None], photograph[None]).item(), rendered)
        result.snapshots.append(shot)
        result.parameters = model.num_parameters
        result.values_per_pixel_value = field.values_stored / photograph.numel()
        marks = "#" * round(max(0.0, shot.psnr))
        print(f"  {at:5.1f} s  step {step:5d}  {shot.psnr:6.2f} dB  {marks}", file=sys.stderr)  # stays, above the bar

    def note(step: int, metrics: Record) -> None:
        if "psnr" in metrics:
            result.curve.append((metrics["seconds"], metrics["psnr"]))
            if bar.console.is_terminal:
                speed = f"{metrics['images_per_second']:.0f} tiles/s"
                bar.name = f"step {step}, {metrics['psnr']:.1f} dB, {speed}"
                bar.piece(round(1000 * min(1.0, metrics["seconds"] / seconds)), 1000)

    fresh = fresh_model(recipe)
    assert isinstance(fresh, FieldModel)
    look(fresh, 0.0, 0)
    with tempfile.TemporaryDirectory(prefix="tokenfield-demo-") as aside:
        data, run = Path(aside, "pictures"), Path(aside, "run")
        link_pictures(files, data)
        recipe.data.open(data, "train")  # decodes the photographs into the crop cache, once for all demos
        for before, part in pairwise((0.0, *LEGS)):
            budget = (part - before) * seconds
            train(recipe, data, run, resume=before > 0, session=Session(budget, quiet=True), callback=note)
            state = checkpoint.verify(checkpoint.folders(run)[-1])
            model = pretrained.load(run)
            look(model, state["seconds"], state["step"])
        about = f"Trained for {seconds:g} seconds by `tokenfield demo`. A demonstration, not for use."
        pretrained.save(model, out, card=f"# {recipe.name}\n\n{about}\n")
    return result


def link_pictures(files: Sequence[Path], folder: Path) -> None:
    """A folder of links to picture files, whose crops are cached under their own path."""
    folder.mkdir(parents=True)
    for path in files:
        try:
            os.symlink(path.resolve(), folder / path.name)
        except OSError:  # a system where links need a privilege
            shutil.copy2(path, folder / path.name)
