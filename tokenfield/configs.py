"""Frozen dataclasses <-> JSON.

A configuration is a tree of dataclasses of numbers, strings, booleans and tuples. Reading one back is strict: a field
nobody knows, one of the wrong type or one that is missing is a clear error, because a configuration that is silently
read in part builds a different model.
"""

from dataclasses import MISSING, asdict, fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tokenfield.errors import UserError


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionaries; tuples stay tuples and become lists in JSON."""
    return asdict(config)


def from_dict(cls: Any, data: Any, where: str = "") -> Any:
    """The dataclass `cls` from what `to_dict` and JSON made of it.

    Args:
        cls: a dataclass of bool, int, float, str, None, Literal, tuples, unions of these, and dataclasses.
        data: a dictionary; fields with defaults may be missing.
        where: name of the enclosing field, for messages.
    Raises:
        UserError: naming the field, what was given and what is accepted.
    """
    name = where or cls.__name__
    if not isinstance(data, dict):
        raise UserError(f"{name}: {data!r} is not a mapping of fields")
    types, known = get_type_hints(cls), {f.name: f for f in fields(cls) if f.init}
    for key in data:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise UserError(f"{name} has no field {key!r}; {hint}")
    lacking = [k for k, f in known.items() if k not in data and f.default is MISSING and f.default_factory is MISSING]
    if lacking:
        raise UserError(f"{name} lacks {', '.join(lacking)}")
    return cls(**{key: convert(types[key], value, f"{where}.{key}" if where else key) for key, value in data.items()})


def convert(kind: Any, value: Any, where: str) -> Any:
    """A JSON value as the annotated type `kind`; the only conversions are list -> tuple and int -> float."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _first_that_fits(args, value, where)
    if origin is Literal and value in args:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        inner = [args[0]] * len(value) if args[1:] == (...,) else list(args)
        if len(inner) == len(value):
            return tuple(convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(inner, value, strict=True)))
    if is_dataclass(kind):
        return from_dict(kind, value, where)
    if origin is dict and isinstance(value, dict):  # JSON's own mappings, whatever they hold
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (bool, int, str, NoneType) and type(value) is kind:
        return value
    wanted = getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
    raise UserError(f"{where}: {value!r} is not {wanted}")


def _first_that_fits(kinds: tuple, value: Any, where: str) -> Any:
    for kind in kinds:
        try:
            return convert(kind, value, where)
        except UserError:
            continue
    raise UserError(f"{where}: {value!r} is none of {', '.join(getattr(k, '__name__', str(k)) for k in kinds)}")
