"""`tokenfield climate`: fields of the Earth as tokens, asked at any latitude and longitude.

A group of sub-commands; training is `tokenfield train lainr-climatology --data FOLDER` and its like.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Json, Out
from tokenfield.cli.models import load_model
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.data.gridded import GriddedSource
    from tokenfield.field import Field

Model = Annotated[str, tyro.conf.arg(metavar="MODEL")]
Pairs = Annotated[tuple[tuple[float, float], ...], tyro.conf.arg(metavar="LATITUDE LONGITUDE")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")]


@dataclass
class Encode:
    """Turn every time step and level of a file into a .field file, and print how well it is given back."""

    input: tyro.conf.Positional[Path]
    """A netCDF or NPY file, a Zarr folder, or a folder of these."""
    model: Model
    """A folder that holds one of the gridded models, or a training run."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Where the .field files go, named after file, variable, time and level."""
    variables: Names = ()
    """Which variables; default: those of the model, or all."""
    units: Names = ()
    """Units to convert those variables to, one each; default: those of the model."""
    half: bool = False
    """Store tokens as 16-bit numbers: half the file."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Json = None
    """Also write the results there, for machines."""

    def run(self) -> int:
        """Encode, save, measure what was saved."""
        import torch

        from tokenfield.field import Field
        from tokenfield.signals.globe import encode_field, score

        model = load_gridded(self.model, self.device)
        source = open_fields(model, self.input, variables=self.variables, units=self.units, split="all")
        dtype, items = torch.float16 if self.half else torch.float32, []
        self.output.mkdir(parents=True, exist_ok=True)
        with console.progress("encoding", len(source)) as bar:
            for i, prepared in enumerate(source.fields()):
                bar.file(i, prepared.snapshot.name)
                target = self.output / f"{file_name(prepared.snapshot.name)}.field"
                encode_field(model, prepared).save(target, dtype=dtype)
                made = Field.load(target, model)
                found, units = score(made, prepared.snapshot), prepared.snapshot.units
                items.append({"field": str(target), "name": prepared.snapshot.name, "units": units,
                              "rmse": found.rmse, "psnr": found.psnr,
                              "values_stored": made.values_stored + model.own_standards,
                              "cells": int(prepared.snapshot.seen.sum()), "bytes": target.stat().st_size})
                errors = ", ".join(f"RMSE {e:.3g} {u}".rstrip() for e, u in zip(found.rmse, units, strict=True))
                console.say(f"{prepared.snapshot.name} -> {target}: {items[-1]['values_stored']} values for "
                            f"{items[-1]['cells']} cells, {errors}, {sum(found.psnr) / len(found.psnr):.2f} dB")
        console.write_json(self.json, {"command": "climate encode", "items": items,
                                       "skipped": source.skipped.as_json()})
        return console.finish(source.skipped, len(items) + len(source.skipped))


@dataclass
class Query:
    """Ask a field at any latitudes and longitudes: a table of values in the field's own units."""

    field: tyro.conf.Positional[Path]
    """A .field file that `climate encode` wrote."""
    at: Pairs = ()
    """Places in degrees north and east: --at 48.1 11.6 -33.9 18.4."""
    places: File = None
    """A text file of such places, one per line, separated by a comma or blanks."""
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where the model that made it is, if not where the file says."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Json = None
    """Also write the results there, for machines."""

    def run(self) -> int:
        """Print one row per place."""
        import torch

        asked = [*self.at, *(read_places(self.places) if self.places else [])]
        check_places(asked)
        made, domain = open_globe(self.field, self.model, self.device)
        where = torch.tensor(asked, dtype=torch.float64)
        values, known = domain.at(made, where).tolist(), domain.had_value(where).tolist()
        names = [f"{v}, {u}" if u else v for v, u in zip(domain.variables, domain.units, strict=True)]
        rows = [["latitude", "longitude", *names]]
        for place, row, seen in zip(asked, values, known, strict=True):
            cells = [f"{value:.4g}" + ("" if there else " *") for value, there in zip(row, seen, strict=True)]
            rows.append([f"{place[0]:g}", f"{place[1]:g}", *cells])
        console.say(console.table(rows))
        if not all(all(seen) for seen in known):
            console.say("* the cell of this place had no value: what stands there is a guess from its neighbours")
        items = [{"latitude": place[0], "longitude": place[1], "values": row, "had_value": seen}
                 for place, row, seen in zip(asked, values, known, strict=True)]
        console.write_json(self.json, {"command": "climate query", "field": str(self.field), "name": domain.name,
                                       "variables": domain.variables, "units": domain.units, "places": items})
        return console.OK


@dataclass
class Map:
    """Draw a field as a map of the Earth, and beside it the data it was made from and the difference."""

    field: tyro.conf.Positional[Path]
    """A .field file that `climate encode` wrote."""
    output: Out = None
    """The PNG file; default: beside the field."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The file it was made from: adds truth and difference."""
    projection: Literal["mollweide", "orthographic", "both"] = "both"
    """mollweide: the whole Earth, equal areas; orthographic: half of it, as seen from above --centre."""
    centre: Annotated[tuple[float, float], tyro.conf.arg(metavar="LATITUDE LONGITUDE")] = (20.0, 200.0)
    """The middle of the maps."""
    height: int = 300
    """Rows of pixels of every map."""
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where the model that made it is, if not where the file says."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Json = None
    """Also write the results there, for machines."""

    def run(self) -> int:
        """Draw and save."""
        check_places([self.centre])
        if self.height < 10:
            raise UserError(f"--height {self.height}: a map has at least 10 rows")
        made, domain = open_globe(self.field, self.model, self.device)
        snapshot = None
        if self.data is not None:
            source = open_fields(made.model, self.data, variables=domain.variables, units=domain.units, split="all")
            snapshot = next((one.snapshot for one in source.fields() if one.snapshot.name == domain.name), None)
            if snapshot is None:
                raise UserError(f"{self.data} holds no {domain.name}; give the file that the field was made from")
        target = self.output or self.field.with_suffix(".png")
        draw_maps(made, snapshot, target, self.projection, self.centre, self.height)
        console.say(f"{domain.name} -> {target}")
        console.write_json(self.json, {"command": "climate map", "field": str(self.field), "file": str(target)})
        return console.OK


@dataclass
class Evaluate:
    """Measure a model on fields: area-weighted RMSE in their units, PSNR, values stored, beside simpler codes."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A training run, or a folder that holds one of the gridded models."""
    data: Path
    """A file, or a folder of netCDF, Zarr or NPY files."""
    split: Literal["test", "all"] = "test"
    """test: what the run held out, by its own recipe; all: every field."""
    files: Names = ()
    """Only files like these, such as levitus*; default: those of the recipe, or all."""
    variables: Names = ()
    """Which variables; default: those of the recipe or the model, or all."""
    units: Names = ()
    """Units to convert those variables to, one each."""
    count: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """At most so many fields, spread evenly."""
    against: Annotated[tuple[Literal["harmonics", "coarse"], ...], tyro.conf.arg(metavar="harmonics|coarse")] = ()
    """Also codes without training, of no more values: spherical harmonics fitted by least squares; averages on a coarse
    grid, interpolated."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="PNG")] = None
    """Write maps of the median field there: truth, field, difference."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Json = None
    """Also write the results there, for machines."""

    def run(self) -> int:
        """Measure, print a row per variable."""
        from tokenfield.analysis.earth_scores import evaluate_fields

        if self.count is not None and self.count < 1:
            raise UserError(f"--count {self.count}: give at least 1")
        model = load_gridded(self.model, self.device)
        source = open_fields(model, self.data, variables=self.variables, units=self.units, files=self.files,
                             split=self.split, run=self.model)
        spread(source, self.count)
        settings = {"data": self.data.name, "split": self.split, "files": self.files or source.config.files,
                    "holdout": source.config.holdout, "every": source.config.every, "shares": source.config.shares}
        with console.progress("evaluating", len(source)) as bar:
            report = evaluate_fields(model, source.fields(), against=self.against, settings=settings, before=bar.file)
        show(report, self.against)
        console.write_json(self.json, {"command": "climate evaluate", **report.to_json(),
                                       "skipped": source.skipped.as_json()})
        if self.figure is not None:
            draw_median(model, source, report, self.figure)
        return console.finish(source.skipped, len(report.scores) + len(source.skipped))


def climate(
    action: Annotated[Encode | Query | Map | Evaluate, tyro.conf.arg(name=""), tyro.conf.OmitSubcommandPrefixes],
) -> int:
    """Fields of the Earth: encode, query at any latitude and longitude, draw as maps, evaluate in their own units.

    Reads netCDF, Zarr and NPY with any order of latitudes and longitudes; missing cells take no part. Train a model
    with tokenfield train lainr-climatology --data FOLDER (or anr-climatology, anchored-climatology, lainr-era5,
    anr-era5). Each of the four has --help, and --json PATH for machines.

    Args:
        action: what to do.
    """
    return action.run()


def load_gridded(name: str, device: str) -> Any:
    """A model of fields on the sphere. Raises UserError for another kind."""
    from tokenfield.models.gridded import EarthModel

    model = load_model(name, device)
    if not isinstance(model, EarthModel):
        raise UserError(f"{name} holds a {model.name} model, which knows no latitudes; train one of lainr-climatology, "
                        "anr-climatology, anchored-climatology, lainr-era5, anr-era5")
    return model


def open_fields(
    model: Any,
    data: Path,
    *,
    variables: tuple[str, ...],
    units: tuple[str, ...],
    split: str,
    files: tuple[str, ...] = (),
    run: str = "",
) -> "GriddedSource":
    """The fields that a user names, for a model's grid: by the recipe of its run, where there is one to go by."""
    from tokenfield.data.gridded import GriddedConfig
    from tokenfield.training.recipe import read

    size, recipe = tuple(model.input_size), Path(run) / "recipe.json"
    config = read(recipe).data if run and recipe.exists() else GriddedConfig(size=size)
    if split == "test" and not recipe.exists():
        raise UserError(f"{run} is no training run, so nothing says what it held out; give --split all")
    named = tuple(variable.name for variable in model.config.variables if variable.name)
    wanted = variables or config.variables or named
    asked = units or config.units or tuple(variable.units for variable in model.config.variables if variable.name)
    together = "together" if len(model.config.variables) > 1 else "apart"
    config = replace(config, files=files or config.files, variables=wanted, channels=together,
                     units=asked if len(asked) == len(wanted) else ())
    if units and len(units) != len(wanted):
        raise UserError(f"--units {' '.join(units)} for variables {' '.join(wanted) or '(all)'}; give one each")
    if split == "all":
        config = replace(config, holdout="last", shares=(1.0, 0.0, 0.0))
    return config.open(data, "test" if split == "test" else "train")


def spread(source: "GriddedSource", count: int | None) -> None:
    """Keep at most `count` layers of a source, evenly from first to last."""
    total = len(source)
    if count is not None and count < total:
        source.layers = [source.layers[i * total // count] for i in range(count)]


def open_globe(path: Path, model: str | None, device: str) -> "tuple[Field, Any]":
    """A field on the sphere and its domain. Raises UserError for another kind of field."""
    from tokenfield.cli.decode import open_field
    from tokenfield.signals.globe import Globe

    made = open_field(path, None if model is None else load_gridded(model, device), {}, device)
    if not isinstance(made.domain, Globe):
        raise UserError(f"{path} is a field of a {made.domain.kind}, not of the Earth; climate encode makes such files")
    return made, made.domain


def read_places(path: Path) -> list[tuple[float, float]]:
    """(latitude, longitude) per line. Raises UserError naming the first line that is something else."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from error
    places = []
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            latitude, longitude = map(float, words)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {line.strip()!r}; give latitude and longitude") from error
        places.append((latitude, longitude))
    return places


def check_places(places: list[tuple[float, float]]) -> None:
    """Raises UserError for none, or for one that is nowhere on Earth."""
    if not places:
        raise UserError("no place to ask at; give --at LATITUDE LONGITUDE, or --places FILE")
    for latitude, longitude in places:
        if not (-90 <= latitude <= 90 and -360 <= longitude <= 720):
            raise UserError(f"latitude {latitude:g}, longitude {longitude:g}; give degrees north in [-90, 90], then "
                            "degrees east")


def file_name(name: str) -> str:
    """The name of a snapshot as that of a file."""
    return "".join(letter if letter.isalnum() or letter in ".=-" else "_" for letter in name)


def draw_maps(made: Any, snapshot: Any, path: Path, projection: str, centre: tuple[float, float], height: int) -> None:
    """A row of maps per projection."""
    from tokenfield.analysis.globe import maps_of, mollweide, orthographic, sheet

    projections = {
        "mollweide": lambda: mollweide(height, centre[1]),
        "orthographic": lambda: orthographic(height, centre),
    }
    chosen = projections if projection == "both" else {projection: projections[projection]}
    sheet([maps_of(made, snapshot, at) for at in chosen.values()], path)


def draw_median(model: Any, source: "GriddedSource", report: Any, path: Path) -> None:
    """Maps of the field whose PSNR is the median: neither the best nor the worst."""
    from tokenfield.signals.globe import encode_field

    ranked = sorted(report.scores, key=lambda score: score.psnr)
    wanted = ranked[len(ranked) // 2].field
    prepared = next(one for one in source.fields() if one.snapshot.name == wanted)
    draw_maps(encode_field(model, prepared), prepared.snapshot, path, "both", (20.0, 200.0), 300)
    console.notice(f"maps of {wanted}: {path}")


def show(report: Any, against: tuple[str, ...]) -> None:
    """The table that a person reads of an `EarthReport`."""
    heading = ["series", "fields", "RMSE", *(f"{name}" for name in against), "deviation", "unit", "PSNR dB",
               *(f"{name} dB" for name in against), "values"]
    rows = [heading]
    for row in report.table():
        errors = [console.number(row[f"{name}_rmse"], 3) for name in against]
        decibels = [console.number(row[f"{name}_psnr"]) for name in against]
        rows.append([row["series"], str(row["fields"]), console.number(row["rmse"], 3), *errors,
                     console.number(row["deviation"], 3), row["unit"] or "-", console.number(row["psnr"]), *decibels,
                     f"{row['values_stored']:.0f}"])
    console.say(console.table(rows))
    every = report.to_json()
    console.say(f"{every['psnr']:.2f} dB on {every['fields']} fields, {every['values_stored']:.0f} values each"
                + "".join(f"; {name} {every[f'{name}_psnr']:.2f} dB" for name in against))
    console.say("RMSE and deviation: weighted by area, over cells with a value, per field, then the mean.")
