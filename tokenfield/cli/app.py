"""`tokenfield COMMAND ...`: finds the command, reads its options, runs it, and turns what went wrong into one line.

Commands are functions; `tyro` makes their options from the signature and their help from the docstring. A command
imports torch and the models inside its body, so that `--help` and a mistyped option answer at once. It returns an exit
code (`tokenfield.cli.console`) or anything else for success.
"""

import errno
import functools
import io
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from difflib import get_close_matches
from typing import Any

import tyro

from tokenfield._version import __version__
from tokenfield.cli import console
from tokenfield.cli.console import Usage
from tokenfield.errors import UserError
from tokenfield.registry import COMMANDS

OS_REASONS = {
    errno.ENOENT: "no such file or folder",
    errno.EACCES: "permission denied; choose files and folders that you may use",
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
}
"""What to say of the system's errors that no command turned into a line of its own."""

DESCRIPTION = """\
A photograph becomes a small set of tokens; the tokens are a field you can ask anywhere, at any zoom.

`tokenfield COMMAND --help` explains a command. Exit codes: 0 all of it worked; 1 it did not, one line on stderr says
why; 2 the command line was not understood; 3 a folder was worked through but files were skipped, which are named and
counted; 130 Ctrl-C. `--debug`, or TOKENFIELD_DEBUG=1, shows the traceback of an error. `--version` prints the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: arguments without the program's name; those of this process by default.
    Returns:
        The exit code.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv or os.environ.get("TOKENFIELD_DEBUG", "0") not in ("", "0")
    argv = [argument for argument in argv if argument != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: console.warn(message)
            result = parse(argv)()
            sys.stdout.flush()  # a full disk or a closed pipe shows here, where it still has a line of its own
    except Usage as error:
        console.fail(str(error))
        return console.USAGE
    except (UserError, OSError, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        return explain(error)
    except SystemExit as stop:  # --help, --version, and a training run that saved and stopped at a signal
        return stop.code if isinstance(stop.code, int) else console.OK if stop.code is None else console.FAILED
    return result if isinstance(result, int) else console.OK


def explain(error: UserError | OSError | KeyboardInterrupt) -> int:
    """The one line for what stopped a command, and its exit code."""
    if isinstance(error, KeyboardInterrupt):
        console.fail("interrupted; what was finished before is kept")
        return console.INTERRUPTED
    if isinstance(error, OSError):
        give_up_stdout()
        if isinstance(error, BrokenPipeError):  # the reader of a pipe, `head`, has seen enough: no error of ours
            return 128 + signal.SIGPIPE
        reason = OS_REASONS.get(error.errno or 0) or error.strerror or str(error)
        console.fail(f"{error.filename}: {reason}" if error.filename is not None else reason)
    else:
        console.fail(str(error))
    return console.FAILED


def give_up_stdout() -> None:
    """If stdout cannot take what was printed, let nobody try again: Python would, at exit, and complain once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(argv: list[str]) -> Callable[[], Any]:
    """The command, ready to run with its options. Raises `Usage`, or SystemExit after printing help."""
    if argv[:1] == ["--version"]:
        return functools.partial(console.say, f"tokenfield {__version__}")
    if not argv:
        raise Usage(f"no command given; there are: {', '.join(COMMANDS)}; tokenfield --help explains")
    if argv[0] not in COMMANDS and not argv[0].startswith("-"):
        near = get_close_matches(argv[0], COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
        raise Usage(f"no command is called {argv[0]!r}; {hint}")
    if argv[0] == "train":
        from tokenfield.cli.train import train_parser

        return one_line(lambda: train_parser(argv[1:]))
    if argv[0] in COMMANDS:
        command = deferred(COMMANDS[argv[0]])
        return one_line(lambda: tyro.cli(command, prog=f"tokenfield {argv[0]}", args=argv[1:]))
    commands = {name: deferred(command, brief=True) for name, command in COMMANDS.items()}
    return one_line(
        lambda: tyro.extras.subcommand_cli_from_dict(commands, prog="tokenfield", description=DESCRIPTION, args=argv)
    )


def deferred(command: Callable[..., Any], *, brief: bool = False) -> Callable[..., Any]:
    """The same signature and docstring, but calling it only notes the arguments: parsing and running stay apart.

    Args:
        command: what to run later.
        brief: keep the first line of the docstring alone, for the list of commands.
    """

    @functools.wraps(command)
    def note(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        return functools.partial(command, *args, **kwargs)

    if brief:
        note.__doc__ = (command.__doc__ or "").strip().split("\n")[0]
    return note


def one_line(parser: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    """Runs a parser of `tyro` and turns the box that it draws around a complaint into a `Usage` of one line."""
    drawn = io.StringIO()
    try:
        with redirect_stderr(drawn):
            return parser()
    except SystemExit as stop:
        if not stop.code:
            raise
        raise Usage(condensed(drawn.getvalue())) from None


def condensed(box: str) -> str:
    """What a box drawn by `tyro` says, on one line.

    A box is a title, which only repeats what follows, and sections between rules: the complaint, options that were
    perhaps meant (each followed by its help, indented by 8, which a line has no room for), and where more is said.
    Whatever else a version of `tyro` may draw stays as it is, without the lines around it.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    sections: list[list[str]] = [[]]
    for line in plain.splitlines()[1:]:
        line = line[2:].rstrip(" │╯")  # where the terminal knows no lines, there are two blanks and dashes
        if not line.strip("─-"):
            sections.append([])
        elif not line.startswith(" " * 8):
            sections[-1].append(line.strip())
    said = []
    for text in (" ".join(section) for section in sections if section):
        if text.startswith("Got errors:"):  # how every type in a union was tried in vain
            continue
        text = re.sub(r"Error parsing (\S+): no type matching .* could be instantiated from \[(.*)\]\.",
                      r"\1 cannot be \2", text)
        text = re.sub(r"Argument helptext: (.*)", lambda found: f"give {names_only(found[1])}", text)
        text = re.sub(r"For full helptext, (run|see):? ", "see ", text)
        said.append(text[:1].lower() + text[1:] if text[:5] in ("Error", "Missi", "Unrec", "Perha") else text)
    return "; ".join(said)


def names_only(text: str) -> str:
    """`--size PIXELS` of `--size PIXELS pixels on the longer side.`: an option and the capitals after it."""
    words = text.split()
    end = next((i for i, word in enumerate(words[1:], 1) if not word.isupper()), len(words))
    return " ".join(words[:end])
