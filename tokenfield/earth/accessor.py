"""xarray in and out: `ds.tokenfield.encode(model)`, `.decode(like=grid)`.

    import tokenfield.earth.accessor                                # registers `.tokenfield` on Dataset and DataArray

    year = ds[["sst"]].tokenfield.encode("earth-climate")           # latitudes, longitudes and perhaps time: one field
    fine = year.decode(like=grid)                                   # means over the cells of any grid, CF attributes
    fine.to_netcdf("fine.nc"); fine.to_zarr("fine.zarr")
    at = year.decode(like=stations, when=["2001-02-14"])            # values at places, between the months
    buoys.tokenfield.encode("earth-climate").decode(like=grid, deviation=True)   # from irregular places, with errors
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor
from xarray.coding.times import decode_cf_datetime, encode_cf_datetime
from xarray.conventions import encode_cf_variable

from tokenfield.data.pictures import SkippedFiles
from tokenfield.earth.conventions import HOW_TO_SAY, is_time, is_value, role_of, unit_of
from tokenfield.earth.data import GriddedConfig, GriddedSource
from tokenfield.earth.files import EarthFile
from tokenfield.earth.globe import Globe, axis_numbers, check_variables, encode_field, globe_of, pack
from tokenfield.earth.harmonic_field import GriddedHarmonic
from tokenfield.earth.models import EarthModel, earth_model
from tokenfield.earth.series import GlobeSeries, encode_series
from tokenfield.earth.sphere import Averaging, LatLon, cell_means
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.io.atomic import shown
from tokenfield.models import pretrained
from tokenfield.nn.defaults import usual_defaults

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

DEFAULT = "earth-climate"
IN_MEMORY = Path("dataset")
"""What data that came from no file are called in messages."""
ATTRIBUTES = ("standard_name", "long_name")
"""Attributes of a variable that go along."""
HALF = 0.5
"""Share of a cell that must have data for a value to stand there."""


@dataclass(frozen=True)
class Observations:
    """Where a field's values were measured, where that was no grid."""

    places: Float[Tensor, "o 2"]
    calibration: Float[Tensor, " c"]
    """Of the variables' deviations."""


@dataclass(frozen=True)
class EarthField:
    """A field of the Earth, of one moment or of several, for people who have xarray."""

    field: Field
    attributes: dict[str, dict[str, Any]]
    """Of the variables, by their names."""
    observations: Observations | None = None

    @property
    def steps(self) -> tuple[Globe, ...]:
        """The moments."""
        domain = self.field.domain
        return domain.steps if isinstance(domain, GlobeSeries) else (globe_of(self.field),)

    def save(self, path: str | Path) -> None:
        """Write a `.field` file."""
        self.field.save(path)

    @usual_defaults()
    def decode(self, like: "Dataset | DataArray | None" = None, when: Sequence[object] | None = None, *,
               guesses: bool = False, deviation: bool = False) -> "Dataset":
        """Values on the cells or at the places of `like`, as a Dataset with CF attributes.

        Args:
            like: latitudes and longitudes, as axes: the means over their cells; along one common axis: the values
                there. None, or the data's own grid: the data's cells, as they were encoded.
            when: moments, as dates or as numbers in the series' own unit; None: those of the data.
            guesses: also give values where the data had none; otherwise they are NaN.
            deviation: also the standard deviation of each value, for a field of scattered observations.
        """
        grid, places, others = target_of(like, self.steps[0].grid)
        moments = self.moments(when)
        values, valid, spread = [], [], []
        for moment in moments:
            values.append(self._values(moment, grid, places))
            valid.append(self._valid(moment, grid, places))
            if deviation:
                spread.append(self._deviation(grid, places))
        shape = grid.shape if grid is not None else (len(places),)
        stack = [torch.stack(parts).unflatten(-1, shape) for parts in (values, valid, spread) if parts]
        stack[0] = stack[0].masked_fill(stack[1] < (0 if guesses else HALF), torch.nan)
        own = grid is not None and grid.same(self.steps[0].grid)
        return self._dataset(stack[0], stack[2] if deviation else None, moments, others, regridded=not own)

    def moments(self, when: Sequence[object] | None) -> list[float | None]:
        """Numbers in the series' own unit: [None] for a field of one moment, its steps for None."""
        domain = self.field.domain
        if not isinstance(domain, GlobeSeries):
            if when is not None:
                raise UserError("a field of one moment; encode several steps to ask between them")
            return [None]
        if when is None:
            return list(domain.times)
        if all(isinstance(one, int | float) for one in when):
            return [float(one) for one in when]  # type: ignore[arg-type]
        dates = np.array(when, "datetime64[ns]")
        numbers, _, _ = encode_cf_datetime(dates, domain.time_units, domain.calendar, np.dtype("f8"))
        return [float(number) for number in numbers]

    def _values(self, moment: float | None, grid: LatLon | None, places: Tensor) -> Float[Tensor, "c q"]:
        def at(where: Tensor) -> Tensor:
            if isinstance(self.field.domain, GlobeSeries) and moment is not None:
                return self.field.domain.at(self.field, where, torch.full((len(where),), moment, dtype=torch.float64))
            return globe_of(self.field).at(self.field, where)

        if grid is None:
            return at(places).T.cpu()
        own = self.steps[0].grid
        if grid.same(own):
            return at(grid.places()).T.cpu()
        finest = (own.latitudes.diff().abs().min().item(), own.longitudes.diff().min().item())
        return cell_means(at, grid, finest).flatten(1)

    def _valid(self, moment: float | None, grid: LatLon | None, places: Tensor) -> Float[Tensor, "c q"]:
        """The share of each cell in which the data had values, or 0 and 1 for places."""
        if self.observations is not None:
            return torch.ones(len(self.steps[0].variables), 1).expand(-1, len(places) if grid is None else len(grid))
        step = self.steps[0]
        if isinstance(self.field.domain, GlobeSeries):
            steps, weights = self.field.domain.weights(torch.tensor([moment], dtype=torch.float64))
            step = self.steps[int(steps[0, weights[0].argmax()])]
        if grid is None:
            return step.had_value(places).T.float()
        valid = step.had_value(step.grid.places()).T.unflatten(1, step.size).float()
        _, share = Averaging(step.grid, grid)(valid, valid)
        return share.flatten(1)

    def _deviation(self, grid: LatLon | None, places: Tensor) -> Float[Tensor, "c q"]:
        model = self.field.model
        if self.observations is None or not isinstance(model, GriddedHarmonic):
            raise UserError("deviations are known of fields of scattered observations with harmonic tokens alone")
        where = (places if grid is None else grid.places()).float()
        spread = model.deviation(where, self.observations.places).cpu()
        factors = zip(self.observations.calibration.tolist(), self.steps[0].scale, strict=True)
        return torch.stack([spread * factor / abs(scale) for factor, scale in factors])

    def _dataset(self, values: Tensor, spread: Tensor | None, moments: list[float | None],
                 others: "dict[str, DataArray]", *, regridded: bool) -> "Dataset":
        """With the axes of the target; values and deviations are (T, C, ...)."""
        axes = tuple(dict.fromkeys(d for axis in others.values() for d in axis.dims))
        domain, time = self.field.domain, {}
        if isinstance(domain, GlobeSeries):
            numbers = np.array(moments, float)
            attributes = {"standard_name": "time", "axis": "T"}
            dates: Any = numbers
            if " since " in domain.time_units:
                try:
                    dates = decode_cf_datetime(numbers, domain.time_units, domain.calendar)
                except (ValueError, OverflowError):  # a year 0
                    attributes |= {"units": domain.time_units, "calendar": domain.calendar}
            time = {"time": ("time", dates, attributes)}
        else:
            values, spread = values[0], None if spread is None else spread[0]
        channel, lead, data = (1, ("time",), {}) if time else (0, (), {})
        for i, (name, unit) in enumerate(zip(self.steps[0].variables, self.steps[0].units, strict=True)):
            attributes = {"units": unit or "1", **self.attributes.get(name, {})}
            if regridded and len(axes) > 1:
                attributes["cell_methods"] = "area: mean"
            data[name] = ((*lead, *axes), values.select(channel, i).numpy(), attributes)
            if spread is not None:
                data[name][2]["ancillary_variables"] = f"{name}_deviation"
                data[f"{name}_deviation"] = ((*lead, *axes), spread.select(channel, i).numpy(),
                                             {"units": unit or "1", "long_name": f"standard deviation of {name}"})
        model = self.field.model.origin or self.field.model.name
        about = {"Conventions": "CF-1.8", "source": f"tokenfield, model {shown(model)}",
                 "comment": f"decoded from {self.field.values_stored} stored values"}
        return xarray.Dataset(data, {**time, **others}, about)


class Accessor:
    """`.tokenfield` of a Dataset or DataArray."""

    def __init__(self, data: "Dataset | DataArray"):
        self.data = data.to_dataset(name=data.name or "value") if isinstance(data, xarray.DataArray) else data

    @usual_defaults()
    def encode(self, model: object = DEFAULT, *, period: float | str = "auto") -> EarthField:
        """One field of all variables on latitudes and longitudes, with time as a third axis where there is one.

        Args:
            model: a model of fields of the Earth, or its name.
            period: after which a series of steps closes, in the unit of its axis; 0: it does not; auto: as the axis'
                attribute `modulo` says, of climatologies.

        Latitudes and longitudes may also lie along one common axis, that of stations or buoys: then the model must fit
        scattered observations, as harmonic tokens do.
        """
        own = earth_model(pretrained.load(model) if isinstance(model, str | os.PathLike) else model)
        dataset = numeric_times(self.data)
        if scattered(dataset) is not None:
            return encode_observations(own, dataset)
        file = EarthFile(IN_MEMORY, dataset=dataset)
        names = tuple(file.axes)
        layers = list(file.layers(names, stacked=True))
        attributes = {name: {k: v for k, v in dataset[name].attrs.items() if k in ATTRIBUTES} for name in names}
        config = GriddedConfig(size=own.input_size, variables=names, channels="together")
        source = GriddedSource(config, {file.path: file}, layers, SkippedFiles())
        others = {d for layer in layers for d, _ in layer.index}
        times = [d for d in others if is_time(d, dataset.get(d))]
        if more := sorted(d for d in others - {*times} if dataset.sizes[d] > 1):
            raise UserError(f"data along {', '.join(more)}; select one place of it: --select {more[0]}=0, or in Python "
                            f".isel({more[0]}=0)")
        if not times or len(layers) == 1:
            return EarthField(encode_field(own, source.load(layers[0])), attributes)
        axis = dataset[times[0]]
        numbers = axis.values.astype(float)
        if period == "auto":
            closes = "modulo" in axis.attrs or "climatology" in axis.attrs
            period = float(len(numbers) * np.diff(numbers).mean()) if closes else 0.0
        samples, calendar = [source.load(layer) for layer in layers], str(axis.attrs.get("calendar", "standard"))
        series = encode_series(own, samples, numbers.tolist(), time_units=unit_of(axis), calendar=calendar,
                               period=float(period))
        return EarthField(series, attributes)


xarray.register_dataset_accessor("tokenfield")(Accessor)
xarray.register_dataarray_accessor("tokenfield")(Accessor)


def numeric_times(dataset: "Dataset") -> "Dataset":
    """Dates as the numbers that files hold."""
    dates = {name: encode_cf_variable(axis.variable) for name, axis in dataset.coords.items()
             if axis.dtype.kind == "M" or (axis.dtype.kind == "O" and is_time(str(name), axis))}
    return dataset.assign_coords({name: (axis.dims, axis.values, axis.attrs) for name, axis in dates.items()})


def roles(dataset: "Dataset") -> "dict[str, DataArray]":
    """Latitudes and longitudes of a dataset by these two words. Raises UserError where one is missing."""
    found = {role_of(str(name), dataset[name]): dataset[name] for name in dataset.variables}
    if not {"latitude", "longitude"} <= set(found):
        raise UserError(f"no latitudes and longitudes among {', '.join(map(str, dataset.variables)) or 'nothing'}"
                        f"{HOW_TO_SAY}")
    return {role: found[role] for role in ("latitude", "longitude")}


def scattered(dataset: "Dataset") -> Float[Tensor, "q 2"] | None:
    """Places along one common axis; None for latitudes and longitudes that are axes."""
    latitude, longitude = roles(dataset).values()
    if latitude.dims != longitude.dims or latitude.ndim != 1:
        return None
    return torch.from_numpy(np.stack([latitude.values, longitude.values], -1).astype(float))


def target_of(like: "Dataset | DataArray | None", own: LatLon) -> "tuple[LatLon | None, Tensor, dict[str, DataArray]]":
    """What to decode on: a grid or else places, and the coordinates of the result."""
    if like is None:
        like = xarray.Dataset(coords={"latitude": ("latitude", own.latitudes.numpy()),
                                      "longitude": ("longitude", own.longitudes.numpy())})
    dataset = like.to_dataset(name="like") if isinstance(like, xarray.DataArray) else like
    axes = {str(axis.name): axis.assign_attrs(standard_name=role, units=f"degrees_{way}", axis=letter)
            for (role, axis), way, letter in zip(roles(dataset).items(), ("north", "east"), "YX", strict=True)}
    places = scattered(dataset)
    if places is not None:
        return None, places, {name: axis.drop_attrs().assign_attrs(
            standard_name=axis.attrs["standard_name"], units=axis.attrs["units"]) for name, axis in axes.items()}
    latitude, longitude = axes.values()
    latitude, longitude = latitude.sortby(latitude, ascending=False), longitude.sortby(longitude)
    grid = LatLon(*(torch.from_numpy(axis.values.astype(float)) for axis in (latitude, longitude)))
    return grid, torch.zeros(0, 2), {str(axis.name): axis for axis in (latitude, longitude)}


def encode_observations(model: EarthModel, dataset: "Dataset") -> EarthField:
    """A field of values at scattered places: the most likely one under the model's prior."""
    if not isinstance(model, GriddedHarmonic):
        raise UserError(f"the {model.name} model reads whole grids; scattered places need harmonic tokens, such as "
                        f"those of {DEFAULT}")
    where, (dim,) = scattered(dataset), roles(dataset)["latitude"].dims
    assert where is not None, "asked before"
    names = tuple(str(n) for n, a in dataset.data_vars.items() if a.dims == (dim,) and a.dtype.kind in "fiu"
                  and not role_of(str(n), a))
    units = tuple(unit_of(dataset[name]) for name in names)
    check_variables(model, "the dataset", names, units)
    arrays = [dataset[name] for name in names]
    values = torch.from_numpy(np.stack([array.values for array in arrays], -1).astype(np.float32))
    there = [is_value(array, array.values) & np.isfinite(array.values) for array in arrays]
    complete = torch.from_numpy(np.stack(there, -1)).all(1)
    if complete.sum() < 2:
        raise UserError(f"{int(complete.sum())} places with a value of {len(where)}; give at least two")
    where, values = where[complete].float(), values[complete]
    mean, spread = values.mean(0), values.std(0, correction=0)
    blank = torch.zeros(1, len(names), *model.input_size)
    _, offset, scale = model.inputs(blank, blank, mean[None], spread[None])
    standard = (values - offset) * scale
    tokens = model.observe(where, standard)
    globe = LatLon.globe(*model.input_size)
    domain = Globe(size=globe.shape, input_size=model.input_size, latitudes=axis_numbers(globe.latitudes),
                   longitudes=axis_numbers(globe.longitudes), variables=names, units=units,
                   offset=tuple(offset[0].tolist()), scale=tuple(scale[0].tolist()),
                   missing=pack(torch.zeros(len(names), *globe.shape, dtype=torch.bool)),
                   name=f"{','.join(names)} at {len(where)} places")
    attributes = {name: {k: v for k, v in dataset[name].attrs.items() if k in ATTRIBUTES} for name in names}
    return EarthField(Field(model, tokens, domain), attributes, Observations(where, model.calibration(where, standard)))
