"""`tokenfield climate map`: a field drawn as maps of the Earth."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.options import Device
from tokenfield.earth.commands.options import OptionalModel, check_places, open_fields, open_globe
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.earth.files import Snapshot
    from tokenfield.fields.field import Field


@dataclass
class Map:
    """Draw a field as a map of the Earth, and beside it its data and the difference."""

    field: tyro.conf.Positional[Path]
    """A .field file that `climate encode` wrote."""
    output: Out = None
    """The PNG file; default: beside the field."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The file of its data: adds truth and difference."""
    projection: Literal["mollweide", "orthographic", "both"] = "both"
    """mollweide: the whole Earth, equal areas; orthographic: half of it, as seen from above --centre."""
    centre: Annotated[tuple[float, float], tyro.conf.arg(metavar="LATITUDE LONGITUDE")] = (20.0, 200.0)
    """The middle of the maps."""
    height: int = 300
    """Rows of pixels of every map."""
    model: OptionalModel = None
    """Where its model is, if not where the file says."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Draw and save."""
        from tokenfield.earth.models import earth_model

        check_places([self.centre])
        if self.height < 10:
            raise UserError(f"--height {self.height}: a map has at least 10 rows")
        field, domain = open_globe(self.field, self.model, self.device)
        snapshot = None
        if self.data is not None:
            source = open_fields(earth_model(field.model), self.data, variables=domain.variables, units=domain.units,
                                 split="all")
            snapshots = (sample.snapshot for sample in source.fields())
            snapshot = next((snapshot for snapshot in snapshots if snapshot.name == domain.name), None)
            if snapshot is None:
                raise UserError(f"{self.data} holds no {domain.name}; give the file of the field's data")
        target = self.output or self.field.with_suffix(".png")
        draw_maps(field, snapshot, target, self.projection, self.centre, self.height)
        console.say(f"{domain.name} -> {target}")
        console.write_json(self.json, {"command": "climate map", "field": str(self.field), "file": str(target)})
        return console.OK


def draw_maps(
    field: "Field", snapshot: "Snapshot | None", path: Path, projection: str, centre: tuple[float, float], height: int
) -> None:
    """A row of maps per projection."""
    from tokenfield.earth.maps import maps_of, mollweide, orthographic, sheet

    projections = {
        "mollweide": lambda: mollweide(height, centre[1]),
        "orthographic": lambda: orthographic(height, centre),
    }
    chosen = projections if projection == "both" else {projection: projections[projection]}
    sheet([maps_of(field, snapshot, at) for at in chosen.values()], path)
