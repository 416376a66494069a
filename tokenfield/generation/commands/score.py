"""`tokenfield score`: how close generated pictures are to real ones, and how close the field model lets them come."""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Json
from tokenfield.cli.models import load_model
from tokenfield.errors import UserError


def score(
    generated: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[FOLDER]")] = None,
    *,
    reference: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    layout: Literal["folder", "celeba", "ffhq", "imagenette", "imagenet", "lsun", "celeba_anr"] = "folder",
    split: Literal["test", "train"] = "test",
    holdout: float = 0.1,
    size: int = 256,
    features: Annotated[str, tyro.conf.arg(metavar="NETWORK")] = "pca",
    field: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None,
    neighbours: File = None,
    shown: int = 16,
    seed: int = 0,
    batch: int = 32,
    device: str = "auto",
    json: Json = None,
) -> int:
    """Measure generated pictures against real ones: FID, KID, precision, recall; rPSNR and rFID of a field model.

    Every picture, generated or real, is cut alike: shorter side resized to --size, then the middle. The distances are
    between features, so a number belongs to its network, which is printed beside it: pca, random:SEED, an anchored
    model (photos-s), script:PATH for any TorchScript file, or inception:PATH for Inception v3 with weights of your own,
    the network of published FIDs. FID is biased by the number of pictures; compare equal numbers alone.

    Features of the reference are computed once and kept, by the hash of its files and of the network. Of a folder that
    tokenfield generate wrote the samples are taken and the contact sheet is not; draw them with --class each, so that
    classes are balanced.

    Args:
        generated: folder of generated pictures; left out, only the field model is measured.
        reference: folder of real pictures.
        layout: how that data set lies on disk.
        split: which of its pictures are the reference: test, those held out, or train.
        holdout: layout folder without train and test sub-folders: the share of pictures that is held out.
        size: side of the squares in pixels.
        features: what is compared in place of pixels.
        field: also encode and decode the reference with this model: rPSNR and rFID, the bounds of what can be drawn.
        neighbours: also write a figure there: generated pictures and the training pictures nearest to them in pixels;
            and compare how near they are with how near held-out pictures are.
        shown: pictures in that figure.
        seed: of the subsets of KID.
        batch: pictures whose features are computed at once.
        device: for the field model: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    for name, value in (("--size", size), ("--shown", shown), ("--batch", batch)):
        if value < 1:
            raise UserError(f"{name} {value}: give at least 1")
    if generated is None and (field is None or neighbours is not None):
        raise UserError("nothing to score: give a folder of generated pictures, or --field MODEL for rPSNR and rFID")
    from tokenfield.generation.features import find_features

    network = find_features(features)
    data = Reference(reference, layout, split, holdout, size)
    begun = time.perf_counter()
    real, kept, cached = data.features(network, batch)
    console.notice(f"features of the reference: {kept}{' (from an earlier run)' if cached else ''}")
    facts: dict[str, Any] = {
        "command": "score", "features": {"name": network.name, "identity": network.identity},
        "reference": {"folder": str(reference), "layout": layout, "split": split, "size": size, "pictures": len(real),
                      "hash": data.hash, "classes": data.counts()},
    }
    if generated is not None:
        facts |= score_generated(generated, data, network, real, size=size, batch=batch, seed=seed)
        if neighbours is not None:
            facts["neighbours"] = draw_neighbours(generated, data, neighbours, shown)
    if field is not None:
        facts["reconstruction"] = score_field(load_model(field, device), field, data, network, real, batch)
    facts["seconds"] = round(time.perf_counter() - begun, 3)
    console.write_json(json, facts)
    return console.finish(data.source.skipped, len(data.source))


class Reference:
    """A split of a data set, cut to squares.

    Attributes:
        source: its pictures.
        hash: of its files and how they are cut.
    """

    def __init__(self, folder: Path, layout: str, split: str, holdout: float, size: int):
        from tokenfield.data import DataConfig, open_source
        from tokenfield.generation.metrics import set_hash

        self.folder, self.split = folder, split
        self.config = DataConfig(layout=layout, size=size, crop="center", holdout=holdout)  # type: ignore[arg-type]
        self.source = open_source(self.config, folder, split)  # type: ignore[arg-type]
        files = zip(self.source.names, self.source.paths, strict=True)
        self.hash = set_hash(files, f"{split} center {size}")

    def other(self, split: str) -> Any:
        """The pictures of another split, cut alike."""
        from tokenfield.data import open_source

        return open_source(self.config, self.folder, split)  # type: ignore[arg-type]

    def features(self, network: Any, batch: int) -> Any:
        """Features (N, F), the file they are kept in, and whether they were there."""
        from tokenfield.generation.metrics import features_of, reference_features

        def compute() -> Any:
            with console.progress("features of the reference") as bar:
                return features_of(network, (picture for _, picture in self.source.pictures()), batch=batch,
                                   told=lambda done: bar.piece(done, len(self.source)))

        return reference_features(network, self.hash, compute)

    def counts(self) -> dict[str, int]:
        """Pictures per class, empty where there are no classes."""
        labels = self.source.labels or ()
        return dict(Counter(self.source.classes[label] for label in labels))


def generated_files(folder: Path) -> list[Path]:
    """The samples in a folder: pictures with a .field file beside them, or where there is none, all pictures."""
    from tokenfield.data.pictures import find_pictures

    found = find_pictures(folder)
    return [path for path in found if path.with_suffix(".field").is_file()] or found


def squares(files: list[Path], size: int) -> Any:
    """Pictures of files as (3, size, size), cut as the reference is."""
    from tokenfield.data.decoding import read_rgb8
    from tokenfield.data.transforms import center_square, to_tensor

    return (to_tensor(center_square(read_rgb8(path), size)) for path in files)


def score_generated(
    folder: Path, data: Reference, network: Any, real: Any, *, size: int, batch: int, seed: int
) -> dict[str, Any]:
    """FID, KID, precision and recall, and the table of them."""
    from tokenfield.generation.metrics import compare, features_of

    files = generated_files(folder)
    with console.progress("features of the samples") as bar:
        mine = features_of(network, squares(files, size), batch=batch, told=lambda n: bar.piece(n, len(files)))
    found = compare(mine, real, network.name, seed=seed)
    rows = [["samples", "reference", "FID", "KID x 1000", "precision", "recall"],
            [str(found.generated), f"{found.reference} {data.split}", console.number(found.fid, 3),
             f"{1000 * found.kid:.3f} +- {1000 * found.kid_deviation:.3f}", console.number(found.precision, 3),
             console.number(found.recall, 3)]]
    console.say(console.table(rows))
    console.say(f"features: {network.name} ({network.identity[:12]}), {network.num_features} numbers; squares of "
                f"{size} pixels")
    return {"generated": {"folder": str(folder), "pictures": len(files)}, "distances": found.to_json()}


def score_field(model: Any, name: str, data: Reference, network: Any, real: Any, batch: int) -> dict[str, Any]:
    """rPSNR, and the FID of what the field model gives back."""
    from tokenfield.fields.field import Field
    from tokenfield.generation.metrics import compare, features_of
    from tokenfield.metrics import psnr

    decibels = []

    def reconstructions() -> Any:
        with console.progress("encoding and decoding", len(data.source)) as bar:
            for i, (title, picture) in enumerate(data.source.pictures()):
                bar.file(i, title)
                again = Field.of(model, picture).render(*picture.shape[1:]).float().cpu()
                decibels.append(psnr(again[None], picture[None]).item())
                yield again

    mine = features_of(network, reconstructions(), batch=batch)
    found = compare(mine, real, network.name)
    mean = sum(decibels) / len(decibels)
    console.say(f"{name}: rPSNR {mean:.2f} dB, rFID {found.fid:.3f} of {len(decibels)} {data.split} pictures, features "
                f"{network.name}")
    return {"model": name, "rpsnr": mean, "rfid": found.fid, "pictures": len(decibels), "distances": found.to_json()}


def draw_neighbours(folder: Path, data: Reference, path: Path, shown: int) -> dict[str, Any]:
    """The figure of nearest training pictures, and how near they are beside held-out ones."""
    import torch

    from tokenfield.evaluation.figures import save_png
    from tokenfield.generation.neighbours import figure, summary

    files = generated_files(folder)
    mine = torch.stack(list(squares(files, data.config.size)))
    pool = torch.stack([picture for _, picture in data.other("train").pictures()])
    held_out = torch.stack([picture for _, picture in data.other("test").pictures()])
    save_png(path, figure(mine[:shown], pool, labels=[file.stem for file in files[:shown]],
                          scale=max(1, 96 // data.config.size)))
    found = summary(mine, held_out, pool)
    rows = [["RMS difference from the nearest training picture", "smallest", "median"]]
    for name, key in (("samples", "generated"), ("held-out pictures", "held_out")):
        rows.append([name, *(console.number(found[f"{key}_{what}"], 3) for what in ("smallest", "median"))])
    console.say(console.table(rows))
    console.say(f"{found['nearer_than_held_out']:.1%} of the samples are nearer than any held-out picture; figure: "
                f"{path}")
    return {"figure": str(path), **found}
