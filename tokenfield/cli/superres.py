"""`tokenfield superres MODEL [MODEL ...]`: what fields know between the pixels they were encoded from."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.models import load_model
from tokenfield.errors import UserError

DEFAULT_SIZE = 64
"""Pixels per side that models of any size encode, unless told otherwise."""


def superres(
    models: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL [MODEL ...]")],
    *,
    data: Annotated[str, tyro.conf.arg(metavar="skimage|FOLDER")] = "skimage",
    scales: tuple[int, ...] = (2, 3, 4),
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None,
    count: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    seed: int = 0,
    out: Out = None,
    device: str = "auto",
    json: Json = None,
) -> int:
    """Super-resolution: encode photographs at one size, render them larger, compare with the photographs at that size.

    The middle square of every photograph is resized to the size that the models encode and to its multiples. Beside the
    models stand bicubic and Lanczos interpolation of the same pixels, and each model's own picture at the encoded size
    enlarged by bicubic interpolation. Give models that were trained with and without noise on their coordinates
    (--objective.jitter) to see what the noise is for. Writes a table, a figure of radial power spectra and a sheet of
    details.

    Args:
        models: packaged models, folders that hold one, training runs, or hf:owner/name.
        data: skimage (the eight held-out photographs of scikit-image), or a folder of pictures.
        scales: how many times as large as the encoded size, whole numbers of at least 2.
        size: side of the encoded square; default: what the first model takes, or 64 for models of any size.
        count: measure only so many pictures of a folder, drawn by the seed.
        seed: of that draw.
        out: folder for superres.json, superres.md, spectrum.png and details.png; default: ./superres.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    from tokenfield.evaluation import superres as protocol
    from tokenfield.evaluation.environment import machine, versions
    from tokenfield.evaluation.evaluate import describe_model
    from tokenfield.evaluation.figures import save_png
    from tokenfield.evaluation.spectra import spectrum_figure
    from tokenfield.io.atomic import written_aside

    if not models:
        raise UserError("no model given; give one or more: tokenfield superres MODEL [MODEL ...] --data FOLDER")
    if not scales or min(scales) < 2 or len(set(scales)) < len(scales):
        raise UserError(f"--scales {' '.join(map(str, scales))}; give whole numbers of at least 2, each once")
    loaded = {name: load_model(path, device) for name, path in zip(labels(models), models, strict=True)}
    side = size if size is not None else next((m.input_size[0] for m in loaded.values() if m.input_size), DEFAULT_SIZE)
    if side < 8:
        raise UserError(f"--size {side} is no picture; give at least 8 pixels")
    facts = {name: {**describe_model(model), "noise": protocol.noise_of(Path(path))}
             for (name, model), path in zip(loaded.items(), models, strict=True)}
    files, names, skipped = find_photographs(data, count, seed)
    with console.progress("super-resolution", len(files)) as bar:
        photographs = protocol.sizes_of(files, side, scales, skipped, names)
        result = protocol.compare(loaded, photographs, side, scales, facts=facts, before=bar.file)

    show(result)
    folder = out if out is not None else Path("superres")
    command = " ".join(["tokenfield superres", *models, "--data", data, "--scales", *map(str, scales)])
    command += "".join(f" --{name} {value}" for name, value in (("size", size), ("count", count)) if value is not None)
    report = {"command": command, "settings": {"data": data, "count": count, "seed": seed}, **result.to_json(),
              "skipped": list(skipped.as_json()), "machine": machine(), "versions": versions()}
    console.write_json(folder / "superres.json", report)
    with written_aside(folder / "superres.md") as file:
        file.write(protocol.markdown(result, command).encode())
    largest = max(scales)
    curves = {method.name: method.spectrum(largest) for method in (result.photograph, *result.methods)}
    title = f"Radial power spectra, {largest} x {side} pixels, means of {len(result.pictures)} photographs"
    spectrum_figure(folder / "spectrum.png", curves, largest, title=title, plain=1 + len(protocol.METHODS))
    save_png(folder / "details.png", protocol.detail_sheet(result))
    console.notice(f"superres.json, superres.md, spectrum.png and details.png are in {folder}")
    console.write_json(json, report)
    return console.finish(skipped, len(result.pictures) + len(skipped))


def labels(models: tuple[str, ...]) -> list[str]:
    """What to call each model: the last part of its path, or all of it where that would name two alike."""
    short = [Path(model).name or model for model in models]
    if len(set(short)) == len(short):
        return short
    if len(set(models)) < len(models):
        raise UserError(f"a model is given twice: {' '.join(models)}")
    return list(models)


def find_photographs(data: str, count: int | None, seed: int) -> tuple[list[Path], list[str], Any]:
    """Files, their names, and where files that cannot be used are noted."""
    from tokenfield.data.demo_pictures import HELD_OUT, data_folder
    from tokenfield.data.pictures import SkippedFiles
    from tokenfield.evaluation.evaluate import folder_files

    skipped = SkippedFiles()
    if data == "skimage":
        return [data_folder() / file for file in HELD_OUT.values()], list(HELD_OUT), skipped
    folder = Path(data)
    files = folder_files(folder, skipped, count=count, seed=seed)
    return files, [f.relative_to(folder).as_posix() if f != folder else f.name for f in files], skipped


def show(result: Any) -> None:
    """The table that a person reads."""
    heading = ["method", "noise", "1x"]
    for scale in result.scales:
        heading += [f"{scale}x", "own", "beyond"]
    rows = [heading]
    for method in result.methods:
        native = sum(method.native) / len(method.native) if method.native else None
        row = [method.name, str(method.facts.get("noise") or "-"), console.number(native)]
        for scale in result.scales:
            own = method.mean(scale, "interpolated") if method.native else None
            beyond = f"{result.beyond(method, scale):+.1f}"
            row += [console.number(method.mean(scale, "psnr")), console.number(own), beyond]
        rows.append(row)
    console.say(console.table(rows))
    console.say(f"PSNR in dB, means of {len(result.pictures)} photographs encoded at {result.size} pixels; own: the "
                "method's own pixels, enlarged by bicubic")
    console.say("interpolation; beyond: power that the encoded size cannot hold, over the photographs', in dB (above "
                "0: aliasing; far below: blur).")
