"""A foreign configuration, of which every entry is known.

A configuration that is read in part builds a different model, so an importer lists all names that its project has, in
one table: which of them are sizes, which must have the one value that the model here implements, and which do not
matter to a trained model. Anything else is an error.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tokenfield.errors import UserError
from tokenfield.interop.tensors import first_of
from tokenfield.io.record import Record

NONE = object()
"""The default of an entry that has to be given."""


@dataclass(frozen=True)
class Setting:
    """One entry.

    Attributes:
        default: the project's own default; NONE if it has none.
        only: the values that are implemented here; empty for any.
    """

    default: object = NONE
    only: tuple[object, ...] = ()


Table = dict[str, Setting]
"""Every entry by its dotted name."""


def required(*names: str) -> Table:
    """Entries without a default."""
    return dict.fromkeys(names, Setting())


def free(*names: str) -> Table:
    """Entries that do not matter to a trained model, or are read by nothing there."""
    return dict.fromkeys(names, Setting(None))


def optional(values: Record) -> Table:
    """Entries with the project's defaults."""
    return {name: Setting(value) for name, value in values.items()}


def only(values: Record) -> Table:
    """Entries whose default is the one value that is implemented here."""
    return {name: Setting(value, (value,)) for name, value in values.items()}


def must_be(values: Record) -> Table:
    """Entries that have to be given, with the one value that is implemented here."""
    return {name: Setting(only=(value,)) for name, value in values.items()}


def flatten(data: Record, prefix: str = "") -> Record:
    """Nested mappings as dotted names; lists are values."""
    flat: Record = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat


def check_names(data: Record, known: Collection[str], where: str = "") -> None:
    """Of what is hardly read, the names at least are known: a misspelt section reads like one that is not there.

    Args:
        data: nested mappings.
        known: dotted names; with a name everything inside it is accepted.
        where: of the mappings in the file, with a dot at the end, for messages.
    Raises:
        UserError: entries that are not known, or no mapping where one should be.
    """
    if unknown := _unknown(data, known, "", where):
        raise not_known(unknown, known, where)


def _unknown(data: Record, known: Collection[str], prefix: str, where: str) -> list[str]:
    unknown: list[str] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if name in known:
            continue
        if not any(entry.startswith(f"{name}.") for entry in known):
            unknown.append(name)
        elif isinstance(value, dict):
            unknown += _unknown(value, known, f"{name}.", where)
        elif value:
            raise UserError(f"{where}{name} is {value!r}, not a mapping; accepted in it: {_inside(name, known)}")
    return unknown


def not_known(names: list[str], known: Collection[str], where: str) -> UserError:
    """The error that names what is not known, what may have been meant, and what is accepted in its place."""
    near = dict.fromkeys(near for name in names for near in get_close_matches(name, known, 1))
    meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    places = dict.fromkeys(_place(name, known) for name in names)
    accepted = "".join(f"; accepted{f' in {where}{p}' if p else ''}: {_inside(p, known)}" for p in list(places)[:3])
    verb = "is" if len(names) == 1 else "are"
    return UserError(f"{first_of([f'{where}{name}' for name in names])} {verb} not known{meant}{accepted}")


def _place(name: str, known: Collection[str]) -> str:
    """The innermost mapping around a name that is known."""
    while name := name.rpartition(".")[0]:
        if any(entry.startswith(f"{name}.") for entry in known):
            break
    return name


def _inside(place: str, known: Collection[str]) -> str:
    """What is accepted in a mapping."""
    prefix = f"{place}." if place else ""
    inside = (name.removeprefix(prefix) for name in known if name.startswith(prefix))
    return ", ".join(dict.fromkeys(name.partition(".")[0] for name in inside))


class Settings:
    """What a configuration says, with the project's defaults.

    Args:
        data: nested mappings.
        known: every entry by its dotted name.
        where: of the mappings in the file, for messages.
    Raises:
        UserError: an entry that is unknown, missing or not implemented.
    """

    def __init__(self, data: Record, known: Table, where: str):
        given, self._known = flatten(data), known
        self._values = {name: given.get(name, setting.default) for name, setting in known.items()}
        # First what is another kind of model, then names, which another kind may well have more of.
        self._check(where, [name for name in given if name in known])
        if unknown := [name for name in given if name not in known]:
            raise not_known(unknown, known, f"{where}.")
        lacking = [name for name, setting in known.items() if setting.default is NONE and name not in given]
        if lacking:
            raise UserError(f"the configuration lacks {', '.join(f'{where}.{name}' for name in lacking)}")
        self._check(where, known)

    def _check(self, where: str, names: Iterable[str]) -> None:
        for name in names:
            accepted = self._known[name].only
            if accepted and self._values[name] not in accepted:
                only = " or ".join(repr(value) for value in accepted)
                raise UserError(f"{where}.{name} is {self._values[name]!r}; only {only} is implemented here")

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def inside(self, place: str) -> Record:
        """What a mapping holds, by the names in it."""
        prefix = f"{place}."
        return {name.removeprefix(prefix): v for name, v in self._values.items() if name.startswith(prefix)}
