"""`tokenfield evaluate`: how well a model gives pictures back, by a named protocol."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Folder, Int, Json, Table
from tokenfield.cli.options import Device, Precision, Rate, check_at_least, find_precision, load_model
from tokenfield.cli.types import Report, Score, SkippedFiles, Tensor
from tokenfield.errors import UserError
from tokenfield.evaluation import tables
from tokenfield.io.lock import take
from tokenfield.io.outputs import check_free
from tokenfield.io.record import Record

Protocol = Literal[
    "auto", "skimage256", "folder", "native", "recipe", "imagenette178", "celeba178", "ffhq178", "ffhq256", "ffhq512",
    "ffhq1024", "imagenet256", "celeba128", "lsun256", "kodak", "div2k", "urban100",
]  # fmt: skip
"""The names in `tokenfield.evaluation.protocols`, spelt out so that a mistyped option is answered at once."""

LISTED = 40
"""Most pictures that are listed one by one; of more only the worst are."""


@dataclass(frozen=True)
class Pictures:
    """Which pictures are measured, and how they are cut."""

    data: Annotated[str, tyro.conf.arg(metavar="skimage256|FOLDER")] = "skimage256"
    """A folder of pictures, or skimage256."""
    protocol: Protocol = "auto"
    """By default skimage256 for that data, and folder for any other."""
    size: int = 256
    """Side of the crops of protocol folder, in pixels."""
    count: Int = None
    """Measure only so many pictures of a folder, drawn by the seed (of recipe and data sets: the first)."""
    seed: int = 0
    """Of that draw."""

    @property
    def protocol_name(self) -> str:
        """The protocol that is followed."""
        return self.protocol if self.protocol != "auto" else "skimage256" if self.data == "skimage256" else "folder"

    def check(self) -> None:
        """Raises UserError for options that exclude each other."""
        if (self.protocol_name == "skimage256") != (self.data == "skimage256"):
            raise UserError(f"protocol {self.protocol_name} and data {self.data}: --data skimage256 goes with protocol "
                            "skimage256, and --data FOLDER with every other protocol")
        check_at_least(1, size=self.size, count=self.count)

    def open(self, model: str) -> tuple[Iterable[tuple[str, Tensor]], int, SkippedFiles]:
        """The pictures by name, how many there are, and the list of skipped files, which grows meanwhile."""
        from tokenfield.data import DataConfig
        from tokenfield.data.demo_pictures import HELD_OUT, held_out_pictures
        from tokenfield.data.pictures import SkippedFiles
        from tokenfield.evaluation import evaluate as evaluation
        from tokenfield.evaluation.protocols import DATA_SETS, PROTOCOLS
        from tokenfield.training.recipe import read

        folder, count = Path(self.data), self.count
        if self.protocol_name in DATA_SETS:
            return PROTOCOLS[self.protocol_name].open(folder, count)
        if self.protocol_name == "skimage256":
            return held_out_pictures(256), len(HELD_OUT), SkippedFiles()
        if self.protocol_name == "recipe":
            data = read(Path(model) / "recipe.json").data
            if not isinstance(data, DataConfig):
                raise UserError(f"{model} was trained on other data than pictures; give a data set")
            return replace(PROTOCOLS["recipe"], data=data).open(folder, count)
        skipped, folder = SkippedFiles(), PROTOCOLS[self.protocol_name].folder(folder)
        files = evaluation.folder_files(folder, skipped, count=count, seed=self.seed)
        size = self.size if self.protocol_name == "folder" else None
        return evaluation.folder_pictures(folder, files, skipped, size=size), len(files), skipped


def evaluate(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")],
    *,
    pictures: tyro.conf.OmitArgPrefixes[Pictures] = Pictures(),
    rate: Rate = None,
    against: Annotated[str, tyro.conf.arg(metavar="nothing|pca|FILE")] = "nothing",
    features: Annotated[str, tyro.conf.arg(metavar="NETWORK")] = "auto",
    save: Folder = None,
    keep: int = 4,
    precision: Precision = "fp32",
    device: Device = "auto",
    overwrite: bool = False,
    json: Json = None,
    table: Table = None,
) -> int:
    """Measure a model on pictures: PSNR by the papers' protocol, SSIM, values stored, seconds.

    PSNR is computed per picture in float32, on values that are neither clamped nor rounded, and then averaged. The
    protocol says which pictures are taken and how they are cut: skimage256, centre crops of 256 pixels of eight
    photographs that come with scikit-image and that nothing packaged was trained on; folder, the centre crop of at
    most --size pixels of every picture of a folder; native, every picture of a folder, whole; recipe, the test split
    of the data a run was trained on, cut as its recipe says. The others are the papers': the test split of a data set
    in its own layout, cut to so many pixels as the published numbers were; kodak, div2k and urban100 are those test
    sets' pictures, whole. What a protocol fixes is printed with every result, and where the pictures are not its test
    set. Pictures in sub-folders called photographs, faces, text, line-art or stars are also reported by kind.

    rFID and LPIPS are measured where the weights of their networks, Inception v3 and AlexNet, are placed in the folder
    that is printed otherwise.

    Args:
        model: a packaged model, a folder that holds one, a training run, or hf:owner/name.
        against: pca: beside every PSNR, that of principal components of 8x8 cells that store no more values, the
            floor that any learned code has to clear; or the file of another basis of them, made by python -m
            experiments.release.pca_basis.
        features: network of rFID: auto, inception:PATH, or any other that tokenfield score takes.
        save: write the worst and the best pictures there, as photograph | reconstruction | difference (x 8).
        keep: how many of each.
        overwrite: where --save named a folder, replace what lies there already.
    """
    from tokenfield.evaluation import evaluate as evaluation
    from tokenfield.evaluation.pca import Basis
    from tokenfield.evaluation.perceptual import Perceptual
    from tokenfield.fields.domains import for_pictures

    pictures.check()
    check_at_least(1, keep=keep)
    if save is not None:
        take(save)
        check_free([file for side in ("worst", "best") for file in save.glob(f"{side}-*.png")], overwrite=overwrite)
    field_model = load_model(model, device)
    for_pictures(field_model)
    if rate is not None:
        field_model = field_model.at(field_model.width_at(rate))
    gallery = evaluation.Gallery(keep) if save is not None else None
    named_pictures, total, skipped = pictures.open(model)
    with console.progress("evaluating", total) as bar:
        report = evaluation.evaluate(
            field_model,
            named_pictures,
            pictures.protocol_name,
            precision=find_precision(precision),
            basis=None if against == "nothing" else Basis.load(None if against == "pca" else Path(against)),
            gallery=gallery,
            perceptual=Perceptual.of(features),
            skipped=skipped,
            bar=bar,
        )
    report = replace(report, settings={
        "data": pictures.data, "size": pictures.size if pictures.protocol_name == "folder" else None,
        "count": pictures.count, "seed": pictures.seed, "rate": rate, "precision": precision})
    show(report, table)
    if gallery is not None and save is not None:
        console.notice(f"worst and best pictures: {len(gallery.save(save))} files in {save}")
    console.write_json(json, "evaluate", report.to_json())
    return console.finish(skipped, len(report.pictures) + len(skipped))


COLUMNS = {"psnr": ("PSNR dB", 2), "pca_psnr": ("PCA dB", 2), "psnr_8bit": ("8-bit dB", 2), "ssim": ("SSIM", 4),
           "lpips": ("LPIPS", 4), "tokens": ("tokens", 0), "values_stored": ("values", 0),
           "values_per_pixel_value": ("per pixel value", 3), "bytes": ("bytes", 0), "encode_seconds": ("encode s", 3),
           "decode_seconds": ("decode s", 3)}
"""Numbers of a score: heading, digits."""


def show(report: Report, table: Path | None) -> None:
    """The table that a person reads, and what was measured; a file of the table has all pictures."""
    missing = {name for name, value in (("pca_psnr", report.pca), ("lpips", report.lpips)) if value is None}
    columns = {name: column for name, column in COLUMNS.items() if name not in missing}

    def row(name: str, size: str, numbers: Record) -> list[str]:
        return [name, size, *(console.number(numbers[key], digits) for key, (_, digits) in columns.items())]

    middle = {name: report.median(name) if name.endswith("seconds") else report.mean(name) for name in columns
              if name != "lpips"}

    def rows(scores: Sequence[Score]) -> list[list[str]]:
        return [["picture", "size", *(heading for heading, _ in columns.values())],
                *(row(score.name, f"{score.width}x{score.height}", vars(score)) for score in scores),
                row(f"mean of {len(report.pictures)}", "", middle | {"lpips": report.lpips})]

    listed = report.pictures
    if len(listed) > LISTED:
        console.say(f"The {LISTED // 2} worst of {len(listed)} pictures:")
        listed = tuple(sorted(listed, key=lambda score: score.psnr)[: LISTED // 2])
    console.show_table(rows(listed))
    if table is not None:
        tables.write(table, rows(report.pictures))
    show_kinds(report)
    protocol = report.to_json()["protocol"]
    console.say(f"protocol {report.protocol}: {protocol['pictures']}")
    console.show("\n".join(f"  {key}: {value}" for key, value in protocol.items() if key not in ("name", "pictures")))
    for difference in report.differences():
        console.say(f"  not the whole test set: {difference}")
    console.say("seconds: the median.")
    console.show("\n".join(perceptual_lines(report)))
    if report.pca is not None:
        above = middle["psnr"] - middle["pca_psnr"]
        console.say(f"{above:+.2f} dB against principal components of {report.pca['cell']}x{report.pca['cell']} cells "
                    "that store no more values.")
    console.say(f"model {report.model['origin'] or report.model['name']} ({report.model['hash'][:12]}), "
                f"on {report.machine['device']}")


def show_kinds(report: Report) -> None:
    """A column per kind of picture, where sub-folders name kinds."""
    if kinds := report.kinds():
        parts = [(f"{name} ({len(part.pictures)})", part) for name, part in kinds.items()]
        rows = [["kind", *(name for name, _ in parts)],
                ["PSNR dB", *(console.number(part.mean("psnr"), 2) for _, part in parts)],
                ["SSIM", *(console.number(part.mean("ssim"), 4) for _, part in parts)]]
        if report.lpips is not None:
            rows.append(["LPIPS", *(console.number(part.lpips, 4) for _, part in parts)])
        console.show_table(rows)


def perceptual_lines(report: Report) -> list[str]:
    """RFID and its network, LPIPS, and what to place where for those that were not measured."""
    facts, lines = report.perceptual, []
    if facts.get("rfid") is not None:
        lines.append(f"rFID {console.number(facts['rfid'], 3)} of {facts['rfid_pictures']} pictures, features "
                     f"{facts['features']['name']} ({facts['features']['identity'][:12]}); compare equal numbers alone")
    if report.lpips is not None:
        lines.append(f"LPIPS {console.number(report.lpips, 4)}: version 0.1, AlexNet")
    names = {"rfid": "rFID", "lpips": "LPIPS"}
    return lines + [f"{names[name]} -: {what}" for name, what in facts.get("absent", {}).items()]
