"""Configurations: frozen dataclasses, what makes their numbers impossible, and JSON.

A configuration is a tree of dataclasses of numbers, strings, booleans and tuples. Reading one back is strict: an
unknown field, one of the wrong type or one that is missing is a clear error, because a configuration that is silently
read in part builds a different model.
"""

import math
import reprlib
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tokenfield.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C")


LONGEST = 1024
"""Most numbers of a list in a file, a layer or a band each: above every sensible one, and read in an instant."""
LATER = MappingProxyType({"later": True})
"""Metadata of a field that was added when files of models existed: at its default it is no part of their identity."""


def identity(config: object) -> object:
    """What of a configuration tells models apart: `asdict` without fields added later, where they have their default.

    So a model keeps its hash, and the `.field` files that name it go on to open.
    """
    if isinstance(config, tuple):
        return tuple(map(identity, config))
    if not is_dataclass(config):
        return config
    own = [f for f in fields(config) if "later" not in f.metadata or getattr(config, f.name) != f.default]
    return {f.name: identity(getattr(config, f.name)) for f in own}


def from_dict(cls: type[C], data: object, where: str = "") -> C:
    """The dataclass `cls` from what `asdict` and JSON made of it.

    It is made of bool, int, float, str, None, Literal, tuples, unions of these, and dataclasses. Fields with defaults
    may be missing, and dataclasses may be there already. `where` names the enclosing field in a UserError.
    """
    name = where or cls.__name__
    if not isinstance(data, dict):
        raise UserError(f"{name}: {reprlib.repr(data)} is not a mapping of fields")
    types, slots = get_type_hints(cls), {f.name: f for f in fields(cast("type[DataclassInstance]", cls)) if f.init}
    for key in data:
        if key not in slots:
            near = get_close_matches(str(key), slots, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(slots)}"
            raise UserError(f"{name} has no field {reprlib.repr(key)}; {hint}")
    lacking = [k for k, f in slots.items() if k not in data and f.default is MISSING and f.default_factory is MISSING]
    if lacking:
        raise UserError(f"{name} lacks {', '.join(lacking)}")
    return cls(**{key: convert(types[key], value, f"{where}.{key}" if where else key) for key, value in data.items()})


def convert(kind: Any, value: object, where: str) -> object:
    """A JSON value as the annotated type `kind`; the only conversions are list -> tuple and int -> float."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any or (is_dataclass(value) and not is_dataclass(kind)):  # the latter typed by a protocol
        return value
    if origin in (Union, UnionType):
        for one in args:
            with suppress(UserError):
                return convert(one, value, where)
        raise UserError(f"{where}: {reprlib.repr(value)} is none of {', '.join(map(_name, args))}")
    if origin is Literal and value in args:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        if len(value) > LONGEST and args[0] in (int, float):
            raise UserError(f"{where} holds {len(value)} numbers; give at most {LONGEST}")
        inner = [args[0]] * len(value) if args[1:] == (...,) else list(args)
        if len(inner) == len(value):
            return tuple(convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(inner, value, strict=True)))
    if is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else from_dict(kind, value, where)
    if origin is dict and isinstance(value, dict):  # JSON's own mappings, whatever they hold
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (bool, int, str, NoneType) and type(value) is kind:
        return value
    raise UserError(f"{where}: {reprlib.repr(value)} is not {_name(kind) if origin is None else kind}")


def _name(kind: object) -> str:
    """An annotation for people."""
    return getattr(kind, "__name__", str(kind))


@dataclass(frozen=True)
class Sizes:
    """Base of configurations whose numbers, also those in tuples, are finite and above 0, or UserError names the field.

    Those of the fields `may_be_zero` may also be 0; tuples that are not among `may_be_empty` hold something.
    """

    may_be_zero: ClassVar[frozenset[str]] = frozenset()
    may_be_empty: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        for name, kind in ((f.name, f.type) for f in fields(self)):
            value, whole = getattr(self, name), "float" not in str(kind)
            if value == () and name not in self.may_be_empty:
                raise UserError(f"{name} is empty; give at least one")
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int | float) and not isinstance(number, bool):
                    zero = name in self.may_be_zero
                    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
                        least = "at least 0" if zero else "at least 1" if whole else "more than 0"
                        raise UserError(f"{name} {number:g}; give a {'whole' if whole else 'finite'} number, {least}")


def check_divides(name: str, parts: int, whole_name: str, whole: int) -> None:
    """Raises UserError unless `whole` can be shared equally by `parts`, both named after their fields."""
    if whole % parts:
        raise UserError(f"{whole_name} {whole} is no multiple of {name} {parts}; change one of them")
