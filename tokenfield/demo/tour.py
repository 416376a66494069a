"""The demonstration in order, and the files it leaves.

    index.html                     all of it on one page
    pictures/NAME.png              photograph | reconstruction | difference, side by side
    zoom-4x.png, zoom-16x.png      a whole photograph and a detail, beside bicubic interpolation
    rendered-4x.png                the whole photograph at 4x by itself
    tokens.png                     which region each of several tokens governs
    training.png, curve.png        a fresh model learning in seconds
    fresh-model/                   that model, as `tokenfield.load` reads it
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from tokenfield.data.demo_pictures import held_out, held_out_pictures
from tokenfield.demo import page
from tokenfield.demo.fresh import UNSEEN, lainr_in_seconds, train_fresh, training_files
from tokenfield.demo.steps import (
    Box,
    Findings,
    OnCrops,
    Pictures,
    governed,
    half_size_check,
    reconstruct_all,
    zoom,
)
from tokenfield.evaluation.evaluate import describe_model
from tokenfield.evaluation.figures import learning_curve, save_png
from tokenfield.evaluation.pca import Basis
from tokenfield.io.progress import Bar
from tokenfield.models.base import FieldModel
from tokenfield.training.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """What to show on what."""

    seconds: float
    """To train a fresh model for; 0 leaves it out."""
    pictures: Pictures = field(default_factory=lambda: dict(held_out_pictures(512)))
    """To encode and decode: the middle of larger ones, so that two cores are done in seconds."""
    zoomed: str = UNSEEN
    """Name of the one that is enlarged."""
    detail: Box = (93, 152, 133, 192)
    """Of it, enlarged further: an eye of the cat."""
    governed: Sequence[str] = ("astronaut", "coffee", "motorcycle_left")
    """Names of those whose tokens are removed."""
    recipe: Recipe = field(default_factory=lainr_in_seconds)
    """Of the fresh model."""
    training_files: Sequence[Path] = field(default_factory=training_files)
    """Photographs that it learns from."""
    unseen: Float[Tensor, "3 h w"] = field(default_factory=lambda: held_out(UNSEEN, size=256))
    """The photograph that it is shown on."""


def tour(model: FieldModel, plan: Plan, out: Path, beside: Mapping[str, FieldModel] | None = None,
         enlarger: FieldModel | None = None) -> Findings:
    """Show everything that is planned with a trained model on the CPU; files of an earlier tour are replaced.

    Of the models `beside` it only their PSNR is given. `enlarger` is what the zoom is shown with; None: the model.
    Raises UserError where the folder cannot be written, a picture cannot be used or the fresh model diverged.
    """
    findings = Findings(describe_model(model) | {"cell": model.cell})

    def write(name: str, image: Image.Image) -> None:
        save_png(out / name, image)
        findings.files.append(name)

    @contextmanager
    def stage(name: str, text: str) -> Iterator[Bar]:
        print(f"{text} ...", file=sys.stderr)
        start = time.perf_counter()
        with closing(Bar("")) as bar:
            yield bar
        findings.seconds[name] = round(time.perf_counter() - start, 2)

    start = time.perf_counter()
    with stage("reconstruction", "photographs to tokens and back"):
        for result in reconstruct_all(model, plan.pictures, Basis.load()):
            findings.returns.append(result)
            write(f"pictures/{result.score.name}.png", page.side_by_side(result, findings.gain))
        findings.protocol = OnCrops.of(model, plan.pictures)
        findings.beside = {name: OnCrops.of(other, plan.pictures) for name, other in (beside or {}).items()}
    with stage("zoom", f"{plan.zoomed} at 4x and a detail at 16x"):
        findings.zoom = zoom(enlarger or model, plan.zoomed, plan.pictures[plan.zoomed], plan.detail)
        findings.half_size = half_size_check(enlarger or model, plan.pictures)
        for name, image in page.zoom(findings.zoom).items():
            write(name, image)
    with stage("tokens", "which region each token governs"):
        findings.governed = [governed(model, name, plan.pictures[name]) for name in plan.governed]
        write("tokens.png", page.tokens(findings.governed))
    if plan.seconds > 0:
        with stage("training", f"a fresh model, {plan.seconds:g} seconds of training") as bar:
            fresh = train_fresh(plan.recipe, plan.training_files, plan.unseen, plan.seconds, out / "fresh-model", bar)
            write("training.png", page.training(fresh))
            held_out_curve = [(shot.seconds, shot.psnr) for shot in fresh.snapshots]
            learning_curve(out / "curve.png", fresh.curve, held_out_curve, title="A fresh LAINR")
            findings.fresh = fresh
            findings.files += ["curve.png", "fresh-model"]
    with stage("page", "one page"):
        page.write_page(out / "index.html", findings)
        findings.files.append("index.html")
    findings.seconds["all"] = round(time.perf_counter() - start, 2)
    return findings
