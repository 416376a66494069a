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

REQUIRED = object()


@dataclass(frozen=True)
class Setting:
    """One entry.

    Attributes:
        default: the project's own default; REQUIRED if it has none.
        only: the values that are implemented here; empty for any.
    """

    default: Any = REQUIRED
    only: tuple[Any, ...] = ()


def flatten(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names; lists are values."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat


class Settings:
    """What a configuration says, with the project's defaults.

    Args:
        data: nested mappings.
        known: every entry by its dotted name.
        where: of the mappings in the file, for messages.
    Raises:
        UserError: an entry that is unknown, missing or not implemented.
    """

    def __init__(self, data: dict[str, Any], known: dict[str, Setting], where: str):
        given, self._known = flatten(data), known
        self._values = {name: given.get(name, setting.default) for name, setting in known.items()}
        # First what is another kind of model, then names, which another kind may well have more of.
        self._check(where, [name for name in given if name in known])
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, 1)
                raise UserError(f"{where}.{name} is not known{f'; did you mean {near[0]!r}?' if near else ''}")
        lacking = [name for name, setting in known.items() if setting.default is REQUIRED and name not in given]
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
