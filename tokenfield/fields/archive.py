"""Many fields in one file, in any order: a data set's latents as the bytes of coded `.field` files.

    files of version 2, one after the other | index, JSON: [name, start, length] of each | its length and CRC-32, MAGIC

The index stands last, so that a file is written in one go however many pictures there are, and is read first.
"""

import binascii
import json
import os
from collections.abc import Iterable
from itertools import accumulate
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tokenfield.errors import UserError
from tokenfield.fields import coded_field
from tokenfield.fields.codec.container import CodedFile, Header, opened
from tokenfield.fields.domains import domain_from_dict
from tokenfield.fields.field import Field
from tokenfield.io.atomic import shown, written_aside
from tokenfield.io.limits import parse_json
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel

MAGIC = b"\xf7TFA"
TAIL = 8 + 4 + len(MAGIC)


def write_archive(path: Path, fields: Iterable[tuple[str, bytes]]) -> int:
    """Writes coded fields with their names, whole or not at all; gives back how many bytes the file has."""
    index: list[tuple[str, int, int]] = []
    with written_aside(path) as file:
        for name, data in fields:
            index.append((name, file.tell(), len(data)))
            file.write(data)
        listing = json.dumps(index).encode()
        file.write(listing + len(listing).to_bytes(8, "little") + binascii.crc32(listing).to_bytes(4, "little") + MAGIC)
        return file.tell()


def entries(index: object, size: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Names and places of what an index lists. Raises ValueError or TypeError for what no file of so many bytes has."""
    if not isinstance(index, list):
        raise TypeError("no index")
    for name, start, length in index:
        if not (isinstance(name, str) and isinstance(start, int) and isinstance(length, int)
                and 0 <= start <= start + length <= size):
            raise ValueError("an entry that lies elsewhere")
    return [name for name, _, _ in index], [(start, length) for _, start, length in index]


class Unpacked:
    """A file of tokens of these shapes, float32: first a byte per entry, 1 if it is there, then the entries.

    It is opened anew for every entry, so that workers of any kind can share it; two of them write the same.
    """

    def __init__(self, path: Path, shapes: list[tuple[int, ...]]):
        self.path, self.shapes = path, shapes
        begin = -(-len(shapes) // 64) * 64
        self.starts = [begin, *(begin + 4 * total for total in accumulate(map(prod, shapes)))]
        with open(path, "ab") as file:
            file.truncate(self.starts[-1])

    def has(self, index: int) -> bool:
        """Whether an entry is there."""
        with open(self.path, "rb") as file:
            file.seek(index)
            return file.read(1) == b"\1"

    def put(self, index: int, tokens: Tensor) -> None:
        """Write an entry, and then that it is there."""
        with open(self.path, "r+b") as file:
            file.seek(self.starts[index])
            file.write(tokens.contiguous().numpy().tobytes())
            file.flush()
            file.seek(index)
            file.write(b"\1")

    def get(self, index: int) -> Tensor:
        """Read an entry."""
        tokens = np.fromfile(self.path, np.float32, prod(self.shapes[index]), offset=self.starts[index])
        return torch.from_numpy(tokens).view(self.shapes[index])


class FieldArchive(Dataset[Tensor]):
    """A data set of tokens: `archive[i]` are those of one picture, (rows, columns, D), float32.

    `field(i)` is the field itself. Entries are read and decoded when asked for, in any order and by any number of
    workers. `model` is the one that made them; None loads the one that the first entry names.

    `unpacked` is a folder, perhaps an empty one, where tokens stay as they are once they were decoded: from then on
    they are read from there, as fast as raw latents, and take as much room as these.

    Raises:
        UserError: a file that is none, or is damaged.
    """

    def __init__(self, path: str | os.PathLike[str], model: FieldModel | None = None, *,
                 unpacked: str | os.PathLike[str] | None = None):
        self.path = Path(path)
        try:
            size = self.path.stat().st_size
            with open(self.path, "rb") as file:
                file.seek(max(0, size - TAIL))
                tail = file.read(TAIL)
                length = min(size, int.from_bytes(tail[:8], "little"))
                file.seek(max(0, size - TAIL - length))
                listing = file.read(length)
            whole = tail[12:] == MAGIC and binascii.crc32(listing).to_bytes(4, "little") == tail[8:12]
            index = parse_json(listing, len(listing)) if whole else None
            self.names, self._places = entries(index, size)
        except OSError as error:
            raise UserError(f"cannot read {shown(path)}: {error.strerror or error}") from error
        except (TypeError, ValueError) as error:
            raise UserError(f"{shown(path)} is no archive of fields, or is damaged or cut short; make it again with "
                            "tokenfield latents --bytes") from error
        if model is None and index:
            with opened(self.data(0)) as first:
                model = pretrained.find_model(self.path, first.header.model)
        self.model = model
        self._unpacked = None if unpacked is None else self._unpack(Path(unpacked), tail[8:12])

    def _unpack(self, folder: Path, index_crc: bytes) -> Unpacked:
        """The file that decoded tokens of this very archive go to."""
        shapes = []
        for index in range(len(self)):
            with opened(self.data(index)) as file:
                shapes.append(file.header.shape)
        stat = self.path.stat()
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.path.stem}-{index_crc.hex()}-{stat.st_size:x}-{stat.st_mtime_ns:x}.tokens"
        return Unpacked(folder / name, shapes)

    def __len__(self) -> int:
        return len(self._places)

    def data(self, index: int) -> bytes:
        """The bytes of an entry: a `.field` file of its own."""
        start, length = self._places[index]
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(length)

    def __getitem__(self, index: int) -> Tensor:
        if self._unpacked is None:
            return self.field(index).tokens
        if not self._unpacked.has(index):
            self._unpacked.put(index, self.field(index).tokens)
        return self._unpacked.get(index)

    def field(self, index: int) -> Field:
        """The field of an entry. Raises IndexError for one that there is not, UserError for damaged ones."""
        assert self.model is not None, "an entry has a model"
        data = self.data(index)
        with opened(data) as file:
            header = self._check(file, index)
        domain = domain_from_dict(header.domain)
        return Field(self.model, coded_field.unpack(data, self.model, domain, coded_field.Part()), domain)

    def _check(self, file: CodedFile, index: int) -> Header:
        assert self.model is not None, "an entry has a model"
        if not pretrained.model_hash(self.model).startswith(file.header.model.hash):
            raise UserError(f"{self.names[index]} in {shown(self.path)} was made by {file.header.model}, another model")
        return file.header
