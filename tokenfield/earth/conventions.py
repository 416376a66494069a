"""What files of the Earth say about their axes, missing values and units, by convention and by habit.

Axes are known by the CF conventions' attributes (units, standard_name, `axis` of an axis in degrees), by those of the
netCDF-Java library, else by the names that programs give them. The package cf-xarray knows the attributes too; of the
habits, which decide about most files that people have, it knows fewer. A unit without a conversion here stays as it is
and must be equal, letter case aside, to that of the model.
"""

import re
from typing import TYPE_CHECKING

import numpy as np

from tokenfield.errors import UserError

if TYPE_CHECKING:
    from xarray import DataArray


LATITUDE_UNITS = {"degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"}
LONGITUDE_UNITS = {"degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"}
DEGREES = {"", "degree", "degrees", "deg"}
RADIANS = {"radian", "radians", "rad"}

LATITUDE_NAME = re.compile(r"(g\d+_)?(nav_)?lat(s|itude|itudes)?(_?\d+)?")
LONGITUDE_NAME = re.compile(r"(g\d+_)?(nav_)?lon(g|s|gitude|gitudes)?(_?\d+)?")
"""lat, lats, latitude, nav_lat (NEMO), lat_0, g0_lat_1 (NCL), ..."""
HOW_TO_SAY = ("; say which axes they are by their attributes: units degrees_north and degrees_east, or standard_name "
              "latitude and longitude")

FILL = 1e20
"""CMIP's fill value, which some files do not declare."""
ABSENT = 1e30
"""Values at least this large are the netCDF library's own fill values."""
DEFAULT_FILLS = {"i2": -32767, "u2": 65535, "i4": -2147483647, "u4": 4294967295, "i8": -9223372036854775806}
"""What the netCDF library writes where nothing was written, in integers; such cells may be declared nowhere."""


def unit_of(array: "DataArray") -> str:
    """As the file spells it; "" where it says nothing."""
    return str(array.attrs.get("units", "")).strip()


def attribute(axis: "DataArray", name: str) -> str:
    """An attribute in small letters; "" where there is none."""
    return str(axis.attrs.get(name, "")).strip().lower()


def role_of(name: str, axis: "DataArray") -> str:
    """ "latitude", "longitude" or "" of a variable in a dataset, by whatever says most clearly what it is."""
    unit, standard, short = unit_of(axis).lower(), attribute(axis, "standard_name"), name.lower().split("/")[-1]
    if unit in LATITUDE_UNITS or standard == "latitude":
        return "latitude"
    if unit in LONGITUDE_UNITS or standard == "longitude":
        return "longitude"
    if standard:  # grid_latitude of a rotated pole, projection_y_coordinate: something else
        return ""
    if LATITUDE_NAME.fullmatch(short):
        return "latitude"
    if LONGITUDE_NAME.fullmatch(short):
        return "longitude"
    if unit not in DEGREES | RADIANS:  # a projection's axes are Y and X too
        return ""
    words = attribute(axis, "long_name").split(), attribute(axis, "_CoordinateAxisType")
    if "latitude" in words[0] or words[1] == "lat" or (unit and attribute(axis, "axis") == "y"):
        return "latitude"
    if "longitude" in words[0] or words[1] == "lon" or (unit and attribute(axis, "axis") == "x"):
        return "longitude"
    return ""


def is_time(name: str, axis: "DataArray | None") -> bool:
    """Whether a dimension is time."""
    attributes = {} if axis is None else axis.attrs
    kind, standard, units = (str(attributes.get(key, "")) for key in ("axis", "standard_name", "units"))
    return " since " in units or kind == "T" or "time" in (standard, name.lower().split("/")[-1])


def label_of(name: str, axis: "DataArray | None", place: int) -> str:
    """What position `place` of a dimension is called: a date, "depth=10m", "season=DJF", or its number."""
    short = name.split("/")[-1]
    if axis is None or axis.ndim != 1:
        return f"{short}[{place}]"
    value = axis.values[place]
    if " since " in unit_of(axis) and (date := date_of(float(value), axis)):
        return date
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if np.asarray(value).dtype.kind in "fiub":
        unit = unit_of(axis)
        return f"{short}={value:g}{unit if re.fullmatch(r'[A-Za-z]{1,4}', unit) else ''}"
    return f"{short}={' '.join(str(value).split())}"


def date_of(value: float, axis: "DataArray") -> str:
    """A moment as "2000-01-03" or "2000-01-03T06"; "" where the calendar, or a year such as 0, has no such date."""
    from xarray.coding.times import decode_cf_datetime

    try:
        moment = decode_cf_datetime(np.array([value]), unit_of(axis), str(axis.attrs.get("calendar", "standard")))[0]
        text = "" if str(moment) == "NaT" else str(moment)[:19].replace(" ", "T")
    except (ValueError, OverflowError, ImportError, TypeError, KeyError):
        return ""
    day, _, clock = text.partition("T")
    return day if clock in ("", "00:00:00") else f"{day}T{clock.removesuffix(':00:00')}"


def is_value(array: "DataArray", values: np.ndarray) -> np.ndarray:
    """Where decoded values of a variable are values: not NaN, no fill value declared or known, in the valid range."""
    size = np.abs(values)
    with np.errstate(invalid="ignore"):
        valid: np.ndarray = (size < ABSENT) & ~np.isclose(size, FILL, rtol=1e-6, atol=0)
        low, high = valid_range(array)
        slack = 1e-6 * max(1.0, abs(low) if np.isfinite(low) else 0, abs(high) if np.isfinite(high) else 0)
        valid &= (values >= low - slack) & (values <= high + slack)
        stored = np.dtype(array.encoding.get("dtype", values.dtype))
        fill = DEFAULT_FILLS.get(stored.str[1:])
        if fill is not None and not {"_FillValue", "missing_value"} & {*array.encoding, *array.attrs}:
            scale, offset = packing(array)
            valid &= ~np.isclose(values, fill * scale + offset, rtol=1e-6, atol=abs(scale) / 4)
    return valid


def packing(array: "DataArray") -> tuple[float, float]:
    """Factor and summand that made values of the stored numbers."""
    return float(array.encoding.get("scale_factor", 1)), float(array.encoding.get("add_offset", 0))


def valid_range(array: "DataArray") -> tuple[float, float]:
    """The smallest and largest valid value, in the unit of the decoded values; infinite where nothing is said.

    Of packed data the bounds count in stored numbers if they are of the stored type, else in physical ones (NetCDF
    Users Guide, "Attribute Conventions").
    """
    pair = numbers(array.attrs.get("valid_range"))
    bounds = pair if len(pair) == 2 else [next(iter(numbers(array.attrs.get(key))), None)
                                          for key in ("valid_min", "valid_max")]
    stored, (scale, offset) = np.dtype(array.encoding.get("dtype", "f8")), packing(array)
    unsigned = str(array.encoding.get("_Unsigned", "false")).lower() == "true"
    physical = [-np.inf, np.inf]
    for i, bound in enumerate(bounds):
        if bound is None:
            continue
        number = float(bound)
        if bound.dtype.kind not in "iu" or stored.kind not in "iu":
            physical[i] = number
            continue
        number += 2.0 ** (8 * stored.itemsize) if unsigned and number < 0 else 0
        physical[i if scale > 0 else 1 - i] = number * scale + offset
    return physical[0], physical[1]


def numbers(value: object) -> list[np.number]:
    """What an attribute holds as numbers, each with its type; [] for none, or for text that is none."""
    if value is None:
        return []
    try:
        array = np.array(value.replace(",", " ").split(), float) if isinstance(value, str) else np.array(value)
        return [one for one in array.ravel() if array.dtype.kind in "fiu" and np.isfinite(one)]
    except (ValueError, TypeError):
        return []


SPELLINGS = {
    "degC": ("deg c", "degc", "c", "celsius", "degree celsius", "degrees celsius", "degree c", "degrees c"),
    "K": ("k", "kelvin", "deg k", "degk", "degree k", "degrees k", "degree kelvin", "degrees kelvin"),
    "m/s": ("m/s", "m s-1", "m s**-1", "m s^-1", "m.s-1", "meter/second", "meters/second", "metres per second"),
    "hPa": ("hpa", "mb", "mbar", "millibar", "millibars"),
    "Pa": ("pa", "pascal", "pascals"),
    "m": ("m", "meter", "meters", "metre", "metres"),
    "km": ("km", "kilometer", "kilometers", "kilometre", "kilometres"),
    "g/kg": ("g/kg", "g kg-1", "g kg**-1", "gr/kg"),
    "kg/kg": ("kg/kg", "kg kg-1", "kg kg**-1"),
    "W/m2": ("w/m2", "w m-2", "w m**-2", "w/m^2", "w/m**2"),
    "psu": ("psu", "ppt"),
}
"""The name used here -> spellings in files, in small letters."""

LINEAR = {("K", "degC"): (1.0, -273.15), ("Pa", "hPa"): (0.01, 0.0), ("km", "m"): (1000.0, 0.0),
          ("kg/kg", "g/kg"): (1000.0, 0.0)}
"""(from, to) -> factor and summand."""
LINEAR |= {(to, source): (1 / factor, -summand / factor) for (source, to), (factor, summand) in LINEAR.items()}

_NAMES = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings}


def canonical(unit: str) -> str:
    """The name used here for a unit as a file spells it; "" where the file says nothing."""
    text = " ".join(unit.replace("_", " ").replace("°", "deg ").split())
    return _NAMES.get(text.lower(), text)


def conversion(source: str, target: str, variable: str) -> tuple[float, float]:
    """Factor and summand that turn values in one unit, as a file spells it, into another.

    A unit that is not stated is taken to be the other one. Raises UserError for two between which nothing is known.
    """
    pair = canonical(source), canonical(target)
    if not all(pair) or pair[0].lower() == pair[1].lower():
        return 1.0, 0.0
    if pair not in LINEAR:
        raise UserError(f"{variable} is in {source!r}, but {target!r} is needed, and there is no conversion between "
                        "them; convert the file, or use a model of this quantity")
    return LINEAR[pair]
