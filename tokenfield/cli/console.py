"""What every command shares: results on stdout, everything else on stderr, progress, JSON, exit codes.

Results go to stdout, so that `tokenfield encode photos -o fields > list.txt` keeps them and nothing else; notices,
progress and errors go to stderr.
"""

import io
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield._version import __version__
from tokenfield.cli.types import SkippedFiles
from tokenfield.errors import printable
from tokenfield.evaluation import tables
from tokenfield.io.atomic import write_whole
from tokenfield.io.outputs import check_report
from tokenfield.io.progress import Bar as Bar
from tokenfield.io.record import Record, json_text

OK, FAILED, USAGE, SKIPPED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: all of it worked; it did not, one line on stderr says why; the command line was not understood; files of
a folder were skipped, which are named and counted on stderr; Ctrl-C, as shells count it: 128 + SIGINT."""

number = tables.number

Int = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Pixels = Annotated[int | None, tyro.conf.arg(metavar="PIXELS")]
Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
Json = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help="also write the results there, for machines.")]
Table = Annotated[Path | None, tyro.conf.arg(
    metavar="PATH", help="also write the table there, as its ending says: .csv, .tex (LaTeX) or .md.")]
Out = Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="PATH")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]


class Usage(Exception):
    """A command line that names no command, or options that the command does not have."""


def say(text: str = "") -> None:
    """A line of results."""
    print(printable(text))


def show(text: str) -> None:
    """Results of several lines."""
    for line in text.split("\n"):
        say(line)


def counted(count: int, noun: str) -> str:
    """`1 field`, `2 fields`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def show_table(rows: tables.Rows, path: Path | None = None) -> None:
    """A table of results, and the same as a file where a path is given."""
    show(tables.aligned(rows))
    if path is not None:
        tables.write(path, rows)


def notice(text: str) -> None:
    """A line that is no result: what was skipped, where something was saved."""
    print(printable(text), file=sys.stderr)


def fail(text: str) -> None:
    """The one line of an error, however many the message came with."""
    notice(f"tokenfield: error: {' '.join(text.splitlines())}")


def warn(message: object) -> None:
    """A Python warning as one line, without the path and the source line that Python would add."""
    notice(f"tokenfield: warning: {' '.join(str(message).split())}")


def prepare_streams() -> None:
    """What is printed never ends a command, nor gets into a file.

    Letters that a terminal, a log or a code page has no place for appear as \\uXXXX. A stream that the shell closed,
    `>&-`, is a bin: the first file to be opened would take its number, and what a library prints.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w" if number else "r"), encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_json(path: Path | None, command: str, results: Record) -> None:
    """The results for machines, whole or not at all, in the place of no other file; nothing without a path.

    Each begins with the command that wrote it and the version of this library; docs/json.md has the rest.
    """
    if path is not None:
        check_report(path)
        write_whole(path, json_text({"command": command, "tokenfield": __version__, **results}, indent=2))


def size_of(count: float | int) -> str:
    """Bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def finish(skipped: SkippedFiles, total: int) -> int:
    """The end of a folder run: name and count the `SkippedFiles`, if any, and choose the exit code."""
    if not skipped:
        return OK
    warn(skipped.summary(total))
    return FAILED if len(skipped) >= total else SKIPPED


def is_desktop() -> bool:
    """Whether a window can be opened and somebody is there to see it: a terminal, and on Linux a display."""
    display = not sys.platform.startswith("linux") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))
    return sys.stdout.isatty() and display


def progress(label: str, files: int = 1) -> closing[Bar]:
    """A `Bar` for the length of a block."""
    return closing(Bar(label, files))
