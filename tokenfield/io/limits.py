"""Reading what a stranger wrote: JSON and tensors that are no larger than what they describe.

A file of two kilobytes can hold brackets a hundred thousand deep, an integer of a million digits, or the sizes of a
picture that no memory holds. All descriptions come in through `parse_json` or `read_json`, all weights and tokens
through `tensor_file`; what uses their numbers compares them with the tensors beside them before anything is built.
"""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Protocol, runtime_checkable

from safetensors import SafetensorError, safe_open
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.io.atomic import shown

DESCRIPTION = 16 << 20
"""Bytes of the longest JSON that is parsed: a globe's axes and mask take one, a listing of ShapeNet five million."""
DEEPEST = 64
"""Brackets inside brackets: configurations nest six deep."""
HEADER = 32 << 20
"""Bytes of the longest header of a safetensors file: names and shapes of a hundred thousand tensors."""


def memory() -> int:
    """Bytes of this machine's memory, where the system says how many; what there is of it is less."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 40


class DamagedJson(ValueError):
    """Text that is no JSON, or JSON that no file of ours holds."""


def parse_json(text: str | bytes, longest: int = DESCRIPTION) -> object:
    """JSON with finite numbers of at most 64 bits, at most `DEEPEST` deep. Raises DamagedJson, in a few words."""
    if len(text) > longest:
        raise DamagedJson(f"{len(text) / 1e6:.0f} MB of JSON; at most {longest / 1e6:.0f} are read")
    try:
        data = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_constant)
    except RecursionError as error:
        raise DamagedJson("brackets nested too deep") from error
    except DamagedJson:
        raise
    except ValueError as error:  # not UTF-8, or no JSON
        raise DamagedJson(" ".join(str(error).split())[:80]) from error
    _check_depth(data)
    return data


def read_json(path: Path) -> object:
    """`parse_json` of a file. Raises UserError, with the file's name, also where it cannot be read."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UserError(f"{shown(path)} is no regular file; give a JSON file")
        if (size := path.stat().st_size) > DESCRIPTION:
            raise UserError(f"{shown(path)}: {size / 1e6:.0f} MB of JSON; at most {DESCRIPTION / 1e6:.0f} are read")
        return parse_json(path.read_bytes())
    except DamagedJson as error:
        raise UserError(f"{shown(path)} is damaged or no JSON file ({error})") from error
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read ({error.strerror or error})") from error


def _whole(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**63:
        raise DamagedJson(f"an integer of {len(text)} digits")
    return number


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise DamagedJson(f"a number beyond all bounds, {text[:20]}")
    return number


def _constant(text: str) -> float:
    raise DamagedJson(f"{text}, which is no JSON")


def _check_depth(data: object) -> None:
    level = [data]
    for _ in range(DEEPEST):
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [one for part in inner for one in part]
        if not level:
            return
    if any(isinstance(one, dict | list) for one in level):
        raise DamagedJson(f"brackets nested more than {DEEPEST} deep")


@runtime_checkable
class TensorView(Protocol):
    """A tensor of a file, unread."""

    def get_shape(self) -> list[int]: ...
    def get_dtype(self) -> str: ...


@runtime_checkable
class TensorFile(Protocol):
    """What `safetensors.safe_open` gives."""

    def keys(self) -> list[str]: ...
    def metadata(self) -> dict[str, str] | None: ...
    def get_slice(self, name: str) -> TensorView: ...
    def get_tensor(self, name: str) -> Tensor: ...


@contextmanager
def tensor_file(path: str | os.PathLike[str], kind: str = "safetensors", remedy: str = "") -> Iterator[TensorFile]:
    """A safetensors file, opened, which messages call a `kind` file. Raises UserError for what is damaged or none.

    `remedy` ends its line. Nothing is allocated for its tensors: the library compares what the header says with the
    size of the file.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise SafetensorError("no regular file")
        with open(path, "rb") as raw:
            (length,) = struct.unpack("<Q", raw.read(8).ljust(8, b"\0"))
            if length > HEADER:
                raise SafetensorError(f"a header of {length:g} bytes")
            # Names that are not UTF-8 are none to the library, but it opens what is open already.
            with safe_open(path if str(path).isprintable() else f"/dev/fd/{raw.fileno()}", "pt") as file:
                yield file
    except (SafetensorError, OSError) as error:
        detail = str(error).splitlines()[0][:160]
        raise UserError(f"{shown(path)} is no {kind} file, or is damaged or cut short ({detail}){remedy}") from error


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """All tensors of a safetensors file by their names. Raises UserError like `tensor_file`."""
    with tensor_file(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dictionary
