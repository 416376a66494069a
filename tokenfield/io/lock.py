"""One run, one folder: a lock, so that what two processes write into a folder over time is not mixed.

The operating system holds the lock for the process and lets go of it when the process ends, however it ends: a file
that was left behind locks nothing. It names the process, for the message that the other one gets.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.io.atomic import cannot_write, shown, target_of

try:
    import fcntl
except ImportError:  # Windows, where folders are not locked
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
_TAKEN: ContextVar[ExitStack | None] = ContextVar("taken", default=None)


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[None]:
    """A file that stands for something, made and locked by this process for the block, and removed after it.

    Its folder is made if need be. Where another process holds it, waits for that one, or raises BlockingIOError; where
    the system has no locks, nothing is held. Raises UserError where it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(path, wait)
    except BlockingIOError:
        raise
    except OSError as error:
        raise cannot_write(path.parent, error) from error
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

    Raises UserError where another process writes into it, or it cannot be made.
    """
    out, inside = target_of(out), ExitStack()
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        inside.enter_context(held(out / LOCK))
    except BlockingIOError as error:
        owner = ""
        with suppress(OSError):
            owner = (out / LOCK).read_text(errors="replace")[:80].strip()
        raise UserError(f"{shown(out)} is being written into by {shown(owner or 'another process')}; wait for it or "
                        "stop it, or give another folder") from error
    try:
        with inside:
            yield
    finally:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()  # a run that was refused leaves nothing


@contextmanager
def command() -> Iterator[None]:
    """What is taken in the block stays so until its end."""
    with ExitStack() as taken:
        before = _TAKEN.set(taken)
        try:
            yield
        finally:
            _TAKEN.reset(before)


def take(out: Path) -> None:
    """Locks a folder, see `locked`, until the command that runs has ended; before it looks at what lies there."""
    if (taken := _TAKEN.get()) is not None:
        taken.enter_context(locked(out))


def _acquire(path: Path, wait: bool) -> int | None:
    """The locked file's descriptor; None where the system has no locks. Raises BlockingIOError for a held one."""
    while fcntl is not None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
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
