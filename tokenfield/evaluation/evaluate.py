"""Evaluation: a model, pictures, a named protocol -> a report that says everything needed to get the number again.

A protocol (`tokenfield.evaluation.protocols`) fixes which pictures are used and how they are cut; how closeness is
measured is the same in all of them: each picture is encoded and decoded alone, in the size it has, and its PSNR is that
of `metrics.psnr` (float32, neither clamped nor rounded); means are taken over pictures. The result therefore depends
neither on a batch size nor on the order of the pictures.
"""

import io
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.data.demo_pictures import center_crop
from tokenfield.data.pictures import SkippedFiles, find_pictures, read_pictures
from tokenfield.errors import UserError
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.figures import difference, to_pil
from tokenfield.evaluation.pca import Basis, floor_of
from tokenfield.evaluation.perceptual import Perceptual
from tokenfield.evaluation.protocols import PROTOCOLS, kind_of
from tokenfield.fields.field import Field
from tokenfield.io.atomic import write_whole
from tokenfield.io.clock import seconds
from tokenfield.io.outputs import short
from tokenfield.io.progress import Bar
from tokenfield.io.record import Record
from tokenfield.metrics import psnr, psnr_8bit, ssim
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel

NamedPictures = Iterable[tuple[str, Tensor]]
"""Pictures (C, H, W) in [0, 1] with their names."""


@dataclass(frozen=True)
class Score:
    """What was measured on one picture."""

    name: str
    height: int
    width: int
    psnr: float
    """dB, papers' protocol."""
    psnr_8bit: float
    """dB between 8-bit files."""
    ssim: float
    tokens: int
    values_stored: int
    values_per_pixel_value: float
    """Stored values over C * H * W."""
    bytes: int
    """Of the tokens as they are; `tokenfield encode` codes them in fewer."""
    encode_seconds: float
    decode_seconds: float
    pca_psnr: float | None = None
    """dB of principal components of 8x8 cells that store no more values; None without a basis."""
    lpips: float | None = None
    """LPIPS v0.1 over AlexNet; None where it was not measured."""


@dataclass(frozen=True)
class Report:
    """Scores of all pictures and how they came about."""

    protocol: str
    """A key of `PROTOCOLS`."""
    pictures: tuple[Score, ...]
    model: Record
    """System, origin, hash of configuration and weights, number of parameters."""
    settings: Record = field(default_factory=dict)
    """Options of the protocol: folder, size, count, seed, precision."""
    skipped: tuple[dict[str, str], ...] = ()
    """Files that could not be used, with the reasons."""
    pca: Record | None = None
    """Facts of the basis that `pca_psnr` was computed with."""
    perceptual: Record = field(default_factory=dict)
    """rFID, its feature network, and what LPIPS and rFID lack; see `perceptual.Perceptual.facts`."""
    machine: Record = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)

    def mean(self, what: str) -> float:
        """Mean over pictures of a field of `Score`."""
        return statistics.fmean(getattr(score, what) for score in self.pictures)

    def median(self, what: str) -> float:
        """Median over pictures: for seconds, since the first picture also warms the machine up."""
        return float(statistics.median(getattr(score, what) for score in self.pictures))

    def differences(self) -> list[str]:
        """Where the pictures are not the protocol's test set."""
        return PROTOCOLS[self.protocol].differences([(score.height, score.width) for score in self.pictures])

    def kinds(self) -> dict[str, "Report"]:
        """The scores of every kind of picture that sub-folders name."""
        groups: dict[str, list[Score]] = {}
        for score in self.pictures:
            if (kind := kind_of(score.name)) is not None:
                groups.setdefault(kind, []).append(score)
        return {kind: replace(self, pictures=tuple(groups[kind])) for kind in sorted(groups)}

    @property
    def lpips(self) -> float | None:
        """Mean over the pictures it was measured on; None without any."""
        values = [score.lpips for score in self.pictures if score.lpips is not None]
        return statistics.fmean(values) if values else None

    def to_json(self) -> Record:
        """Plain dictionaries and lists, summary first: what `--json` and `eval.json` hold."""
        means = ["psnr", "psnr_8bit", "ssim", "tokens", "values_stored", "values_per_pixel_value", "bytes"]
        means += ["pca_psnr"] if self.pca else []
        return {
            "protocol": PROTOCOLS[self.protocol].describe(self.protocol),
            "count": len(self.pictures),
            **{name: round(self.mean(name), 4) for name in means},
            **{name: round(self.median(name), 6) for name in ("encode_seconds", "decode_seconds")},
            "lpips": self.lpips,
            "differences": self.differences(),
            "kinds": {kind: {"count": len(part.pictures), "psnr": part.mean("psnr"), "ssim": part.mean("ssim"),
                             "lpips": part.lpips} for kind, part in self.kinds().items()},
            **{name: value for name, value in vars(self).items() if name not in ("protocol", "pictures")},
            "pictures": [asdict(score) for score in self.pictures],
        }


GAIN = 8.0
"""How many times as strong the difference is shown."""


def panel(photograph: Float[Tensor, "c h w"], reconstruction: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w3"]:
    """Photograph | reconstruction | their difference around mid-grey; 4 pixels in between."""
    gap = torch.ones(*photograph.shape[:2], 4)
    strong = difference(photograph, reconstruction, GAIN)
    return torch.cat([photograph, gap, reconstruction, gap, strong], -1).clamp(0, 1)


class Gallery:
    """The `keep` worst and the `keep` best pictures, as compressed PNG until `save`, so that memory is bounded."""

    def __init__(self, keep: int = 4):
        self.keep = keep
        self.worst: list[tuple[float, str, bytes]] = []
        self.best: list[tuple[float, str, bytes]] = []

    def offer(self, name: str, psnr: float, photograph: Tensor, reconstruction: Tensor) -> None:
        """Keeps the picture if it belongs among the worst or the best so far."""
        sides = ((self.worst, psnr), (self.best, -psnr))
        ranks = [(side, key) for side, key in sides if len(side) < self.keep or key < side[-1][0]]
        if not ranks:
            return
        png = io.BytesIO()
        to_pil(panel(photograph, reconstruction)).save(png, "PNG")
        for side, key in ranks:
            side.append((key, name, png.getvalue()))
            side.sort(key=lambda entry: entry[0])  # stable: of equals the first one stays
            del side[self.keep :]

    def save(self, folder: Path) -> list[Path]:
        """Writes `worst-1-NAME.png`, `best-1-NAME.png`, ..., the most extreme first, and returns their paths."""
        paths = []
        for side, entries in (("worst", self.worst), ("best", self.best)):
            for rank, (_, name, png) in enumerate(entries, 1):
                paths.append(folder / f"{side}-{rank}-{short(name.replace('/', '_'))}.png")
                write_whole(paths[-1], png)
        return paths


def folder_files(folder: Path, skipped: SkippedFiles, *, count: int | None = None, seed: int = 0) -> list[Path]:
    """The files of protocols `folder` and `native`: all pictures of a folder, or `count` drawn by a seed, in order."""
    files = find_pictures(folder, skipped)
    if count is None or count >= len(files):
        return files
    numbers = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed))[:count]
    return [files[i] for i in sorted(numbers.tolist())]


def folder_pictures(folder: Path, files: list[Path], skipped: SkippedFiles, *,
                    size: int | None) -> Iterator[tuple[str, Tensor]]:
    """The pictures of protocols `folder` (`size` pixels) and `native` (None), named by their path in the folder."""
    for path, picture in read_pictures(files, skipped):
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) and path != folder else path.name
        yield name, picture if size is None else center_crop(picture, size)


def describe_model(model: FieldModel) -> Record:
    """Which model a number belongs to."""
    return {"name": model.name, "origin": model.origin, "hash": pretrained.model_hash(model),
            "parameters": model.num_parameters}


def evaluate(
    model: FieldModel,
    pictures: NamedPictures,
    protocol: str = "skimage256",
    *,
    precision: torch.dtype | None = None,
    basis: Basis | None = None,
    gallery: Gallery | None = None,
    perceptual: Perceptual | None = None,
    skipped: SkippedFiles | None = None,
    bar: Bar | None = None,
) -> Report:
    """Encode and decode pictures of any sizes, one at a time, on the model's device, and measure.

    Args:
        protocol: which one the pictures follow, for the report, as are `skipped` files.
        precision: torch.bfloat16 or torch.float16 runs the model under autocast; metrics stay float32.
        basis: also measure principal components that store no more values than the model does.
        perceptual: also measure LPIPS and rFID by its networks.
        bar: shows which picture is worked on, and how far.
    Raises:
        UserError: no pictures, or a reconstruction that is not finite.
    """
    skipped = SkippedFiles() if skipped is None else skipped
    scores = []
    for index, (name, picture) in enumerate(pictures):
        if bar is not None:
            bar.file(index, name)
        progress = None if bar is None else bar.piece
        score, reconstruction = measure(model, name, picture, precision=precision, basis=basis, progress=progress)
        if perceptual is not None:
            score = replace(score, lpips=perceptual.measure(picture, reconstruction))
        scores.append(score)
        if gallery is not None:
            gallery.offer(name, score.psnr, picture, reconstruction)
    if not scores:
        raise UserError(f"no pictures to evaluate; {skipped.summary() or 'give a folder that holds some'}")
    return Report(
        protocol=protocol,
        pictures=tuple(scores),
        model=describe_model(model),
        skipped=tuple(skipped.as_json()),
        pca=None if basis is None else dict(basis.facts),
        perceptual={} if perceptual is None else perceptual.facts(),
        machine=machine(next(model.parameters()).device),
    )


def measure(model: FieldModel, name: str, picture: Float[Tensor, "c h w"], *, precision: torch.dtype | None = None,
            basis: Basis | None = None,
            progress: Callable[[int, int], None] | None = None) -> tuple[Score, Float[Tensor, "c h w"]]:
    """Score and reconstruction (unclamped, on the CPU) of one picture."""
    height, width = picture.shape[-2:]
    device = next(model.parameters()).device
    start = seconds(device)
    field = Field.of(model, picture, dtype=precision, progress=progress)
    encoded = seconds(device)
    reconstruction = field.render(height, width, dtype=precision, progress=progress)
    decoded = seconds(device)
    reconstruction = reconstruction.float().cpu()                                  # (C, H, W)
    if not reconstruction.isfinite().all():
        raise UserError(f"{name}: the reconstruction is not finite in this precision; evaluate in fp32")
    pair = reconstruction[None], picture[None]
    score = Score(name=name, height=height, width=width, psnr=psnr(*pair).item(), psnr_8bit=psnr_8bit(*pair).item(),
                  ssim=ssim(*pair).item(), tokens=field.tokens[..., 0].numel(), values_stored=field.values_stored,
                  values_per_pixel_value=field.values_stored / picture.numel(), bytes=field.bytes_stored,
                  encode_seconds=encoded - start, decode_seconds=decoded - encoded,
                  pca_psnr=None if basis is None else floor_of(basis, picture, field.values_stored))
    return score, reconstruction

