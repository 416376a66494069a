"""Units of physical values: many spellings, one name each, and the conversions that people expect to happen.

Only what earth-science files commonly disagree about is known here. Whatever else stands in a file is kept as it is and
must be equal, letter case aside, to what a model was trained on.
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

LINEAR = {
    ("K", "degC"): (1.0, -273.15),
    ("degC", "K"): (1.0, 273.15),
    ("Pa", "hPa"): (0.01, 0.0),
    ("hPa", "Pa"): (100.0, 0.0),
    ("km", "m"): (1000.0, 0.0),
    ("m", "km"): (0.001, 0.0),
    ("kg/kg", "g/kg"): (1000.0, 0.0),
    ("g/kg", "kg/kg"): (0.001, 0.0),
}
"""(from, to) -> factor and summand."""

_NAMES = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings}


def canonical(unit: str) -> str:
    """The name used here for a unit as a file spells it; "" where the file says nothing."""
    text = " ".join(unit.replace("_", " ").replace("°", "deg ").split())
    return _NAMES.get(text.lower(), text)


def conversion(given: str, wanted: str, what: str) -> tuple[float, float]:
    """Factor and summand that turn values in one unit into another.

    A unit that a file does not state, or that nobody asked for, is taken to be the other one.

    Args:
        given: what the file says, in any spelling.
        wanted: what the values should be in.
        what: the variable, for the message.
    Raises:
        UserError: two units between which nothing is known.
    """
    have, want = canonical(given), canonical(wanted)
    if not have or not want or have.lower() == want.lower():
        return 1.0, 0.0
    if (have, want) not in LINEAR:
        raise UserError(f"{what} is in {given!r}, but {wanted!r} is wanted, and there is no conversion between them; "
                        "convert the file, or use a model of this quantity")
    return LINEAR[have, want]
