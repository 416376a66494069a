"""Units of physical values: many spellings, one name each, and the common conversions.

Any other unit of a file stays as it is and must be equal, letter case aside, to that of the model.
"""

from tokenfield.errors import UserError

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
