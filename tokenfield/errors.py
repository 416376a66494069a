"""The one exception a user is meant to read, those that mean a damaged file, and calls with wrong arguments."""

import functools
import inspect
import numbers
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, SupportsIndex, TypeVar, Union, get_args, get_origin

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError,
          AssertionError, RuntimeError, struct.error, zlib.error)
"""What decoders raise on damaged bytes. Pillow documents OSError; its plugins raise all of these on fuzzed files."""
LONGEST = 1000
"""Characters of a message; a longer one quotes a value that nobody reads, and its end says what to do."""
NUMBERS = {int: numbers.Integral, SupportsIndex: numbers.Integral, float: numbers.Real}
"""NumPy's numbers are numbers."""
C = TypeVar("C", bound=Callable[..., Any])


class UserError(ValueError):
    """Something the caller can put right: the message is one line.

    It says what was given, what is accepted and what to do. The command line prints it without a traceback; library
    users catch it as a `ValueError`. What is not printable in it, of a file's name perhaps, is escaped.
    """

    def __init__(self, message: object = ""):
        text = printable(str(message))
        super().__init__(text if len(text) <= LONGEST else f"{text[:LONGEST - 300]} ... {text[-300:]}")


def printable(text: str) -> str:
    """Text without what ends lines, controls terminals or is no letter: such characters are escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def explained(call: C) -> C:
    """The same call; where it fails on an argument that is not what its annotation says, UserError says so in a line.

    Nothing is looked at in calls that succeed: what serves as well as the annotated type is taken.
    """

    @functools.wraps(call)
    def explaining(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except UserError:
            raise
        except DAMAGE as error:
            if "nference tensor" in str(error):  # torch's own words are of autograd's
                raise UserError("a model or tensors made under torch.inference_mode, which autograd takes none of; "
                                "make them outside it, or under torch.no_grad") from error
            if (line := misfit(call, args, kwargs)) is None:
                raise
            raise UserError(line) from error

    return explaining  # type: ignore[return-value]


def explain_calls(owner: type, *names: str) -> None:
    """`explained` for methods of a class that are its own: those named, or all that are public, and `__call__`."""
    for name, method in list(vars(owner).items()):
        if name in names or (not names and (name == "__call__" or name[0] != "_")):
            if isinstance(method, classmethod):
                setattr(owner, name, classmethod(explained(method.__func__)))
            elif inspect.isfunction(method):
                setattr(owner, name, explained(method))


def misfit(call: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> str | None:
    """What is wrong with the first argument that is not of its annotated type; None where none is."""
    signature = inspect.signature(call)
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError:  # too many, or of other names, which Python says
        return None
    for name, value in bound.items():
        one = signature.parameters[name]
        for each in value if one.kind is one.VAR_POSITIONAL else (value,):
            if not fits(each, one.annotation):
                kind = re.sub(r"\b[a-z_.]+\.", "", inspect.formatannotation(one.annotation))  # without modules
                given = f"{type(each).__name__}{', sparse or on the device meta' * (not has_values(each))}"
                return f"{call.__qualname__} got {name} of type {given}; give {kind}"
    return None


def has_values(value: object) -> bool:
    """Whether a tensor, or a grid of some, is dense and has numbers; so has what is neither."""
    return not any(getattr(value, name, False) for name in ("is_sparse", "is_meta"))


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of an annotated type, which may have a shape; True where only its use can tell."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin in NUMBERS:
        return isinstance(value, NUMBERS[origin])
    if isinstance(value, str) and origin is Sequence:  # it is one, of letters
        return False
    try:
        if origin is inspect.Parameter.empty or (isinstance(value, origin) and has_values(value)):
            return not isinstance(value, tuple | list) or all(fits(one, inner[0]) for one in value if inner)
        return False
    except TypeError:  # a name in quotes, a type variable
        return True
