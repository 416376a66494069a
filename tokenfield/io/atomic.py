"""Writing a file or a folder so that it is whole or absent, never half."""

import contextlib
import errno
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import BinaryIO

from tokenfield.errors import UserError

REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would be larger than is allowed here; choose another folder or raise the limit",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EISDIR: "it is a folder; give a file name",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another name",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another name",
    errno.ELOOP: "it is a link that leads back to itself; give another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}
"""What to tell a user about an error number. Everything else gets the system's own words."""


ASIDE = ".tmp-"
"""How the name of a folder begins that is being written."""


def shown(path: object) -> str:
    """The path as it may stand in a one-line message: names with control characters are quoted and escaped."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def typed(*words: object) -> str:
    """Words of a command, paths among them, as a POSIX shell takes them: in one line that can be printed."""
    texts = [f"./{word}" if isinstance(word, Path) and str(word)[:1] == "-" else str(word) for word in words]
    return " ".join(shlex.quote(text) if text.isprintable() else "$'" + "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}" for byte in os.fsencode(text)) + "'"
        for text in texts)


class BadName(UserError):
    """A name that the disk does not take: it costs a folder run one file."""


def cannot_write(path: object, error: OSError) -> UserError:
    """The one line for a failed write."""
    reason = REASONS.get(error.errno or 0) or f"{error.strerror or error}; choose another folder"
    kind = BadName if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL) else UserError
    return kind(f"cannot write {shown(path)}: {reason}")


OPEN_HERE = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/self/fd/\d+")


def takes_bytes(path: Path) -> bool:
    """Whether a path is no place for a file: /dev/stdout, whatever that is, a device, a pipe."""
    return bool(OPEN_HERE.fullmatch(str(path))) or (
        os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write to that becomes `path` when the block ends without an exception.

    The bytes go to a hidden neighbour, are flushed to the disk, and the neighbour is renamed over `path` in one step:
    readers, and a process killed at any moment, see the old file or the new one. Missing parent folders are made. Where
    `path` is a symbolic link, the file it points to is replaced; a device or a pipe is written to as it is. Raises
    UserError where it cannot be written.
    """
    if takes_bytes(path):
        try:
            print(end="", flush=True)  # what was printed before comes before
            with open(path, "ab") as file:
                yield file
        except OSError as error:
            raise cannot_write(path, error) from error
        return
    target = target_of(path)
    mark = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]  # a name may have the 255 bytes there are
    aside = target.with_name(f".{mark}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target.parent, f".{mark}.*.part")
        with open(aside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a rename may reach the disk before the data it names
        os.replace(aside, target)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()  # nothing to remove after a successful rename


def target_of(path: Path) -> Path:
    """Where links lead, also to what is not there yet. Raises UserError where they go round."""
    if "\0" in str(path):
        raise cannot_write(path, OSError(errno.EINVAL, "a name holds no null character"))
    target = Path(os.path.realpath(path))
    if os.path.islink(target):  # False where the name is longer than names can be, which is said when it is written
        raise cannot_write(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
    return target


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Removes what killed processes left that were writing: names that end in .PID-RANDOM.part, or .PID-RANDOM."""
    for leftover in folder.glob(pattern):
        process = re.search(r"\.(\d+)-[0-9a-f]{8}(\.part)?$", leftover.name)
        if process and not alive(int(process[1])):
            with contextlib.suppress(OSError):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def alive(process: int) -> bool:
    """Whether a process of this machine runs. Those of other machines that share a disk are taken for dead."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """A new folder to write files to that becomes `path`, which may not exist, when the block ends without exception.

    It is a neighbour `.tmp-NAME...`, is flushed to the disk with all files in it, and renamed. What a process that was
    killed left behind is removed by the next one that writes this folder; after an exception it is removed at once.
    Where `path` is a symbolic link, the folder appears where it points to. Raises UserError where it, or a file in it,
    cannot be written.
    """
    target = target_of(path)
    aside = target.with_name(f"{ASIDE}{target.name[:40]}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        remove_leftovers(target.parent, f"{ASIDE}{escape(target.name[:40])}.*")
        aside.mkdir(parents=True)
        yield aside
        for entry in (*aside.rglob("*"), aside):
            _flush(entry)
        os.replace(aside, target)
        _flush(target.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    except UserError as error:
        if shown(aside) not in str(error):
            raise
        raise UserError(str(error).replace(shown(aside), shown(path))) from error  # a file by the name it would have
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # nothing to remove after a successful rename


def _flush(path: Path) -> None:
    """Wait until a file or a directory entry is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes bytes, or text as UTF-8, so that the file is whole or as it was. Raises UserError like `written_aside`.

    Names of files that are not UTF-8 are escaped in it.
    """
    with written_aside(Path(path)) as file:
        file.write(data.encode(errors="backslashreplace") if isinstance(data, str) else data)
