"""The `.field` file: tokens, what they cover, and which model reads them.

It is a safetensors file with one tensor, `tokens`, so any safetensors reader can open it and nothing in it can run.
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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tokenfield._version import __version__
from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.io.atomic import write_whole
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
    """As stored, float32 or float16; None when only the description was read."""
    shape: tuple[int, ...]
    """Of the tokens."""
    dtype: str
    """Of the tokens as stored, in safetensors' words: F32 or F16."""


def write_field(
    path: str | os.PathLike[str], tokens: Tensor, *, domain: Record, model: ModelId, dtype: torch.dtype = torch.float32
) -> None:
    """Writes tokens of any shape, `Domain.to_dict()` and the model that reads them; replaces an existing file whole.

    float32 keeps every bit, float16 halves the file and rounds tokens to 11 bits. Raises UserError for another dtype,
    tokens that float16 cannot hold, or a file that cannot be written.
    """
    if dtype not in (torch.float32, torch.float16):
        raise UserError(f"a field stored as {dtype}; torch.float32 and torch.float16 are known")
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
    if not path.is_file():
        raise UserError(f"no file {path}" if not path.exists() else f"{path} is a folder, not a .field file")
    try:
        with safe_open(path, "pt") as file:
            about = _description(path, file.metadata() or {})
            if list(file.keys()) != ["tokens"]:
                raise UserError(f"{path} holds tensors {list(file.keys())}; a .field file holds one, 'tokens'")
            view = file.get_slice("tokens")
            shape, dtype = tuple(view.get_shape()), str(view.get_dtype())
            stored = file.get_tensor("tokens") if tokens else None
    except (SafetensorError, OSError) as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path} is no .field file, or is damaged or cut short ({detail})") from error
    if dtype not in ("F32", "F16"):
        raise UserError(f"{path} holds tokens of type {dtype}; a .field file holds F32 or F16: the file is damaged")
    if stored is not None and not torch.isfinite(stored).all():
        raise UserError(f"{path} holds tokens that are not finite numbers; the file is damaged")
    return FieldFile(**vars(about), tokens=stored, shape=shape, dtype=dtype)


def _description(path: Path, metadata: dict[str, str]) -> About:
    """What a file of ours, of a version that this library reads, says about itself."""
    if FORMAT not in metadata:
        raise UserError(f"{path} is a safetensors file but no .field file; `tokenfield encode` makes one")
    try:
        data = json.loads(metadata[FORMAT])
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: its description is damaged ({error})") from error
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:  # first of all: a newer layout may have other fields
        raise UserError(f"{path} is version {version} of the .field format, written by tokenfield "
                        f"{data.get('library', '?')}; this tokenfield reads up to {VERSION}: install a newer one")
    try:
        return from_dict(About, data)
    except UserError as error:
        raise UserError(f"{path}: its description is damaged ({error})") from error
