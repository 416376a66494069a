"""The `.field` file: tokens, what they cover, and which model reads them.

Version 2 is a codec's (`tokenfield.fields.codec`): quantised, and a hundredth of the bytes. Version 1 holds tokens as
they are: a safetensors file with one tensor, `tokens`, so any safetensors reader can open it and nothing in it can run.
Its metadata has one entry, `tokenfield.field`, JSON with sorted keys, so that equal fields are equal files:

| key | value |
|---|---|
| `version` | 1, of this layout |
| `library` | version of the library that wrote it |
| `model` | `name` of the system, `origin` (what to load, a hint), `hash` of configuration and weights |
| `domain` | `kind` and its fields, see `tokenfield.fields.domains` |

Tokens mean nothing to any other model than the one that made them, hence the hash. Files are written beside their
place and renamed into it: a reader sees the old file or the new one, whole.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from tokenfield._version import __version__
from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.fields.codec.container import is_coded, opened
from tokenfield.io.atomic import shown, write_whole
from tokenfield.io.limits import DamagedJson, parse_json, tensor_file
from tokenfield.io.record import Record
from tokenfield.models.folder import ModelId

FORMAT = "tokenfield.field"
VERSION = 1


@dataclass(frozen=True)
class About:
    """The description in a file's metadata."""

    version: int
    library: str
    model: ModelId
    domain: Record


@dataclass(frozen=True)
class FieldFile(About):
    """What a `.field` file holds."""

    tokens: Tensor | None
    """As stored, float32 or float16; None when only the description was read, and of version 2, whose tokens take a
    model's tables to read."""
    shape: tuple[int, ...]
    """Of the tokens."""
    dtype: str
    """Of the tokens as stored, in safetensors' words: F32 or F16; in version 2 `coded`."""


def write_field(path: str | os.PathLike[str], tokens: Tensor, *, domain: Record, model: ModelId,
                dtype: torch.dtype = torch.float32) -> None:
    """Writes tokens of any shape, `Domain.to_dict()` and the model that reads them; replaces an existing file whole.

    float32 keeps every bit, float16 halves the file and rounds tokens to 11 bits. Raises UserError for another dtype,
    tokens that float16 cannot hold, or a file that cannot be written.
    """
    if dtype not in (torch.float32, torch.float16):
        raise UserError(f"a field stored as {dtype!s:.80}; torch.float32 and torch.float16 are known")
    stored = tokens.detach().to("cpu", dtype).contiguous()
    if not torch.isfinite(stored).all():
        largest = tokens.detach().abs().max().item()
        raise UserError(f"tokens up to {largest:g} do not fit {dtype} (or are not finite); store torch.float32")
    about = {"version": VERSION, "library": __version__, "model": asdict(model), "domain": domain}
    data = save({"tokens": stored}, {FORMAT: json.dumps(about, sort_keys=True)})
    write_whole(path, data)


def read_field(path: str | os.PathLike[str], *, tokens: bool = True) -> FieldFile:
    """Reads a `.field` file, or with `tokens=False` only its description, however large it is.

    Raises UserError for no such file, no `.field` file, a newer version, one that is damaged or cut short.
    """
    path = Path(path)
    if not os.path.isfile(path):  # False where the name is longer than names can be
        if not os.path.exists(path):
            raise UserError(f"no file {shown(path)}")
        what = "is a folder" if os.path.isdir(path) else "is no regular file"
        raise UserError(f"{shown(path)} {what}, not a .field file")
    if is_coded(path):
        with opened(path) as coded:
            header = coded.header
        return FieldFile(2, header.library, header.model, header.domain, None, header.shape, "coded")
    with tensor_file(path, ".field") as file:
        about = _description(path, file.metadata() or {})
        if (names := list(file.keys())) != ["tokens"]:
            raise UserError(f"{shown(path)} holds {len(names)} tensors, {str(names[:3])[:80]}; a .field file holds "
                            "one, 'tokens'")
        view = file.get_slice("tokens")
        shape, dtype = tuple(view.get_shape()), str(view.get_dtype())
        if dtype not in ("F32", "F16"):
            raise UserError(f"{shown(path)} holds tokens of type {dtype}; a .field file holds F32 or F16: the file is "
                            "damaged")
        stored = file.get_tensor("tokens") if tokens else None
    if stored is not None and not torch.isfinite(stored).all():
        raise UserError(f"{shown(path)} holds tokens that are not finite numbers; the file is damaged")
    return FieldFile(**vars(about), tokens=stored, shape=shape, dtype=dtype)


def _description(path: Path, metadata: dict[str, str]) -> About:
    """What a file of ours, of a version that this library reads, says about itself."""
    if FORMAT not in metadata:
        raise UserError(f"{shown(path)} is a safetensors file but no .field file; `tokenfield encode` makes one")
    try:
        data = parse_json(metadata[FORMAT])
    except DamagedJson as error:
        raise UserError(f"{shown(path)}: its description is damaged ({error})") from error
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(version, int) and version > VERSION:  # a newer layout may have others
        raise UserError(f"{shown(path)} is version {version} of the .field format, written by tokenfield "
                        f"{str(data.get('library', '?'))[:20]}; this tokenfield reads up to {VERSION}: install a newer "
                        "one")
    try:
        return from_dict(About, data)
    except UserError as error:
        raise UserError(f"{shown(path)}: its description is damaged ({error})") from error
