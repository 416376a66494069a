"""`tokenfield climate evaluate`: a model measured on fields, in their own units, beside simpler codes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.cli.options import Device
from tokenfield.earth.commands.map import draw_maps
from tokenfield.earth.commands.options import Names, load_earth_model, open_fields
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.earth.data import GriddedSource
    from tokenfield.earth.models import EarthModel
    from tokenfield.earth.scores import EarthReport


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
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Measure, print a row per variable."""
        from tokenfield.earth.scores import evaluate_fields

        if self.count is not None and self.count < 1:
            raise UserError(f"--count {self.count}: give at least 1")
        model = load_earth_model(self.model, self.device)
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


def spread(source: "GriddedSource", count: int | None) -> None:
    """Keep at most `count` layers of a source, evenly from first to last."""
    total = len(source)
    if count is not None and count < total:
        source.layers = [source.layers[i * total // count] for i in range(count)]


def draw_median(model: "EarthModel", source: "GriddedSource", report: "EarthReport", path: Path) -> None:
    """Maps of the field whose PSNR is the median: neither the best nor the worst."""
    from tokenfield.earth.globe import encode_field

    ranked = sorted(report.scores, key=lambda score: score.psnr)
    name = ranked[len(ranked) // 2].field
    sample = next(sample for sample in source.fields() if sample.snapshot.name == name)
    draw_maps(encode_field(model, sample), sample.snapshot, path, "both", (20.0, 200.0), 300)
    console.notice(f"maps of {name}: {path}")


def show(report: "EarthReport", against: tuple[str, ...]) -> None:
    """The table that a person reads of an `EarthReport`."""
    rows = [["series", "fields", "RMSE", *against, "deviation", "unit", "PSNR dB",
             *(f"{name} dB" for name in against), "values"]]
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
