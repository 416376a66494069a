"""`tokenfield score`: how close generated pictures are to real ones, and how close the field model lets them come."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Json, Table
from tokenfield.cli.options import Device, check_at_least, load_model
from tokenfield.cli.types import FieldModel, Tensor
from tokenfield.errors import UserError
from tokenfield.generation.options import Dataset
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from tokenfield.data.pictures import SkippedFiles
    from tokenfield.data.sources import PictureSource, Split
    from tokenfield.evaluation.features import FeatureNetwork
    from tokenfield.generation.metrics import Distances

BATCH, SAMPLES = 32, 16
"""Pictures whose features are computed at once; samples in the figure of neighbours."""


def score(
    generated: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[FOLDER]")] = None,
    *,
    reference: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    dataset: tyro.conf.OmitArgPrefixes[Dataset] = Dataset(),  # noqa: B008, frozen
    split: Literal["test", "train"] = "test",
    size: int = 256,
    features: Annotated[str, tyro.conf.arg(metavar="NETWORK")] = "pca",
    field: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None,
    neighbours: File = None,
    seed: int = 0,
    device: Device = "auto",
    json: Json = None,
    table: Table = None,
) -> int:
    """Measure generated pictures against real ones: FID, KID, precision, recall, IS; rPSNR and rFID of a field model.

    Every picture, generated or real, is cut alike: shorter side resized to --size, then the middle. The distances are
    between features, so a number belongs to its network, which is printed beside it: pca, random:SEED, an anchored
    model (photos-s), script:PATH for any TorchScript file, or inception:PATH for Inception v3 with weights of your own,
    the network of published FIDs, which alone gives an Inception Score (10 parts, classifier without bias). FID is
    biased by the number of pictures; compare equal numbers alone.

    Features of the reference are computed once and kept, by the hash of its files and of the network. Of a folder that
    tokenfield generate wrote the samples are taken and the contact sheet is not; draw them with --class each, so that
    classes are balanced.

    Args:
        generated: folder of generated pictures; left out, only the field model is measured.
        reference: folder of real pictures.
        dataset: how it lies on disk.
        split: which of its pictures are the reference: test, those held out, or train.
        size: side of the squares in pixels.
        features: what is compared in place of pixels.
        field: also encode and decode the reference with this model: rPSNR and rFID, the bounds of what can be drawn.
        neighbours: also write a figure there: the first 16 and the training pictures nearest to them in pixels;
            and compare how near they are with how near held-out pictures are.
        seed: of the subsets of KID and of the parts of IS.
    """
    check_at_least(1, size=size)
    if generated is None and (field is None or neighbours is not None):
        raise UserError("nothing to score: give a folder of generated pictures, or --field MODEL for rPSNR and rFID")
    from tokenfield.evaluation.features import find_features

    network = find_features(features)
    if generated is not None:
        generated_files(generated)  # what is not there is said before hours go into the reference
    data = Reference(reference, dataset, split, size, network)
    start = time.perf_counter()
    facts: Record = {
        "features": {"name": data.network.name, "identity": data.network.identity},
        "reference": {"folder": str(reference), "layout": dataset.layout, "split": split, "size": size,
                      "pictures": len(data.features), "hash": data.hash,
                      "classes": Counter(data.source.classes[label] for label in data.source.labels or ())},
    }  # fmt: skip
    rows = [["", "pictures", "FID", "KID x 1000", "precision", "recall", "IS", "rPSNR dB"]]
    if generated is not None:
        distances, again = score_generated(generated, data, seed)
        facts |= again
        rows.append(row("samples", distances))
    if field is not None:
        distances, facts["reconstruction"] = score_field(load_model(field, device), field, data)
        rows.append(row(f"{field}, rFID", distances, facts["reconstruction"]["rpsnr"]))
    console.show_table(rows, table)
    explain_scores(data)
    if generated is not None and neighbours is not None:
        facts["neighbours"] = draw_neighbours(generated, data, neighbours)
    facts["seconds"] = round(time.perf_counter() - start, 3)
    console.write_json(json, "score", facts | {"skipped": data.source.skipped.as_json()})
    return console.finish(data.source.skipped, len(data.source) + (len(generated_files(generated)) if generated else 0))


class Reference:
    """A split of a data set, `source`, cut to squares, and the network that looks at it: `features`, (N, F)."""

    def __init__(self, folder: Path, dataset: Dataset, split: "Split", size: int, network: "FeatureNetwork"):
        from tokenfield.generation.metrics import reference_features, set_hash

        self.folder, self.dataset, self.split, self.size = folder, dataset, split, size
        self.network, self.source = network, self.open(split)
        self.hash = set_hash(zip(self.source.names, self.source.paths, strict=True), f"{split} center {size}")

        def compute() -> Tensor:
            pictures = (picture for _, picture in self.source.pictures())
            return self.features_of(pictures, "features of the reference", len(self.source))

        self.features, file, cached = reference_features(network, self.hash, compute)
        if len(self.features) < len(self.source) and not self.source.skipped:  # noted when they were computed
            deque(self.source.pictures(), 0)
        console.notice(f"features of the reference: {file}{' (from an earlier run)' if cached else ''}")

    def open(self, split: "Split") -> "PictureSource":
        """The pictures of a split, all cut alike: the middle."""
        return self.dataset.squares(self.size).open(self.folder, split)

    def features_of(self, pictures: Iterable[Tensor], label: str, total: int) -> Tensor:
        """What the network sees in `total` pictures, with a progress bar."""
        from tokenfield.generation.metrics import features_of

        with console.progress(label) as bar:
            return features_of(self.network, pictures, batch=BATCH, progress=lambda count: bar.piece(count, total))


def generated_files(folder: Path) -> list[Path]:
    """The samples in a folder: pictures with a .field file beside them, or where there is none, all pictures."""
    from tokenfield.data.pictures import find_pictures

    pictures = find_pictures(folder)
    return [path for path in pictures if path.with_suffix(".field").is_file()] or pictures


def squares(files: list[Path], size: int, skipped: "SkippedFiles") -> Iterator[tuple[str, Tensor]]:
    """Names and pictures (3, size, size) of files, cut as the reference is; those that cannot be read are noted."""
    from tokenfield.data.datasets import PictureFiles
    from tokenfield.data.listings import Listing

    listing = Listing(tuple(files), tuple(file.stem for file in files))
    return PictureFiles(listing, size=size, crop="center", skipped=skipped).pictures()


def row(name: str, apart: "Distances", psnr: float | None = None) -> list[str]:
    """A row of the table."""
    score, deviation = apart.inception_score, apart.inception_deviation
    return [name, str(apart.generated), console.number(apart.fid, 3),
            f"{1000 * apart.kid:.3f} ± {1000 * apart.kid_deviation:.3f}", console.number(apart.precision, 3),
            console.number(apart.recall, 3), "-" if score is None else f"{score:.3f} ± {deviation:.3f}",
            console.number(psnr)]


def explain_scores(data: Reference) -> None:
    """What the numbers of the table belong to."""
    from tokenfield.generation.metrics import SPLITS

    network = data.network
    console.say(f"against {len(data.features)} {data.split} pictures, squares of {data.size} pixels; features: "
                f"{network.name} ({network.identity[:12]}), {network.num_features} numbers")
    console.say(f"IS: features {network.name} do not classify; inception:PATH does" if network.classifier is None else
                f"IS: mean and deviation over {SPLITS} parts of the pictures, shuffled by --seed")


def score_generated(folder: Path, data: Reference, seed: int) -> "tuple[Distances, Record]":
    """FID, KID, precision, recall and IS of the samples."""
    from tokenfield.generation.metrics import compare

    files, network = generated_files(folder), data.network
    pictures = (picture for _, picture in squares(files, data.size, data.source.skipped))
    features = data.features_of(pictures, "features of the samples", len(files))
    apart = compare(features, data.features, network.name, classifier=network.classifier, seed=seed)
    return apart, {"generated": {"folder": str(folder), "pictures": len(features)}, "distances": asdict(apart)}


def score_field(model: FieldModel, name: str, data: Reference) -> "tuple[Distances, Record]":
    """rPSNR, and the FID of what the field model gives back."""
    from tokenfield.fields.field import Field
    from tokenfield.generation.metrics import compare
    from tokenfield.metrics import psnr

    decibels: list[float] = []

    def reconstructions() -> Iterator[Tensor]:
        for _, picture in data.source.pictures():
            again = Field.of(model, picture).render(*picture.shape[1:]).float().cpu()
            again = again.expand_as(picture)  # of one channel: as grey as the picture
            decibels.append(psnr(again[None], picture[None]).item())
            yield again

    features = data.features_of(reconstructions(), "encoding and decoding", len(data.source))
    apart = compare(features, data.features, data.network.name)
    mean = sum(decibels) / len(decibels)
    return apart, {"model": name, "rpsnr": mean, "rfid": apart.fid, "pictures": len(decibels),
                   "distances": asdict(apart)}


def draw_neighbours(folder: Path, data: Reference, path: Path) -> Record:
    """The figure of nearest training pictures, and how near they are beside held-out ones."""
    import torch

    from tokenfield.evaluation.figures import save_png
    from tokenfield.generation.metrics import figure, summary

    files = generated_files(folder)
    labels, pictures = zip(*squares(files, data.size, data.source.skipped), strict=True)
    samples = torch.stack(pictures)
    pool, held_out = (torch.stack([p for _, p in data.open(split).pictures()]) for split in ("train", "test"))
    save_png(path, figure(samples[:SAMPLES], pool, labels=labels[:SAMPLES], scale=max(1, 96 // data.size)))
    nearness = summary(samples, held_out, pool)
    rows = [["RMS difference from the nearest training picture", "smallest", "median"]]
    for name, key in (("samples", "generated"), ("held-out pictures", "held_out")):
        rows.append([name, *(console.number(nearness[f"{key}_{what}"], 3) for what in ("smallest", "median"))])
    console.show_table(rows)
    console.say(f"{nearness['nearer_than_held_out']:.1%} of the samples are nearer than any held-out picture; figure: "
                f"{path}")
    return {"figure": str(path), **nearness}
