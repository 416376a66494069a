"""A codec's tables on disk: `codec.safetensors` in a model's folder, and what tells one fit from another."""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from tokenfield.errors import UserError
from tokenfield.fields.codec.contexts import PARTS, TABLES, Tables
from tokenfield.io.atomic import write_whole
from tokenfield.models import folder, pretrained
from tokenfield.models.base import FieldModel

HALF = {"weights": np.uint16}
"""Stored narrower than they are in memory."""


def save_tables(tables: Tables, model_folder: Path) -> None:
    """Write tables into a model's folder."""
    stored = {name: np.ascontiguousarray(getattr(tables, name)) for name in TABLES}
    stored |= {name: stored[name].astype(kind) for name, kind in HALF.items()}
    for part in PARTS:
        if (there := getattr(tables, part)) is not None:
            stored |= {f"{part}.{name}": np.ascontiguousarray(value) for name, value in vars(there).items()}
    write_whole(model_folder / folder.TABLES, save(stored))


def tables_of(model: FieldModel) -> tuple[Tables, bytes]:
    """The tables of a model and the four bytes that name them in files. Raises UserError where it has none."""
    path = None if model.origin is None else pretrained.folder_of(model.origin) / folder.TABLES
    if path is None or not path.is_file():
        raise UserError(f"the model {model.origin or model.name} has no {folder.TABLES} to code its tokens with; store "
                        "them as they are (--lossless), or take photos-codec")
    return load_tables(path)


@lru_cache(maxsize=8)
def load_tables(path: Path) -> tuple[Tables, bytes]:
    """The tables in a file, and their name. Raises UserError for what is damaged."""
    try:
        stored = load_file(path)
        widened = {name: stored[name].astype(np.int32) for name in HALF}
        tables = Tables(**{name: (stored | widened)[name] for name in TABLES}, basis=None, labels=None)
        for part, kind in PARTS.items():
            own = {name.removeprefix(f"{part}."): stored[name] for name in stored if name.startswith(f"{part}.")}
            tables = replace(tables, **{part: kind(**own)}) if own else tables
    except (SafetensorError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path} is damaged ({error})") from error
    named = [*TABLES, *sorted(name for name in stored if "." in name)]
    return tables, hashlib.sha256(b"".join(stored[name].tobytes() for name in named)).digest()[:4]
