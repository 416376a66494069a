"""Maps of the Earth: a field, its data, and the difference, on projections of the globe.

Every pixel of a map is turned back into a latitude and a longitude; a field has its exact value there, and a grid that
of the cell around the place. No mapping library is needed:

- Mollweide shows the whole Earth, equal areas as equal areas: t from y = sin t, latitude = asin((2 t + sin 2 t) / pi),
  longitude = pi x / (2 cos t), with x in [-2, 2] and y in [-1, 1];
- orthographic shows the half around a place, from far above.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import centers
from tokenfield.earth.files import Snapshot
from tokenfield.earth.globe import compare, globe_of
from tokenfield.earth.sphere import LatLon
from tokenfield.fields.field import Field
from tokenfield.io.atomic import written_aside
from tokenfield.io.charts import DOTS, INK, LETTERS, MISSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Centre = tuple[float, float]
"""(latitude, longitude) in degrees in the middle of a map."""


def mollweide(height: int, centre: float = 180.0) -> Float[Tensor, "h w 2"]:
    """Places of the pixels of a map of the whole Earth, twice as wide as high; NaN outside the ellipse.

    The longitude `centre` is in the middle.
    """
    y, x = torch.meshgrid(centers(height, 1.0, -1.0), centers(2 * height, -2.0, 2.0), indexing="ij")
    t = y.asin()
    latitude = ((2 * t + (2 * t).sin()) / torch.pi).clamp(-1, 1).asin().rad2deg()
    longitude = 90 * x / t.cos()
    places = torch.stack([latitude, (longitude + centre).remainder(360)], -1)
    return places.masked_fill((longitude.abs() > 180)[..., None], torch.nan)


def orthographic(height: int, centre: Centre) -> Float[Tensor, "h w 2"]:
    """Places of the pixels of the hemisphere around a place, as high as wide; NaN beside the disc."""
    y, x = torch.meshgrid(centers(height, 1.0, -1.0), centers(height, -1.0, 1.0), indexing="ij")
    r = (x**2 + y**2).sqrt()
    phi, angle = torch.tensor(centre[0]).deg2rad(), r.clamp(max=1).asin()
    # Snyder, Map Projections (1987), equations 20-14 and 20-15, with r sin(c) = r^2 since r = sin(c).
    latitude = (angle.cos() * phi.sin() + y * phi.cos()).clamp(-1, 1).asin()
    longitude = torch.atan2(x, phi.cos() * angle.cos() - y * phi.sin())
    places = torch.stack([latitude.rad2deg(), (longitude.rad2deg() + centre[1]).remainder(360)], -1)
    return places.masked_fill((r > 1)[..., None], torch.nan)


def nearest(grid: LatLon, values: Float[Tensor, "h w"], places: Float[Tensor, "*q 2"]) -> Float[Tensor, "*q"]:
    """Values of the cells that places lie in; NaN for places that are in none."""
    row, column, inside = grid.cells(places)
    return values[row, column].masked_fill(~inside, torch.nan)


@dataclass(frozen=True)
class Map:
    """One map of a sheet: pixels, colours and words."""

    pixels: Float[Tensor, "h w"]
    title: str
    colours: str
    low: float
    high: float
    unit: str


def maps_of(field: Field, snapshot: Snapshot | None, places: Float[Tensor, "h w 2"]) -> list[Map]:
    """Truth, field and difference of the first variable at places; without a snapshot the field. Missing is NaN."""
    domain = globe_of(field)
    unit, valid = domain.units[0], domain.had_value(places)[..., 0]
    values = torch.full(valid.shape, torch.nan)
    values[valid] = domain.at(field, places[valid])[:, 0].float().cpu()
    truth = values if snapshot is None else snapshot.values[0].masked_fill(snapshot.valid[0] == 0, torch.nan)
    low, high = map(float, np.nanpercentile(truth, (1, 99)))
    if snapshot is None:
        return [Map(values, f"{domain.variables[0]}, {field.values_stored} values", "viridis", low, high, unit)]
    native, data = domain.native(field).cpu(), nearest(snapshot.grid, truth, places)
    rmse = compare(native, snapshot).rmse[0]
    away = float(np.nanpercentile((native[0] - truth).abs(), 99)) or 1e-6
    return [
        Map(data, snapshot.name, "viridis", low, high, unit),
        Map(values, f"from {field.values_stored} values: RMSE {rmse:.3g} {unit}", "viridis", low, high, unit),
        Map(values - data, "difference", "RdBu_r", -away, away, unit),
    ]


def draw_maps(field: Field, snapshot: Snapshot | None, path: Path, projection: str = "both",
              centre: Centre = (20.0, 200.0), height: int = 300) -> None:
    """A row of maps, `height` pixels high, per projection: mollweide, orthographic or both."""
    projections = {"mollweide": mollweide(height, centre[1]), "orthographic": orthographic(height, centre)}
    selection = projections.values() if projection == "both" else [projections[projection]]
    sheet([maps_of(field, snapshot, places) for places in selection], path)


def sheet(rows: list[list[Map]], path: Path) -> Path:
    """Maps in rows and columns, each with its colours explained, as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(row) for row in rows)
    widest = max(one.pixels.shape[1] / one.pixels.shape[0] for row in rows for one in row)
    figure = Figure(figsize=(2.4 * columns * widest, 3.0 * len(rows)), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for place in axes.flat:
        place.set_axis_off()
    for line, row in zip(axes, rows, strict=True):
        for place, one in zip(line, row, strict=False):
            _draw(place, one)
    with written_aside(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})
    return path


def _draw(axes: "Axes", one: Map) -> None:
    from matplotlib import colormaps

    aspect = one.pixels.shape[1] / one.pixels.shape[0]
    image = axes.imshow(one.pixels.numpy(), cmap=colormaps[one.colours].with_extremes(bad=MISSING), vmin=one.low,
                        vmax=one.high, extent=(-aspect, aspect, -1.0, 1.0))
    turn = np.linspace(0, 2 * np.pi, 200)
    (line,) = axes.plot(aspect * np.cos(turn), np.sin(turn), color=INK, linewidth=0.8)
    image.set_clip_path(line.get_path(), axes.transData)  # the ellipse, or the disc
    axes.set_title(one.title, fontsize=LETTERS, color=INK)
    bar = axes.figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.7, pad=0.02)
    bar.set_label(one.unit, fontsize=LETTERS)
    bar.ax.tick_params(labelsize=LETTERS)
