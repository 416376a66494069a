"""What fields know between the pixels they were encoded from: super-resolution, as a table, spectra and details.

    python -m experiments.fields.superres MODEL [MODEL ...] --data FOLDER
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.fields import superres_protocol as protocol
from experiments.fields.spectra import spectrum_figure
from tokenfield.cli import app, console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.options import Device, labels, load_model
from tokenfield.data.demo_pictures import HELD_OUT, data_folder
from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.evaluate import describe_model, folder_files
from tokenfield.evaluation.figures import save_png
from tokenfield.io.atomic import write_whole

PROGRAM = "python -m experiments.fields.superres"
DEFAULT_SIZE = 64
"""Pixels per side that models of any size encode, unless --size names others."""


@dataclass(frozen=True)
class Photographs:
    """Which photographs, at which sizes."""

    data: Annotated[str, tyro.conf.arg(metavar="skimage|FOLDER")] = "skimage"
    """Skimage (the eight held-out photographs of scikit-image), or a folder of pictures."""
    scales: tuple[int, ...] = (2, 3, 4)
    """How many times as large as the encoded size, whole numbers of at least 2."""
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side of the encoded square; default: what the first model takes, or 64 for models of any size."""
    count: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Measure only so many pictures of a folder, drawn by the seed."""
    seed: int = 0
    """Of that draw."""

    def find(self) -> tuple[list[Path], list[str], SkippedFiles]:
        """Files, their names, and where files that cannot be used are noted."""
        skipped = SkippedFiles()
        if self.data == "skimage":
            return [data_folder() / file for file in HELD_OUT.values()], list(HELD_OUT), skipped
        folder = Path(self.data)
        files = folder_files(folder, skipped, count=self.count, seed=self.seed)
        return files, [f.relative_to(folder).as_posix() if f != folder else f.name for f in files], skipped

    def command(self, models: tuple[str, ...]) -> str:
        """What to type for the same photographs and sizes."""
        words = [PROGRAM, *models, "--data", self.data, "--scales", *map(str, self.scales)]
        words += [f"--{name} {value}" for name in ("size", "count") if (value := getattr(self, name)) is not None]
        return " ".join(words)


def superres(
    models: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL [MODEL ...]")],
    *,
    photographs: tyro.conf.OmitArgPrefixes[Photographs] = Photographs(),
    out: Out = None,
    device: Device = "auto",
    json: Json = None,
) -> int:
    """Super-resolution: encode photographs at one size, render them larger, compare with them at that size.

    The middle square of every photograph is resized to the size that the models encode and to its multiples. Beside the
    models stand bicubic and Lanczos interpolation of the same pixels, and each model's own picture at the encoded size
    enlarged by bicubic interpolation. Give models that were trained with and without noise on their coordinates
    (--objective.jitter) to see what the noise is for. Writes a table, a figure of radial power spectra and a sheet of
    details.

    Args:
        models: packaged models, folders that hold one, training runs, or hf:owner/name.
        out: folder for superres.json, superres.md, spectrum.png and details.png; default: ./superres.
    """
    scales = photographs.scales
    if not models:
        raise UserError(f"no model given; give one or more: {PROGRAM} MODEL [MODEL ...] --data FOLDER")
    if not scales or min(scales) < 2 or len(set(scales)) < len(scales):
        raise UserError(f"--scales {' '.join(map(str, scales))}; give whole numbers of at least 2, each once")
    loaded = {name: load_model(path, device) for name, path in zip(labels(models), models, strict=True)}
    size = photographs.size
    side = next((m.input_size[0] for m in loaded.values() if m.input_size), DEFAULT_SIZE) if size is None else size
    if side < 8:
        raise UserError(f"--size {side} is no picture; give at least 8 pixels")
    facts = {name: {**describe_model(model), "noise": protocol.noise_of(Path(path))}
             for (name, model), path in zip(loaded.items(), models, strict=True)}
    files, names, skipped = photographs.find()
    with console.progress("super-resolution", len(files)) as bar:
        sizes = protocol.sizes_of(files, side, scales, skipped, names)
        result = protocol.compare(loaded, sizes, side, scales, facts=facts, before=bar.file)

    console.show_table(protocol.rows(result))
    console.say(protocol.explanation(result))
    settings = {"data": photographs.data, "count": photographs.count, "seed": photographs.seed}
    command = photographs.command(models)
    report = {"command": command, "settings": settings, **result.to_json(), "skipped": list(skipped.as_json()),
              "machine": machine(), "versions": versions()}
    folder = out if out is not None else Path("superres")
    console.write_json(folder / "superres.json", "superres", report)
    write_figures(folder, result, command)
    console.notice(f"superres.json, superres.md, spectrum.png and details.png are in {folder}")
    console.write_json(json, "superres", report)
    return console.finish(skipped, len(result.pictures) + len(skipped))


def write_figures(folder: Path, result: protocol.Comparison, command: str) -> None:
    """The table as Markdown, the spectra and the sheet of details."""
    write_whole(folder / "superres.md", protocol.markdown(result, command))
    largest = max(result.scales)
    curves = {method.name: method.spectrum(largest) for method in (result.photograph, *result.methods)}
    title = f"Radial power spectra, {largest} x {result.size} pixels, means of {len(result.pictures)} photographs"
    spectrum_figure(folder / "spectrum.png", curves, largest, title=title, plain=1 + len(protocol.METHODS))
    save_png(folder / "details.png", protocol.detail_sheet(result))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, as `tokenfield.cli.main` does."""
    return app.main(argv, parse)


def parse(argv: list[str]) -> Callable[[], object]:
    """The command, ready to run with its options."""
    return app.one_line(lambda: tyro.cli(app.deferred(superres), prog=PROGRAM, args=argv))


if __name__ == "__main__":
    sys.exit(main())
