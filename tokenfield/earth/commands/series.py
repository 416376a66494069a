"""Sub-commands of `climate` for whole files: a year as one field, and fields on other grids as netCDF or Zarr."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.cli.options import Device
from tokenfield.earth.commands.files import load_earth_model
from tokenfield.errors import UserError
from tokenfield.io.atomic import folder_aside, written_aside
from tokenfield.io.outputs import check_free

if TYPE_CHECKING:
    from xarray import Dataset

    from tokenfield.fields.field import Field

ZARR = ".zarr"


@dataclass(kw_only=True)
class Year:
    """Encode all time steps of a file as one field of latitude, longitude and time."""

    input: tyro.conf.Positional[Path]
    """A netCDF file or a Zarr folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FIELD")]
    """The .field file."""
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")] = "earth-climate"
    """One of the gridded models."""
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
class Decode:
    """A field on any grid, as means over its cells, or at stations: netCDF or Zarr with CF attributes."""

    field: tyro.conf.Positional[Path]
    """A .field file that `climate encode` or `climate year` wrote."""
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
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where its model is, if not where the file says."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Decode and write."""
        from tokenfield.earth.accessor import EarthField
        from tokenfield.earth.files import open_dataset

        if self.output.suffix.lower() not in (".nc", ZARR):
            raise UserError(f"--output {self.output}; give a name that ends in .nc or {ZARR}")
        check_free([self.output], overwrite=self.overwrite and self.output.suffix.lower() != ZARR)
        like = None if self.like is None else open_dataset(self.like)
        out = EarthField(self._open(), {}).decode(like, moments_of(self.when), guesses=self.guesses)
        write_dataset(out, self.output)
        sizes = " x ".join(f"{n} {name}" for name, n in out.sizes.items())
        console.say(f"{', '.join(map(str, out.data_vars))} on {sizes} -> {self.output}")
        console.write_json(self.json, "climate decode", {"field": str(self.field), "file": str(self.output),
                                                         "sizes": {str(name): n for name, n in out.sizes.items()}})
        return console.OK

    def _open(self) -> "Field":
        from tokenfield.cli.decode import open_field

        model = None if self.model is None else load_earth_model(self.model, self.device)
        return open_field(self.field, model, {}, self.device)


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
        with folder_aside(path) as aside:
            out.to_zarr(aside, mode="w")
        return
    with written_aside(path) as file:
        file.write(bytes(out.to_netcdf(engine="h5netcdf")))
