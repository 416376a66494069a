"""Shards: tar files of pictures, as WebDataset packs them, so that a million pictures are not a million files.

A path may lead into a shard as into a folder, `train-000017.tar/n01440764_10026.jpg`: what reads pictures from files
then reads them from shards. A shard's index, where every member lies, is made once, by walking its headers, and kept in
the cache; after that any member is one seek and one read, in any order. Members are stored as they are: a compressed
tar (`.tar.gz`) has no places to seek to.

A member `KEY.cls` holds the class of `KEY.jpg`, a number (WebDataset's convention).
"""

import functools
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np

from tokenfield.io import cache
from tokenfield.io.cache import cache_folder

ENDING = ".tar"
NO_LABEL = -1
LONGEST = 4096
"""Bytes of a member's name, as of a path on disks: every entry of an index has room for the longest one."""

OpenFile = io.BufferedReader | io.BytesIO
"""A picture file, opened, on disk or from a shard."""
Index = np.ndarray
"""Records (name, offset, size, label) of a shard's regular members, sorted by name."""


def shard_of(path: Path) -> Path | None:
    """The shard that a path leads into; None for any other path."""
    return next((part for part in path.parents if part.name.lower().endswith(ENDING) and part.is_file()), None)


def scan(shard: Path) -> tuple[Index, bool]:
    """Walks a shard's headers: its index, and whether the shard is whole; of one that is cut off, what there is."""
    rows, labels, whole = [], {}, True
    length = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./").encode("utf-8", "surrogateescape")
                there = 0 <= member.size <= length - member.offset_data and len(name) <= LONGEST
                if not member.isreg() or not there:
                    continue
                rows.append((name, member.offset_data, member.size))
                if member.name.endswith(".cls") and member.size < 32:
                    labels[key(name)] = int((tar.extractfile(member) or io.BytesIO()).read())
            whole = not any(block_at(shard, tar.offset))  # of a header that is damaged, some versions only stop there
    except (tarfile.TarError, ValueError, EOFError, OverflowError, MemoryError):  # of sizes that no file has
        whole = False
    longest = max((len(name) for name, _, _ in rows), default=1)
    kind = np.dtype([("name", f"S{longest}"), ("offset", np.uint64), ("size", np.uint64), ("label", np.int64)])
    index = np.array([(*row, labels.get(key(row[0]), NO_LABEL)) for row in rows], kind)
    return np.sort(index, order="name"), whole


def block_at(file: Path, offset: int) -> bytes:
    """A block of a tar file: zeros at the end of what it holds, nothing at the end of the file."""
    with open(file, "rb") as raw:
        raw.seek(offset)
        return raw.read(tarfile.BLOCKSIZE)


def key(name: bytes) -> bytes:
    """A member's name without its endings: what a picture and its class share."""
    folder, slash, last = name.rpartition(b"/")
    return folder + slash + last.partition(b".")[0]


@functools.lru_cache(cache.OPEN_FILES)
def index_of(shard: Path) -> tuple[Index, bool]:
    """`scan`, from the cache where the shard was walked before. Raises OSError, or UserError where nothing is kept."""
    file = cache_folder() / "shards" / f"{hashlib.sha256(cache.identity(shard)).hexdigest()[:32]}.npy"
    if (known := cache.open_array(file)) is not None:
        return known, True
    index, whole = scan(shard)
    return (cache.cached(file, lambda: index), True) if whole else (index, False)


def members(shard: Path) -> list[tuple[str, int]]:
    """Names of a shard's members, sorted, and their classes, `NO_LABEL` where none is given."""
    index, _ = index_of(shard)
    names = (name.decode("utf-8", "surrogateescape") for name in index["name"].tolist())
    return list(zip(names, index["label"].tolist(), strict=True))


def identity(path: Path) -> bytes:
    """What tells a file, or a member of a shard, from its later versions (`cache.identity`)."""
    shard = shard_of(path)
    return cache.identity(path) if shard is None else cache.identity(shard) + f"\0{path.relative_to(shard)}".encode()


def place_of(path: Path) -> tuple[Path, int, int]:
    """A member's shard, where its bytes begin, and how many they are. Raises KeyError where it is not there."""
    shard = shard_of(path)
    assert shard is not None, f"{path} leads into no shard"
    index, _ = index_of(shard)
    name = path.relative_to(shard).as_posix().encode("utf-8", "surrogateescape")
    place = int(np.searchsorted(index["name"], name))
    if place == len(index) or index["name"][place] != name:
        raise KeyError(path.name)
    return shard, int(index["offset"][place]), int(index["size"][place])


def open_member(path: Path) -> io.BytesIO:
    """The bytes of a member. Raises KeyError where the shard has none of this name, OSError."""
    shard, offset, size = place_of(path)
    with open(shard, "rb") as file:
        file.seek(offset)
        return io.BytesIO(file.read(size))


def size_of(path: Path) -> int:
    """Bytes of a file, or of a member of a shard. Raises OSError, KeyError."""
    return place_of(path)[2] if shard_of(path) else path.stat().st_size
