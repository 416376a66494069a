"""A foreign configuration, of which every entry is known.

A configuration that is read in part builds a different model, so an importer lists all names that its project has, in
one table: which of them are sizes, which must have the one value that the model here implements, and which do not
matter to a trained model. Anything else is an error.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tokenfield.errors import UserError
from tokenfield.interop.tensors import first_of
from tokenfield.io.record import Record

NONE = object()


@dataclass(frozen=True)
class Setting:
    """One entry."""

    default: object = NONE
    """The project's own; NONE if the entry has to be given."""
    only: tuple[object, ...] = ()
    """The values that are implemented here; empty for any."""


Table = dict[str, Setting]
"""Every entry by its dotted name; whatever lies inside an entry is its value."""


def required(*names: str) -> Table:
    """Entries without a default."""
    return dict.fromkeys(names, Setting())


def free(*names: str) -> Table:
    """Entries of any value, None by default: most do not matter to a trained model."""
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


class Settings:
    """What a configuration says, nested mappings called `where` in the file, with the project's defaults.

    Raises UserError for an entry that is unknown, missing or not implemented, or no mapping where one should be.
    """

    def __init__(self, data: Record, table: Table, where: str = ""):
        self._known, self._where = table, f"{where}." if where else ""
        values, unknown = self._sort(data)
        self._values = {name: values.get(name, setting.default) for name, setting in table.items()}
        # First what is another kind of model, then names, which another kind may well have more of.
        self._check(values)
        if unknown:
            raise self._not_known(unknown)
        if lacking := [name for name, setting in table.items() if setting.default is NONE and name not in values]:
            raise UserError(f"the configuration lacks {', '.join(f'{self._where}{name}' for name in lacking)}")
        self._check(table)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def inside(self, place: str) -> Record:
        """What a mapping holds, by the names in it."""
        prefix = f"{place}."
        return {name.removeprefix(prefix): v for name, v in self._values.items() if name.startswith(prefix)}

    def _sort(self, data: Record, prefix: str = "") -> tuple[Record, list[str]]:
        """Known entries by dotted name, and the names of all others."""
        values: Record = {}
        unknown: list[str] = []
        for key, value in data.items():
            name = f"{prefix}{key}"
            if name in self._known:
                values[name] = value
            elif not self._inside(name):
                unknown.append(name)
            elif isinstance(value, dict):
                part = self._sort(value, f"{name}.")
                values |= part[0]
                unknown += part[1]
            elif value:
                raise UserError(f"{self._where}{name} is {value!r}, not a mapping; accepted in it: "
                                f"{', '.join(self._inside(name))}")
        return values, unknown

    def _check(self, names: Iterable[str]) -> None:
        for name in names:
            accepted = self._known[name].only
            if accepted and self._values[name] not in accepted:
                values = " or ".join(map(repr, accepted))
                raise UserError(f"{self._where}{name} is {self._values[name]!r}; only {values} is implemented here")

    def _not_known(self, names: list[str]) -> UserError:
        """The error that names what is not known, what may have been meant, and what is accepted in its place."""
        near = dict.fromkeys(near for name in names for near in get_close_matches(name, self._known, 1))
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        for place in list(dict.fromkeys(name.rpartition(".")[0] for name in names))[:3]:
            hint += f"; accepted{f' in {self._where}{place}' if place else ''}: {', '.join(self._inside(place))}"
        verb = "is" if len(names) == 1 else "are"
        return UserError(f"{first_of([f'{self._where}{name}' for name in names])} {verb} not known{hint}")

    def _inside(self, place: str) -> list[str]:
        """What is accepted in a mapping; "" for the outermost."""
        prefix = f"{place}." if place else ""
        inside = (name.removeprefix(prefix) for name in self._known if name.startswith(prefix))
        return list(dict.fromkeys(name.partition(".")[0] for name in inside))
