"""Version 2 of the `.field` file: a header of some dozen bytes, an index, and streams of coded tokens.

| bytes | what |
|---|---|
| 4 | `MAGIC` |
| 4, 3 | CRC-32 of the header, its length; the header is what follows, to the end of the index |
| 4 | CRC-32 of all streams |
| 1, n | the model's hash: 32 bytes, or the first 8 for a packaged model, after their number |
| 4 | the name of its tables (`tokenfield.fields.codec.tables`) |
| 2 | step of the quantisation, in 1/256 of an 8-bit level |
| text x 3 | the library's version, the model's system, its origin; a text is its length, one byte, and UTF-8 |
| numbers | the tokens' shape (a count, then sizes), rows of a stripe, layers |
| domain | kind, 0 for a lattice: height, width, cell, block; 1: JSON, its length before it |
| index | per layer and stripe in that order: length of the stream, and 2 bytes of CRC-16 if it is not 0 |
| streams | in the order of the index |

Numbers are in base 128, the lowest seven bits first, the eighth set in all bytes but the last. Layers go from coarse to
fine, so a prefix of a file is a file of a coarser field; a stripe is some rows of cells and needs no other one.
"""

import binascii
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import ceil, prod
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.limits import parse_json
from tokenfield.io.record import Record
from tokenfield.models.folder import ModelId, list_models

MAGIC = b"\xf7TF2"
FIXED = 11
"""Bytes before the header."""
MOST = 1 << 40
"""Larger numbers are damage."""
BLANK, DENSEST = 1 << 21, 1 << 11
"""Values of tokens that any file may hold, and how many more for each of its bytes, so that a small file cannot fill a
memory. A photograph has below 500 a byte; what is blank has more, and its streams are made longer (`pack`)."""
SHEET, DENSE = 1 << 25, 1 << 9
"""Of pictures larger than a blank sheet of paper at 300 dots per inch, no more values a byte than of photographs."""


@dataclass(frozen=True)
class Header:
    """What a file says before its streams."""

    model: ModelId
    """A packaged model's hash is cut to 16 hexadecimal digits."""
    tables: bytes
    step: int
    library: str
    shape: tuple[int, ...]
    """Of the tokens: rows, columns, ..., width."""
    stripe: int
    layers: int
    domain: Record

    @property
    def stripes(self) -> int:
        """How many."""
        return ceil(self.shape[0] / self.stripe)

    def rows(self, stripe: int) -> tuple[int, int]:
        """First row of a stripe, and the first after it."""
        return stripe * self.stripe, min((stripe + 1) * self.stripe, self.shape[0])


def pack(header: Header, streams: list[list[bytes]]) -> bytes:
    """A whole file; `streams[stripe][layer]`."""
    out = io.BytesIO()
    digest = bytes.fromhex(header.model.hash)[: 8 if header.model.origin in list_models() else 32]
    out.write(bytes([len(digest)]) + digest + header.tables + header.step.to_bytes(2, "little"))
    for text in (header.library, header.model.name, header.model.origin or ""):
        data = text.encode(errors="backslashreplace")
        data = data if len(data) < 256 else b""  # of a long path; the model is known by its hash
        out.write(bytes([len(data)]) + data)
    for number in (len(header.shape), *header.shape, header.stripe, header.layers):
        out.write(packed(number))
    out.write(_packed_domain(header.domain))
    ordered = [stripe[layer] for layer in range(header.layers) for stripe in streams]
    values = prod(header.shape)
    lacking = max(-((BLANK - values) // DENSEST), -((SHEET - values) // DENSE)) - sum(map(len, ordered))
    if lacking > 0 and any(ordered):  # zeros after a stream are in it already (`entropy.Decoder`)
        longest = max(range(len(ordered)), key=lambda i: len(ordered[i]))
        ordered[longest] += bytes(lacking)
    for stream in ordered:
        out.write(packed(len(stream)) + (_crc16(stream) if stream else b""))
    body, described = b"".join(ordered), out.getvalue()
    checked = binascii.crc32(body).to_bytes(4, "little") + described
    if len(checked) >= 1 << 24:
        raise UserError(f"an index of {len(checked)} bytes; cut the picture into smaller ones")
    start = MAGIC + binascii.crc32(checked).to_bytes(4, "little") + len(checked).to_bytes(3, "little")
    if not plausible(header.shape, length := len(start) + len(checked) + len(body)):
        raise UserError(f"tokens {header.shape} in {length} bytes are more than a reader takes; store them as they are "
                        "(--lossless)")
    return start + checked + body


def plausible(shape: tuple[int, ...], length: int) -> bool:
    """Whether a file of so many bytes may hold tokens of a shape."""
    return prod(shape) <= min(BLANK + DENSEST * length, SHEET + DENSE * length)


def is_coded(path: Path) -> bool:
    """Whether a file begins as one of version 2 does."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise UserError(f"cannot read {shown(path)}: {error.strerror or error}") from error


@contextmanager
def opened(source: Path | bytes) -> Iterator["CodedFile"]:
    """A file of version 2, or the bytes of one, its header read and checked."""
    if isinstance(source, bytes):
        yield CodedFile(Path("the field"), io.BytesIO(source))
        return
    with open(source, "rb") as file:
        yield CodedFile(source, file)


class CodedFile:
    """An open file of version 2: its header at once, its streams when asked for.

    Raises UserError, one line, for what is no such file or is damaged; so does every method.
    """

    def __init__(self, path: Path, file: io.BufferedIOBase):
        self.path, self.file = path, file
        start = file.read(FIXED)
        header = file.read(int.from_bytes(start[8:], "little"))
        if len(start) < FIXED or len(header) < int.from_bytes(start[8:], "little"):
            raise UserError(f"{shown(path)} is cut short within its header; get it again")
        if start[:4] != MAGIC or binascii.crc32(header).to_bytes(4, "little") != start[4:8]:
            raise UserError(f"{shown(path)} is damaged: its header does not agree with its checksum; get it again")
        try:
            self.body, self.header, streams = parse(header)
        except ValueError as error:  # a right checksum, and yet
            raise UserError(f"{shown(path)} is damaged: {error}; get it again") from error
        if not plausible(self.header.shape, length := size_of(file)):
            raise UserError(f"{shown(path)} is damaged or cut short: {length} bytes for tokens {self.header.shape}")
        ends = list(accumulate((length for length, _ in streams), initial=FIXED + len(header)))
        self.places = [(end, *stream) for end, stream in zip(ends, streams, strict=False)]
        self.size = ends[-1]

    def check_whole(self) -> None:
        """Raises UserError unless all streams are there as they were written."""
        there = size_of(self.file)
        if there < self.size:
            raise UserError(f"{shown(self.path)} is cut short: {there} of {self.size} bytes; get it again, or see what "
                            "is there with --partial")
        if there > self.size:
            raise UserError(f"{shown(self.path)} is damaged: {there - self.size} bytes follow its end; get it again")
        self.file.seek(self.places[0][0])
        if binascii.crc32(self.file.read()).to_bytes(4, "little") != self.body:
            raise UserError(f"{shown(self.path)} is damaged: its content does not agree with its checksum; get it "
                            "again")

    def streams(self, stripe: int, *, partial: bool = False) -> list[bytes]:
        """The streams of a stripe, layer by layer; with `partial`, those that are there whole."""
        out, there = [], size_of(self.file)
        for layer in range(self.header.layers):
            start, length, check = self.places[layer * self.header.stripes + stripe]
            self.file.seek(start)
            stream = self.file.read(min(length, there))  # no buffer for more than there is
            if len(stream) < length and partial:
                break
            if stream and _crc16(stream) != check:
                raise UserError(f"{shown(self.path)} is damaged: stripe {stripe} of its layer {layer} does not agree "
                                "with its checksum; get it again")
            out.append(stream)
        return out


@lru_cache(maxsize=64)
def parse(data: bytes) -> tuple[bytes, Header, tuple[tuple[int, bytes], ...]]:
    """A header's bytes: the checksum of all streams, what it says, and every stream's length and checksum.

    Raises ValueError for what makes no sense.
    """
    reader = _Reader(data)
    body = reader.bytes(4)
    digest, tables = reader.bytes(reader.bytes(1)[0]), reader.bytes(4)
    step = int.from_bytes(reader.bytes(2), "little")
    library, name, origin = (reader.bytes(reader.bytes(1)[0]).decode() for _ in range(3))
    shape = tuple(reader.number() for _ in range(reader.number(8)))
    stripe, layers = reader.number(), reader.number(255)
    domain = _read_domain(reader)
    positive = all((*shape, stripe, layers, step)) and prod(shape) <= 1 << 32
    if not positive or len(shape) < 3 or not 8 <= len(digest) <= 32:
        raise ValueError(f"tokens {shape}, stripes of {stripe}")
    count = ceil(shape[0] / stripe) * layers
    if count > len(data):
        raise ValueError("an index longer than the header")
    lengths = (reader.number() for _ in range(count))
    streams = tuple((length, reader.bytes(2) if length else b"") for length in lengths)
    model = ModelId(name, origin or None, digest.hex())
    return body, Header(model, tables, step, library, shape, stripe, layers, domain), streams


def size_of(file: io.BufferedIOBase) -> int:
    """Bytes of an open file; its position stays."""
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(here)
    return end


class _Reader:
    """Reads a header."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise ValueError("its header ends early")
        return self.data[self.at - count : self.at]

    def number(self, most: int = MOST) -> int:
        value = shift = 0
        while True:
            (byte,) = self.bytes(1)
            value |= (byte & 127) << shift
            shift += 7
            if value > most or shift > 49:
                raise ValueError(f"a number above {most}")
            if byte < 128:
                return value


def packed(number: int) -> bytes:
    """A number in base 128."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _packed_domain(domain: Record) -> bytes:
    if set(domain) == {"kind", "size", "cell", "block"} and domain["kind"] == "lattice":
        return b"".join(map(packed, (0, *domain["size"], domain["cell"], domain["block"])))
    text = json.dumps(domain, sort_keys=True, separators=(",", ":")).encode()
    return packed(1) + packed(len(text)) + text


def _read_domain(reader: _Reader) -> Record:
    if reader.number(1) == 0:
        height, width, cell, block = (reader.number() for _ in range(4))
        return {"kind": "lattice", "size": [height, width], "cell": cell, "block": block}
    domain = parse_json(reader.bytes(reader.number(1 << 24)))
    if not isinstance(domain, dict):
        raise ValueError("its domain is no JSON object")
    return domain


def _crc16(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")
