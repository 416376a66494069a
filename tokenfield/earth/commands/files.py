"""Sub-commands of `climate` that read files of the Earth: to encode them, or to measure a model on them."""

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Int, Json, Table
from tokenfield.cli.options import Device, check_at_least, load_model
from tokenfield.errors import UserError
from tokenfield.io.lock import take
from tokenfield.io.outputs import check_free, short, untaken
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from tokenfield.earth.data import GriddedConfig, GriddedSource
    from tokenfield.earth.models import EarthModel

Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")]
EarthModelName = Annotated[str, tyro.conf.arg(metavar="MODEL", help=(
    "earth-climate, which is packaged and takes any variable; a training run; or a folder of a gridded model."))]


@dataclass(kw_only=True)
class OnData:
    """Options of sub-commands that read files of the Earth."""

    variables: Names = ()
    """Which variables; default: those of the run's recipe or of the model, or all."""
    units: Names = ()
    """Units to convert those variables to, one each; default: those of the recipe or of the model."""
    device: Device = "auto"
    json: Json = None

    def finish(self, source: "GriddedSource", done: int, command: str, results: Record) -> int:
        """Write the results for machines, name what was skipped, and choose the exit code."""
        console.write_json(self.json, command, {**results, "skipped": source.skipped.as_json()})
        return console.finish(source.skipped, done + len(source.skipped))


@dataclass(kw_only=True)
class Encode(OnData):
    """Turn every time step and level of a file into a .field file, and print its errors."""

    input: tyro.conf.Positional[Path]
    """A netCDF or NPY file, a Zarr folder, or a folder of these."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Where the .field files go, named after file, variable, time and level."""
    model: EarthModelName = "earth-climate"
    half: bool = False
    """Store tokens as 16-bit numbers: half the file."""
    overwrite: bool = False
    """Replace what lies in the output folder already."""

    def run(self) -> int:
        """Encode, save, measure what was saved."""
        import torch

        from tokenfield.earth.globe import encode_field, score
        from tokenfield.fields.field import Field

        take(self.output)
        model = load_earth_model(self.model, self.device)
        source = open_fields(model, self.input, variables=self.variables, units=self.units)
        dtype, items = torch.float16 if self.half else torch.float32, []
        taken: set[str] = set()
        with console.progress("encoding", len(source)) as bar:
            for i, sample in enumerate(source.fields()):
                snapshot = sample.snapshot
                bar.file(i, snapshot.name)
                stem = short(re.sub(r"[^\w.=-]", "_", snapshot.name))
                target = untaken(self.output / f"{stem}.field", taken)
                check_free([target], overwrite=self.overwrite)
                encode_field(model, sample).save(target, dtype=dtype)
                field = Field.load(target, model)
                scores, values = score(field, snapshot), field.values_stored + model.own_standards
                cells = int(snapshot.valid.sum())
                items.append({"field": str(target), "name": snapshot.name, "units": snapshot.units,
                              "rmse": scores.rmse, "psnr": scores.psnr, "values_stored": values, "cells": cells,
                              "bytes": target.stat().st_size})
                errors = ", ".join(f"RMSE {error:.3g} {unit}".rstrip()
                                   for error, unit in zip(scores.rmse, snapshot.units, strict=True))
                console.say(f"{snapshot.name} -> {target}: {values} values for {cells} cells, {errors}, "
                            f"{sum(scores.psnr) / len(scores.psnr):.2f} dB")
        return self.finish(source, len(items), "climate encode", {"items": items})


@dataclass(kw_only=True)
class Year:
    """Encode all time steps of a file as one field of latitude, longitude and time."""

    input: tyro.conf.Positional[Path]
    """A netCDF file or a Zarr folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FIELD")]
    """The .field file."""
    model: EarthModelName = "earth-climate"
    variable: str = ""
    """Which variable; default: the only one."""
    select: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DIM=PLACE")] = ()
    """Position along other dimensions, such as depth=0."""
    overwrite: bool = False
    """Replace the output."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Encode and save."""
        from tokenfield.earth.accessor import Accessor
        from tokenfield.earth.files import open_dataset

        check_free([self.output], overwrite=self.overwrite)
        data = open_dataset(self.input)
        data = data[[self.variable]] if self.variable in data.data_vars else data
        if self.variable and self.variable not in data.data_vars:
            there = ", ".join(map(str, data.data_vars))
            raise UserError(f"{self.input} has no {self.variable}; its variables are {there}")
        for word in self.select:
            dim, _, place = word.partition("=")
            if dim not in data.dims or not place.isdigit() or int(place) >= data.sizes[dim]:
                raise UserError(f"--select {word}; give DIM=PLACE of {dict(data.sizes)}")
            data = data.isel({dim: int(place)})
        encoded = Accessor(data).encode(load_earth_model(self.model, self.device))
        encoded.save(self.output)
        stored, steps = encoded.field.values_stored, len(encoded.steps)
        console.say(f"{encoded.field.domain} -> {self.output}: {stored} values")
        console.write_json(self.json, "climate year", {"field": str(self.output), "steps": steps,
                                                       "values_stored": stored})
        return console.OK


@dataclass(kw_only=True)
class Evaluate(OnData):
    """Measure a model on fields: area-weighted RMSE in their units, PSNR, values stored."""

    model: tyro.conf.Positional[EarthModelName]
    data: Path
    """A file, or a folder of netCDF, Zarr or NPY files."""
    split: Literal["auto", "test", "all"] = "auto"
    """test: what the run held out, by its own recipe; all: every field; auto: test of the files that its recipe names,
    all of any other."""
    files: Names = ()
    """Only files like these, such as levitus*; default: those of the recipe, or all."""
    count: Int = None
    """At most so many fields, spread evenly."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="PNG")] = None
    """Write maps of the median field there: truth, field, difference."""
    table: Table = None

    def open(self) -> "tuple[EarthModel, GriddedSource, Record]":
        """The model, the fields, and what to say of both."""
        check_at_least(1, count=self.count)
        model = load_earth_model(self.model, self.device)
        recipe = recipe_of(self.model)
        own = recipe is not None and (bool(self.files) or names_any(recipe.files, self.data))
        split = {"auto": "test" if own else "all"}.get(self.split, self.split)
        files = self.files or (recipe.files if recipe and own else ())
        source = open_fields(model, self.data, variables=self.variables, units=self.units, files=files,
                             split=split, run=self.model)
        total, config = len(source), source.config
        count = min(self.count or total, total)
        source.layers = [source.layers[i * total // count] for i in range(count)]
        settings = {"data": self.data.resolve().name, "split": split, "files": config.files,
                    "holdout": config.holdout, "every": config.every, "shares": config.shares}
        return model, source, settings

    def run(self) -> int:
        """Measure, print a row per variable."""
        from tokenfield.earth.globe import encode_field
        from tokenfield.earth.maps import draw_maps
        from tokenfield.earth.scores import evaluate_fields

        model, source, settings = self.open()
        with console.progress("evaluating", len(source)) as bar:
            report = evaluate_fields(model, source.fields(), settings=settings, before=bar.file)
        show(report, self.table)
        scores = report["scores"]
        code = self.finish(source, len(scores), "climate evaluate", report)
        if self.figure is not None:  # of the median PSNR: neither the best nor the worst
            median = sorted(scores, key=lambda score: score["psnr"])[len(scores) // 2]["field"]
            sample = next(sample for sample in source.fields() if sample.snapshot.name == median)
            draw_maps(encode_field(model, sample), sample.snapshot, self.figure)
            console.notice(f"maps of {median}: {self.figure}")
        return code


def show(report: Record, table: Path | None) -> None:
    """The table that a person reads of what `evaluate_fields` gave."""
    console.show_table([
        ["series", "fields", "RMSE", "deviation", "unit", "PSNR dB", "values", "bytes"],
        *([row["series"], str(row["fields"]), console.number(row["rmse"], 3), console.number(row["deviation"], 3),
           row["unit"] or "-", console.number(row["psnr"]), f"{row['values_stored']:.0f}",
           f"{4 * row['values_stored']:.0f}"] for row in report["series"]),
    ], table)
    console.say(f"{report['psnr']:.2f} dB on {report['fields']} fields, {report['values_stored']:.0f} values each")
    console.say("RMSE and deviation: weighted by area, over cells with a value, per field, then the mean.")


def load_earth_model(name: str, device: str) -> "EarthModel":
    """A model of fields on the sphere. Raises UserError for another kind."""
    from tokenfield.earth.models import earth_model

    return earth_model(load_model(name, device))


def recipe_of(run: str) -> "GriddedConfig | None":
    """The data of a training run's recipe, or of a packaged model's; None where there is none, or of another kind."""
    from tokenfield.earth.data import GriddedConfig
    from tokenfield.models import pretrained
    from tokenfield.training.recipe import read

    path = (pretrained.packaged(run) or Path(run)) / "recipe.json"
    data = read(path).data if path.exists() else None
    return data if isinstance(data, GriddedConfig) else None


def names_any(patterns: tuple[str, ...], data: Path) -> bool:
    """Whether the patterns name a file of the data; none name every file."""
    from tokenfield.earth.data import find_earth_files

    return any(fnmatch(path.name, pattern) for path in find_earth_files(data) for pattern in patterns or "*")


def open_fields(model: "EarthModel", data: Path, *, variables: tuple[str, ...], units: tuple[str, ...],
                split: str = "all", files: tuple[str, ...] = (), run: str = "") -> "GriddedSource":
    """Fields for a model's grid: variables and units by the options, else by the run's recipe or the model."""
    from tokenfield.earth.data import GriddedConfig

    recipe = recipe_of(run) if run else None
    config = recipe or GriddedConfig(size=model.input_size)
    if split == "test" and recipe is None:
        raise UserError(f"{run} is no training run, so nothing says what it held out; give --split all")
    ours = [variable for variable in model.config.variables if variable.name]
    names = variables or config.variables or tuple(variable.name for variable in ours)
    new_units = units or config.units or tuple(variable.units for variable in ours)
    if units and len(units) != len(names):
        raise UserError(f"--units {' '.join(units)} for variables {' '.join(names) or '(all)'}; give one each")
    config = replace(config, files=files, variables=names,
                     channels="together" if len(model.config.variables) > 1 else "apart",
                     units=new_units if len(new_units) == len(names) else ())
    if split == "all":
        config = replace(config, holdout="last", shares=(1.0, 0.0, 0.0))
    return config.open(data, "test" if split == "test" else "train")
