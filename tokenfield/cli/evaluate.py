"""`tokenfield evaluate`: how well a model gives pictures back, by a named protocol."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Folder, Json
from tokenfield.cli.models import Precision, find_precision, load_model
from tokenfield.errors import UserError

Protocol = Literal[
    "auto", "skimage256", "folder", "native", "recipe", "imagenette178", "celeba178", "ffhq178", "ffhq256", "ffhq512",
    "ffhq1024", "imagenet256", "celeba128", "lsun256",
]  # fmt: skip
"""The names in `tokenfield.evaluation.protocols`, spelt out so that a mistyped option is answered at once."""

LISTED = 40
"""Most pictures that are listed one by one; of more only the worst are."""


def evaluate(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")],
    *,
    data: Annotated[str, tyro.conf.arg(metavar="skimage256|FOLDER")] = "skimage256",
    protocol: Protocol = "auto",
    size: int = 256,
    count: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    seed: int = 0,
    rate: Annotated[float | None, tyro.conf.arg(metavar="RATE")] = None,
    against: Literal["nothing", "pca"] = "nothing",
    basis: File = None,
    save: Folder = None,
    keep: int = 4,
    precision: Precision = "fp32",
    device: str = "auto",
    json: Json = None,
) -> int:
    """Measure a model on pictures: PSNR by the papers' protocol, SSIM, values stored, seconds.

    PSNR is computed per picture in float32, on values that are neither clamped nor rounded, and then averaged. The
    protocol says which pictures are taken and how they are cut: skimage256, centre crops of 256 pixels of eight
    photographs that come with scikit-image and that nothing packaged was trained on; folder, the centre crop of at
    most --size pixels of every picture of a folder; native, every picture of a folder, whole; recipe, the test split
    of the data a run was trained on, cut as its recipe says. The others are the papers': the test split of a data set
    in its own layout, cut to so many pixels as the published numbers were. What a protocol fixes is printed with every
    result.

    Args:
        model: a packaged model, a folder that holds one, a training run, or hf:owner/name.
        data: skimage256, or a folder of pictures.
        protocol: auto is skimage256 for that data, and folder for any other.
        size: side of the crops of protocol folder, in pixels.
        count: measure only so many pictures of a folder, drawn by the seed (of recipe and data sets: the first).
        seed: of that draw.
        rate: store at most so many values per pixel value, with a model that knows several rates (photos-ladder).
        against: pca: beside every PSNR, that of principal components of 8x8 cells that store no more values, the
            floor that any learned code has to clear.
        basis: another basis for it, made by python -m tokenfield.evaluation.pca.
        save: write the worst and the best pictures there, as photograph | reconstruction | difference (x 8).
        keep: how many of each.
        precision: arithmetic inside the model; what is measured stays float32.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    from tokenfield.evaluation import evaluate as evaluation
    from tokenfield.evaluation.gallery import Gallery
    from tokenfield.evaluation.pca import Basis
    from tokenfield.fields.domains import for_pictures

    chosen = protocol if protocol != "auto" else "skimage256" if data == "skimage256" else "folder"
    check_options(data, chosen, size, count, keep)
    loaded = load_model(model, device)
    for_pictures(loaded)
    if rate is not None:
        loaded = loaded.at(loaded.width_at(rate))
    floor = Basis.load(basis) if against == "pca" or basis is not None else None
    gallery = Gallery(keep) if save is not None else None
    pictures, total, skipped = find_pictures(model, data, chosen, size=size, count=count, seed=seed)
    with console.progress("evaluating", total) as bar:
        report = evaluation.evaluate(
            loaded,
            pictures,
            chosen,
            precision=find_precision(precision),
            basis=floor,
            gallery=gallery,
            skipped=skipped,
            settings={"data": data, "size": size if chosen == "folder" else None, "count": count, "seed": seed,
                      "rate": rate, "precision": precision},
            before=bar.file,
            progress=bar.piece,
        )
    show(report)
    if gallery is not None and save is not None:
        console.notice(f"worst and best pictures: {len(gallery.save(save))} files in {save}")
    console.write_json(json, {"command": "evaluate", **report.to_json()})
    return console.finish(skipped, len(report.pictures) + len(skipped))


def check_options(data: str, protocol: str, size: int, count: int | None, keep: int) -> None:
    """Raises UserError for options that exclude each other."""
    if (protocol == "skimage256") != (data == "skimage256"):
        raise UserError(f"protocol {protocol} and data {data}: --data skimage256 goes with protocol skimage256, and "
                        "--data FOLDER with every other protocol")
    for name, value in (("size", size), ("count", count), ("keep", keep)):
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}: give at least 1")


def find_pictures(
    model: str, data: str, protocol: str, *, size: int, count: int | None, seed: int
) -> tuple[Any, int, Any]:
    """The pictures of a protocol as (name, picture), how many there are, and the `SkippedFiles` that grow meanwhile."""
    from itertools import islice

    from tokenfield.data import open_source
    from tokenfield.data.demo_pictures import HELD_OUT
    from tokenfield.data.pictures import SkippedFiles
    from tokenfield.evaluation import evaluate as evaluation
    from tokenfield.evaluation.protocols import DATA_SETS, PROTOCOLS
    from tokenfield.training.recipe import read

    if protocol in DATA_SETS:
        return PROTOCOLS[protocol].open(Path(data), count)
    if protocol == "skimage256":
        return evaluation.held_out(), len(HELD_OUT), SkippedFiles()
    if protocol == "recipe":
        source = open_source(read(Path(model) / "recipe.json").data, Path(data), "test")
        total = len(source) if count is None else min(count, len(source))
        return islice(source.pictures(), count), total, source.skipped
    skipped = SkippedFiles()
    files = evaluation.folder_files(Path(data), skipped, count=count, seed=seed)
    side = size if protocol == "folder" else None
    return evaluation.folder_pictures(Path(data), files, skipped, size=side), len(files), skipped


def show(report: Any) -> None:
    """The table that a person reads of a `Report`."""
    heading = ["picture", "size", "PSNR dB", "8-bit dB", "SSIM", "tokens", "values", "per value"]
    heading += ["encode s", "decode s"]
    columns = ["psnr", "psnr_8bit", "ssim", "values_per_pixel_value", "encode_seconds", "decode_seconds"]
    if report.pca is not None:
        heading.insert(3, "PCA dB")
    listed = list(report.pictures)
    if len(listed) > LISTED:
        console.say(f"The {LISTED // 2} worst of {len(listed)} pictures:")
        listed = sorted(listed, key=lambda score: score.psnr)[: LISTED // 2]
    rows = [heading]
    for score in listed:
        rows.append(row(score.name, f"{score.width}x{score.height}", score, report.pca is not None))
    middle: dict[str, Any] = {name: report.mean(name) for name in columns[:4]}
    middle |= {name: report.median(name) for name in columns[4:]}
    middle |= {"tokens": round(report.mean("tokens")), "values_stored": round(report.mean("values_stored"))}
    middle |= {"pca_psnr": report.mean("pca_psnr") if report.pca is not None else None}
    rows.append(row(f"mean of {len(report.pictures)}", "", middle, report.pca is not None))
    console.say(console.table(rows))
    protocol = report.to_json()["protocol"]
    console.say(f"protocol {report.protocol}: {protocol['pictures']}")
    console.say("\n".join(f"  {key}: {value}" for key, value in protocol.items() if key not in ("name", "pictures")))
    console.say("seconds: the median.")
    if report.pca is not None:
        above = report.mean("psnr") - report.mean("pca_psnr")
        console.say(f"{above:+.2f} dB against principal components of {report.pca['cell']}x{report.pca['cell']} cells "
                    "that store no more values.")
    console.say(f"model {report.model['origin'] or report.model['name']} ({report.model['hash'][:12]}), "
                f"on {report.machine['device']}")


def row(name: str, size: str, numbers: Any, with_pca: bool) -> list[str]:
    """A row of the table from a `Score`, or from a dictionary of means."""
    get = numbers.get if isinstance(numbers, dict) else lambda key: getattr(numbers, key)
    cells = [name, size, console.number(get("psnr")), console.number(get("psnr_8bit")), console.number(get("ssim"), 4)]
    cells += [str(get("tokens")), str(get("values_stored")), console.number(get("values_per_pixel_value"), 3)]
    cells += [console.number(get("encode_seconds"), 3), console.number(get("decode_seconds"), 3)]
    if with_pca:
        cells.insert(3, console.number(get("pca_psnr")))
    return cells
