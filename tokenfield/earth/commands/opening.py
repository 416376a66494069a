"""What the sub-commands of `climate` share: the options' types, and how models, data and fields are opened."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from tokenfield.cli.models import load_model
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.earth.data import GriddedSource
    from tokenfield.fields.field import Field

Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")]
OptionalModel = Annotated[str | None, tyro.conf.arg(metavar="MODEL")]


def load_gridded(name: str, device: str) -> Any:
    """A model of fields on the sphere. Raises UserError for another kind."""
    from tokenfield.earth.models import EarthModel

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
    from tokenfield.earth.data import GriddedConfig
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


def open_globe(path: Path, model: str | None, device: str) -> "tuple[Field, Any]":
    """A field on the sphere and its domain. Raises UserError for another kind of field."""
    from tokenfield.cli.decode import open_field
    from tokenfield.earth.globe import Globe

    made = open_field(path, None if model is None else load_gridded(model, device), {}, device)
    if not isinstance(made.domain, Globe):
        raise UserError(f"{path} is a field of a {made.domain.kind}, not of the Earth; climate encode makes such files")
    return made, made.domain


def check_places(places: list[tuple[float, float]]) -> None:
    """Raises UserError for none, or for one that is nowhere on Earth."""
    if not places:
        raise UserError("no place to ask at; give --at LATITUDE LONGITUDE, or --places FILE")
    for latitude, longitude in places:
        if not (-90 <= latitude <= 90 and -360 <= longitude <= 720):
            raise UserError(f"latitude {latitude:g}, longitude {longitude:g}; give degrees north in [-90, 90], then "
                            "degrees east")
