"""What the sub-commands of `climate` share: the options' types, and how models, data and fields are opened."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli.options import load_model
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.earth.data import GriddedSource
    from tokenfield.earth.globe import Globe
    from tokenfield.earth.models import EarthModel
    from tokenfield.fields.field import Field

Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")]
OptionalModel = Annotated[str | None, tyro.conf.arg(metavar="MODEL")]


def load_earth_model(name: str, device: str) -> "EarthModel":
    """A model of fields on the sphere. Raises UserError for another kind."""
    from tokenfield.earth.models import earth_model

    return earth_model(load_model(name, device))


def open_fields(
    model: "EarthModel", data: Path, *, variables: tuple[str, ...], units: tuple[str, ...], split: str,
    files: tuple[str, ...] = (), run: str = ""
) -> "GriddedSource":
    """Fields for a model's grid: variables, units and files by the options, else by the run's recipe or the model."""
    from tokenfield.earth.data import GriddedConfig
    from tokenfield.training.recipe import read

    recipe = Path(run) / "recipe.json"
    data_config = read(recipe).data if run and recipe.exists() else None
    config = data_config if isinstance(data_config, GriddedConfig) else GriddedConfig(size=model.input_size)
    if split == "test" and not recipe.exists():
        raise UserError(f"{run} is no training run, so nothing says what it held out; give --split all")
    ours = [variable for variable in model.config.variables if variable.name]
    names = variables or config.variables or tuple(variable.name for variable in ours)
    new_units = units or config.units or tuple(variable.units for variable in ours)
    if units and len(units) != len(names):
        raise UserError(f"--units {' '.join(units)} for variables {' '.join(names) or '(all)'}; give one each")
    config = replace(config, files=files or config.files, variables=names,
                     channels="together" if len(model.config.variables) > 1 else "apart",
                     units=new_units if len(new_units) == len(names) else ())
    if split == "all":
        config = replace(config, holdout="last", shares=(1.0, 0.0, 0.0))
    return config.open(data, "test" if split == "test" else "train")


def open_globe(path: Path, model: str | None, device: str) -> "tuple[Field, Globe]":
    """A field on the sphere and its domain. Raises UserError for another kind of field."""
    from tokenfield.cli.decode import open_field
    from tokenfield.earth.globe import globe_of

    field = open_field(path, None if model is None else load_earth_model(model, device), {}, device)
    return field, globe_of(field)


def check_places(places: list[tuple[float, float]]) -> None:
    """Raises UserError for none, or for one that is nowhere on Earth."""
    if not places:
        raise UserError("no place; give --at LATITUDE LONGITUDE, or --places FILE")
    for latitude, longitude in places:
        if not (-90 <= latitude <= 90 and -360 <= longitude <= 720):
            raise UserError(f"latitude {latitude:g}, longitude {longitude:g}; give degrees north in [-90, 90], then "
                            "degrees east")
