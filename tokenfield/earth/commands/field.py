"""Sub-commands of `climate` that read a `.field` file: its values at any place, maps of it, and any grid."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Json, Out, Table
from tokenfield.cli.options import Device, check_at_least
from tokenfield.earth.commands.files import load_earth_model, open_fields
from tokenfield.earth.plugin import ZARR
from tokenfield.errors import UserError
from tokenfield.io.atomic import folder_aside, written_aside
from tokenfield.io.outputs import check_free, plan_file

if TYPE_CHECKING:
    from torch import Tensor
    from xarray import Dataset

    from tokenfield.earth.globe import Globe
    from tokenfield.fields.field import Field

Place = Annotated[tuple[float, float], tyro.conf.arg(metavar="LATITUDE LONGITUDE")]
Places = Annotated[tuple[tuple[float, float], ...], tyro.conf.arg(metavar="LATITUDE LONGITUDE")]


@dataclass(kw_only=True)
class OfField:
    """Options of sub-commands that read a field."""

    field: tyro.conf.Positional[Path]
    """A .field file that `climate encode` or `climate year` wrote."""
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where its model is, if not where the file says."""
    device: Device = "auto"
    json: Json = None

    def open(self) -> "tuple[Field, Globe]":
        """The field and its domain. Raises UserError for a field of anything but the Earth."""
        from tokenfield.earth.globe import globe_of

        field = self.field_itself()
        return field, globe_of(field)

    def field_itself(self) -> "Field":
        """The field, of one moment or of several."""
        from tokenfield.cli.decode import open_field

        model = None if self.model is None else load_earth_model(self.model, self.device)
        return open_field(self.field, model, {}, self.device)


@dataclass(kw_only=True)
class Query(OfField):
    """A field's values at any latitudes and longitudes, as a table in its own units."""

    at: Places = ()
    """Places in degrees north and east: --at 48.1 11.6 -33.9 18.4."""
    places: File = None
    """A text file of such places, one per line, separated by a comma or blanks."""
    when: str = ""
    """Of a year: the moment, also between its steps, as a date or a number in the unit of its axis."""
    table: Table = None

    def run(self) -> int:
        """Print one row per place."""
        import torch

        places = [*self.at, *(read_places(self.places) if self.places else [])]
        if not places:
            raise UserError("no place; give --at LATITUDE LONGITUDE, or --places FILE")
        for place in places:
            check_place(*place)
        where = torch.tensor(places, dtype=torch.float64)
        domain, values, valid = self._answers(where)
        names = [f"{v}, {u}" if u else v for v, u in zip(domain.variables, domain.units, strict=True)]
        rows, items = [["latitude", "longitude", *names]], []
        for (latitude, longitude), row, there in zip(places, values, valid, strict=True):
            cells = [f"{value:.4g}" + ("" if known else " *") for value, known in zip(row, there, strict=True)]
            rows.append([f"{latitude:g}", f"{longitude:g}", *cells])
            items.append({"latitude": latitude, "longitude": longitude, "values": row, "had_value": there})
        console.show_table(rows, self.table)
        if not all(map(all, valid)):
            console.say("* the cell of this place has no value: what stands there is a guess from its neighbours")
        console.write_json(self.json, "climate query", {
            "field": str(self.field), "name": domain.name, "variables": domain.variables, "units": domain.units,
            "places": items})
        return console.OK

    def _answers(self, where: "Tensor") -> "tuple[Globe, list[list[float]], list[list[bool]]]":
        """The domain, values, and whether there is one in each place's cell."""
        from tokenfield.earth.accessor import EarthField
        from tokenfield.earth.globe import globe_of
        from tokenfield.earth.series import GlobeSeries

        field = self.field_itself()
        domain = field.domain
        if not isinstance(domain, GlobeSeries):
            if self.when:
                raise UserError("--when is for a year; this is a field of one moment")
            globe = globe_of(field)
            return globe, globe.at(field, where).tolist(), globe.had_value(where).tolist()
        if not self.when:
            raise UserError(f"a field of {len(domain.steps)} moments; give one with --when")
        (moment,) = EarthField(field, {}).moments(moments_of((self.when,)))
        when = where.new_full((len(where),), float(moment or 0))  # never None of a series
        return domain.steps[0], domain.at(field, where, when).tolist(), domain.had_value(where, when).tolist()


@dataclass(kw_only=True)
class Map(OfField):
    """Draw a field as a map of the Earth, and beside it its data and the difference."""

    output: Out = None
    """The PNG file; default: beside the field."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The file of its data: adds truth and difference."""
    projection: Literal["mollweide", "orthographic", "both"] = "both"
    """mollweide: the whole Earth, equal areas; orthographic: half of it, as seen from above --centre."""
    centre: Place = (20.0, 200.0)
    """The middle of the maps."""
    height: int = 300
    """Rows of pixels of every map."""

    def run(self) -> int:
        """Draw and save."""
        from tokenfield.earth.maps import draw_maps
        from tokenfield.earth.models import earth_model

        check_place(*self.centre)
        check_at_least(10, height=self.height)
        field, domain = self.open()
        snapshot = None
        if self.data is not None:
            source = open_fields(earth_model(field.model), self.data, variables=domain.variables, units=domain.units)
            snapshots = (sample.snapshot for sample in source.fields())
            snapshot = next((snapshot for snapshot in snapshots if snapshot.name == domain.name), None)
            if snapshot is None:
                raise UserError(f"{self.data} holds no {domain.name}; give the file of the field's data")
        target = plan_file(self.field, self.output, [".png"])
        draw_maps(field, snapshot, target, self.projection, self.centre, self.height)
        console.say(f"{domain.name} -> {target}")
        console.write_json(self.json, "climate map", {"field": str(self.field), "file": str(target)})
        return console.OK


@dataclass(kw_only=True)
class Decode(OfField):
    """A field on any grid, as means over its cells, or at stations: netCDF or Zarr with CF attributes."""

    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FILE")]
    """A .nc file or a .zarr folder."""
    like: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A file with the latitudes and longitudes to decode on; default: those of the data."""
    when: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATE")] = ()
    """Moments of a year, also between its steps: dates, or numbers in the unit of its axis."""
    guesses: bool = False
    """Also give values where the data had none."""
    overwrite: bool = False
    """Replace the output, if it is a .nc file."""

    def run(self) -> int:
        """Decode and write."""
        from tokenfield.earth.accessor import EarthField
        from tokenfield.earth.files import open_dataset

        if self.output.suffix.lower() not in (".nc", ZARR):
            raise UserError(f"--output {self.output}; give a name that ends in .nc or {ZARR}")
        if self.output.suffix.lower() == ZARR and self.output.exists():
            raise UserError(f"{self.output} exists already, and a folder of others is not replaced; give another name")
        check_free([self.output], overwrite=self.overwrite)
        like = None if self.like is None else open_dataset(self.like)
        out = EarthField(self.field_itself(), {}).decode(like, moments_of(self.when), guesses=self.guesses)
        write_dataset(out, self.output)
        sizes = " x ".join(f"{n} {name}" for name, n in out.sizes.items())
        console.say(f"{', '.join(map(str, out.data_vars))} on {sizes} -> {self.output}")
        console.write_json(self.json, "climate decode", {"field": str(self.field), "file": str(self.output),
                                                         "sizes": {str(name): n for name, n in out.sizes.items()}})
        return console.OK


def read_places(path: Path) -> list[tuple[float, float]]:
    """(latitude, longitude) per line. Raises UserError naming the first line that is something else."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from error
    places = []
    for number, line in enumerate(lines, 1):
        if words := line.replace(",", " ").split():
            try:
                latitude, longitude = map(float, words)
            except ValueError as error:
                raise UserError(f"{path}, line {number}: {line.strip()!r}; give latitude and longitude") from error
            places.append((latitude, longitude))
    return places


def check_place(latitude: float, longitude: float) -> None:
    """Raises UserError for a place that is nowhere on Earth."""
    if not (-90 <= latitude <= 90 and -360 <= longitude <= 720):
        raise UserError(f"latitude {latitude:g}, longitude {longitude:g}; give degrees north in [-90, 90], then "
                        "degrees east")


def moments_of(words: tuple[str, ...]) -> list[object] | None:
    """Numbers where all are numbers, else dates; None for none. Raises UserError for what is neither."""
    import numpy as np

    if not words:
        return None
    try:
        return [float(word) for word in words]
    except ValueError:
        try:
            return list(np.array(words, "datetime64[ns]"))
        except ValueError as error:
            raise UserError(f"--when {' '.join(words)}; give dates such as 2001-02-14, or numbers") from error


def write_dataset(out: "Dataset", path: Path) -> None:
    """Whole or not at all."""
    if path.suffix.lower() == ZARR:
        with folder_aside(path) as aside, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of consolidated metadata, which xarray looks for and Zarr 3 lacks
            out.to_zarr(aside, mode="w")
        return
    with written_aside(path) as file:
        file.write(bytes(out.to_netcdf(engine="h5netcdf")))
