"""One run, one folder: a lock, so that two trainings cannot mix their checkpoints, recipe and metrics.

The operating system holds the lock for the process and lets go of it when the process ends, however it ends: a file
that was left behind locks nothing. It names the process, for the message that the other one gets.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.io.atomic import cannot_write, shown

try:
    import fcntl
except ImportError:  # Windows, where folders are not locked
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """A file that stands for something, made and locked by this process for the block, and removed after it.

    Raises BlockingIOError where another process holds it; where the system has no locks, nothing is held.
    """
    descriptor = _acquire(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """The folder of a run, made if need be, for this process alone in the block.

    Raises UserError where another process trains into it, or it cannot be made.
    """
    existed, inside = out.exists(), ExitStack()
    try:
        out.mkdir(parents=True, exist_ok=True)
        inside.enter_context(held(out / LOCK))
    except BlockingIOError as error:
        owner = ""
        with suppress(OSError):
            owner = (out / LOCK).read_text(errors="replace")[:80].strip()
        raise UserError(f"{shown(out)} is being trained into by {shown(owner or 'another process')}; wait for it or "
                        "stop it, or train into another folder with --out") from error
    except OSError as error:
        raise cannot_write(out, error) from error
    try:
        with inside:
            yield
    finally:
        with suppress(OSError):
            if not existed:
                out.rmdir()  # a run that was refused leaves nothing


def _acquire(path: Path) -> int | None:
    """The locked file's descriptor; None where the system has no locks. Raises BlockingIOError for a held one."""
    while fcntl is not None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:  # a network disk without locks
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            with suppress(OSError):  # a full disk holds the lock, if not the name
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)  # the run that held it ended meanwhile and removed the file
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
