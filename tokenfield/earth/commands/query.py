"""`tokenfield climate query`: a field's values at any latitudes and longitudes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Json
from tokenfield.cli.options import Device
from tokenfield.earth.commands.options import OptionalModel, check_places, open_globe
from tokenfield.errors import UserError

Pairs = Annotated[tuple[tuple[float, float], ...], tyro.conf.arg(metavar="LATITUDE LONGITUDE")]


@dataclass
class Query:
    """A field's values at any latitudes and longitudes, as a table in its own units."""

    field: tyro.conf.Positional[Path]
    """A .field file that `climate encode` wrote."""
    at: Pairs = ()
    """Places in degrees north and east: --at 48.1 11.6 -33.9 18.4."""
    places: File = None
    """A text file of such places, one per line, separated by a comma or blanks."""
    model: OptionalModel = None
    """Where its model is, if not where the file says."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Print one row per place."""
        import torch

        places = [*self.at, *(read_places(self.places) if self.places else [])]
        check_places(places)
        field, domain = open_globe(self.field, self.model, self.device)
        where = torch.tensor(places, dtype=torch.float64)
        values, valid = domain.at(field, where).tolist(), domain.had_value(where).tolist()
        names = [f"{v}, {u}" if u else v for v, u in zip(domain.variables, domain.units, strict=True)]
        rows = [["latitude", "longitude", *names]]
        for place, row, there in zip(places, values, valid, strict=True):
            cells = [f"{value:.4g}" + ("" if known else " *") for value, known in zip(row, there, strict=True)]
            rows.append([f"{place[0]:g}", f"{place[1]:g}", *cells])
        console.say(console.table(rows))
        if not all(map(all, valid)):
            console.say("* the cell of this place has no value: what stands there is a guess from its neighbours")
        items = [{"latitude": place[0], "longitude": place[1], "values": row, "had_value": there}
                 for place, row, there in zip(places, values, valid, strict=True)]
        console.write_json(self.json, {"command": "climate query", "field": str(self.field), "name": domain.name,
                                       "variables": domain.variables, "units": domain.units, "places": items})
        return console.OK


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
