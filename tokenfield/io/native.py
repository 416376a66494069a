"""C++ beside a Python file, compiled when it is first needed and kept in the cache: optional, where it can be had.

The compiler is `$CXX` or g++, as for `torch.compile`; the library is named by a hash of source and flags, so that a
changed source is compiled anew and processes that compile at once write the same file.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenfield.errors import UserError
from tokenfield.io.atomic import write_whole
from tokenfield.io.cache import cache_folder

SECONDS = 120
"""What a compiler may take."""


@functools.cache
def library(source: Path, *flags: str) -> ctypes.CDLL:
    """The functions of a source file. Raises UserError where it cannot be compiled, and says why."""
    text = source.read_bytes()
    name = hashlib.sha256(b"\0".join([text, *map(str.encode, flags)])).hexdigest()[:16]
    file = cache_folder() / "native" / f"{source.stem}-{name}.so"
    if not file.is_file():
        write_whole(file, compiled(source, flags))
    try:
        return ctypes.CDLL(str(file))
    except OSError as error:
        raise UserError(f"{file}: it cannot be loaded ({error}); delete it and try again") from error


def compiled(source: Path, flags: tuple[str, ...]) -> bytes:
    """A shared library of the source."""
    compiler = shutil.which(os.environ.get("CXX") or "g++")
    if compiler is None:
        raise UserError(f"{source.name} needs a C++ compiler once; install g++, or name one in $CXX")
    with TemporaryDirectory() as folder:
        out = Path(folder, "out.so")
        command = [compiler, "-O3", "-std=c++17", "-fPIC", "-shared", *flags, "-o", str(out), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"{compiler}: {error}; name another C++ compiler in $CXX") from error
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
            raise UserError(f"{compiler} cannot compile {source.name}: {first}; name another compiler in $CXX")
        return out.read_bytes()
