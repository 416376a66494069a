"""The demonstration in order, and the files it leaves.

    index.html                     all of it on one page
    pictures/NAME.png              photograph | reconstruction | difference, side by side
    zoom-4x.png, zoom-16x.png      a whole photograph and a detail, beside bicubic interpolation
    rendered-4x.png                the whole photograph at 4x by itself
    tokens.png                     which region each of several tokens governs
    training.png, curve.png        a fresh model learning in seconds
    fresh-model/                   that model, as `tokenfield.load` reads it
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from tokenfield.demo import sheets
from tokenfield.demo.findings import Findings
from tokenfield.demo.fresh import Snapshot, train_fresh
from tokenfield.demo.page import write_page
from tokenfield.demo.steps import Pictures, Return, governed, half_size_check, protocol_psnr, reconstruct_all, zoom
from tokenfield.evaluation.evaluate import describe_model
from tokenfield.evaluation.figures import learning_curve, save_png
from tokenfield.evaluation.pca import Basis
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.training.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """What to show on what.

    Attributes:
        pictures: photographs to encode and decode.
        zoomed: name of the one that is enlarged.
        detail: (top, left, bottom, right) of the detail that is enlarged further, in its pixels.
        governed: names of those whose tokens are taken away.
        recipe: of the fresh model.
        training_files: photographs it learns from.
        unseen: the photograph it is shown on.
        seconds: to train it for; 0 leaves it out.
    """

    pictures: Pictures
    zoomed: str
    detail: tuple[int, int, int, int]
    governed: Sequence[str]
    recipe: Recipe
    training_files: Sequence[Path]
    unseen: Float[Tensor, "3 h w"]
    seconds: float


@runtime_checkable
class Watcher(Protocol):
    """What hears how it goes."""

    def stage(self, text: str) -> None:
        """Something begins."""

    def returned(self, result: Return) -> None:
        """A photograph is decoded."""

    def trained(self, metrics: Record) -> None:
        """A line of metrics of the fresh model."""

    def looked(self, snapshot: Snapshot) -> None:
        """The fresh model was tried on the photograph that it never saw."""


def tour(model: FieldModel, plan: Plan, out: Path, watcher: Watcher) -> Findings:
    """Show everything.

    Args:
        model: trained, on the CPU.
        plan: what on.
        out: folder for the files; those of an earlier tour are replaced, others stay.
        watcher: hears how it goes.
    Raises:
        UserError: the folder cannot be written, a picture cannot be used, the fresh model diverged.
    """
    findings = Findings()
    findings.model = describe_model(model) | {"cell": model.cell}
    begun = time.perf_counter()

    def write(name: str, image: Image.Image) -> None:
        save_png(out / name, image)
        findings.files.append(name)

    with timed(findings, "reconstruction"):
        watcher.stage("photographs to tokens and back")
        for result in reconstruct_all(model, plan.pictures, Basis.load()):
            findings.returns.append(result)
            write(f"pictures/{result.score.name}.png", sheets.side_by_side(result, findings.gain))
            watcher.returned(result)
        findings.protocol_psnr = protocol_psnr(model, plan.pictures)
    with timed(findings, "zoom"):
        watcher.stage(f"{plan.zoomed} at 4x and a detail at 16x")
        findings.zoom = zoom(model, plan.zoomed, plan.pictures[plan.zoomed], plan.detail)
        findings.half_size = half_size_check(model, plan.pictures)
        for name, image in sheets.zoom(findings.zoom).items():
            write(name, image)
    with timed(findings, "tokens"):
        watcher.stage("which region each token governs")
        findings.governed = [governed(model, name, plan.pictures[name]) for name in plan.governed]
        write("tokens.png", sheets.tokens(findings.governed))
    if plan.seconds > 0:
        with timed(findings, "training"):
            watcher.stage(f"a fresh model, {plan.seconds:g} seconds of training")
            fresh = train_fresh(plan.recipe, plan.training_files, plan.unseen, plan.seconds, out / "fresh-model",
                                trained=watcher.trained, looked=watcher.looked)
            write("training.png", sheets.training(fresh))
            learning_curve(out / "curve.png", fresh.curve, fresh.held_out, title="A fresh LAINR")
            findings.fresh = fresh
            findings.files += ["curve.png", "fresh-model"]
    with timed(findings, "page"):
        watcher.stage("one page")
        write_page(out / "index.html", findings)
        findings.files.append("index.html")
    findings.seconds["all"] = round(time.perf_counter() - begun, 2)
    return findings


@contextmanager
def timed(findings: Findings, what: str) -> Iterator[None]:
    """Notes how long a block took."""
    begun = time.perf_counter()
    yield
    findings.seconds[what] = round(time.perf_counter() - begun, 2)
