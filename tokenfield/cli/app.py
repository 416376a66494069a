"""`tokenfield COMMAND ...`: finds the command, reads its options, runs it, and turns what went wrong into one line.

Commands are functions; `tyro` makes their options from the signature and their help from the docstring. A command
imports torch and the models inside its body, so that `--help` and a mistyped option answer at once; the list of
commands reads only their sources. A command returns an exit code (`tokenfield.cli.console`) or anything else for
success. One whose options depend on its first word, such as `train`, has a `parser` beside it: from words to what runs.
"""

import errno
import functools
import gc
import io
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import tyro

from tokenfield._version import __version__
from tokenfield.cli import console
from tokenfield.cli.console import Usage
from tokenfield.errors import UserError
from tokenfield.evaluation.tables import check_file
from tokenfield.io import lock
from tokenfield.io.atomic import REASONS, shown
from tokenfield.io.outputs import RESULTS, check_named
from tokenfield.registry import COMMANDS, FILES, MODELS, read_plugins

OS_REASONS = REASONS | {errno.ENOENT: "no such file or folder",
                        errno.EACCES: "permission denied; choose files and folders that you may use"}
"""What to say of the system's errors that no command turned into a line of its own."""

EXTRAS = {
    "diffusers": "generation", "torchmetrics": "generation", "xarray": "earth", "scipy": "earth", "h5netcdf": "earth",
    "h5py": "earth", "zarr": "earth", "trimesh": "meshes", "embreex": "meshes", "onnx": "onnx", "onnxscript": "onnx",
    "tensorboard": "tensorboard",
}
"""Modules that the core does without -> the extra that brings them."""

MAY_BE_PLACES = ("path", "data", "model")
"""Options whose words may be files or folders, or names."""

MOVED = {
    "superres": "tokenfield superres became python -m experiments.fields.superres, from a copy of the repository",
    "bench": "tokenfield bench became python -m benchmarks.lainr_178, from a copy of the repository",
    "data": "tokenfield data views is a sub-command of views: tokenfield views render {options}",
}
"""Commands of a former version, and what they became."""
RENAMED = {
    "generate": {"--between": "generate interpolate MODEL A B -o FOLDER",
                 "--fill": "generate infill MODEL PICTURE -o FOLDER --region PICTURE|TOP,LEFT,HEIGHT,WIDTH",
                 "--model": "generate samples MODEL -o FOLDER", "--aspect": "--shape W:H",
                 "--cells": "--shape ROWSxCOLUMNS", "--mask": "--region PICTURE",
                 "--box": "--region TOP,LEFT,HEIGHT,WIDTH"},
    "views": {"--images": "--data FOLDER"},
    "optimize": {"--rate": "--rates LATENTS [DECODER]", "--decoder-rate": "--rates LATENTS DECODER"},
    "evaluate": {"--basis": "--against FILE"},
    "score": {"--shown": "--neighbours FILE, which shows 16", "--batch": "a batch of 32, always"},
}
"""Options of a former version, by command, and what they became."""

DESCRIPTION = """\
A photograph becomes a small set of tokens; the tokens are a field that gives a value anywhere, at any zoom.

`tokenfield COMMAND --help` explains a command. Exit codes: 0 all of it worked; 1 it did not, one line on stderr says
why; 2 the command line was not understood; 3 a folder was worked through but files were skipped, which are named and
counted; 130 Ctrl-C. `--debug`, or TOKENFIELD_DEBUG=1, shows the traceback of an error. `--version` prints the version.
"""


def main(argv: Sequence[str] | None = None, parser: Callable[[list[str]], Callable[[], object]] | None = None) -> int:
    """Run a command line, by default that of this process without the program's name, and return the exit code.

    Programs beside `tokenfield` have another parser, from arguments to what runs, in place of `parse`.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv or os.environ.get("TOKENFIELD_DEBUG", "0") not in ("", "0")
    argv = [argument for argument in argv if argument != "--debug"]
    console.prepare_streams()
    if logging.lastResort is not None:  # what libraries note, such as a home that matplotlib cannot write to
        logging.lastResort.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: console.warn(message)
            command = (parser or parse)(argv)
            check_results(command)
            with lock.command():
                result = command()
            sys.stdout.flush()  # a full disk or a closed pipe shows here, where it still has a line of its own
    except Usage as error:
        console.fail(str(error))
        return console.USAGE
    except (UserError, OSError, KeyboardInterrupt, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError) and missing_extra(error) is None:
            raise
        if debug:
            traceback.print_exc()
        return explain(error)
    except (RuntimeError, MemoryError) as error:
        if debug or not (lost_peer(error) or out_of_memory(error)):
            raise
        if out_of_memory(error):
            console.fail("this takes more memory than there is; give a smaller picture, size, batch or model")
            return console.FAILED
        console.fail(f"process {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']}: another process of this "
                     "run died; without a line of its own it was killed, perhaps for want of memory. What was saved is "
                     "whole: run the same command with --resume")
        return console.FAILED
    except SystemExit as stop:  # --help, --version, and a training run that saved and stopped at a signal
        return stop.code if isinstance(stop.code, int) else console.OK if stop.code is None else console.FAILED
    return result if isinstance(result, int) else console.OK


def check_results(command: object) -> None:
    """Raises UserError where a file that an option names for results would replace another, before any work is done."""
    if isinstance(command, functools.partial):
        places = list(places_in({**command.keywords, **{str(i): value for i, value in enumerate(command.args)}}))
        results = [(name, path) for name, path in places if name in RESULTS]
        for path in (path for name, path in results if name == "table"):
            check_file(path)
        check_named(results, [path for name, path in places if name not in RESULTS])


def places_in(options: Mapping[str, object]) -> Iterator[tuple[str, Path]]:
    """Every path that a command was given, with its option's name, inside groups of options too."""
    for name, value in options.items():
        if is_dataclass(value) and not isinstance(value, type):
            yield from places_in({one.name: getattr(value, one.name) for one in fields(value)})
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path) or (isinstance(path, str) and name in MAY_BE_PLACES):
                yield name, Path(path)


def out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Whether the system, or an accelerator, would give no more memory."""
    words = ("can't allocate memory", "out of memory")  # of processors, of accelerators
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def lost_peer(error: RuntimeError | MemoryError) -> bool:
    """Whether an error of torch's says that another process of a run under `torchrun` is gone."""
    words = ("peer", "gloo", "nccl", "connection", "process group", "timed out", "barrier")
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and any(word in str(error).lower() for word in words)


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """The extra of this package that brings a module which an import did not find; None if none does."""
    return EXTRAS.get((error.name or "").partition(".")[0])


def explain(error: UserError | OSError | KeyboardInterrupt | ModuleNotFoundError) -> int:
    """The one line for what stopped a command, and its exit code."""
    if isinstance(error, ModuleNotFoundError):
        extra = f"tokenfield[{missing_extra(error)}]"
        console.fail(f"this needs {error.name}, which is missing; type: pip install '{extra}'")
        return console.FAILED
    if isinstance(error, KeyboardInterrupt):
        console.fail("interrupted; what was finished before is kept")
        return console.INTERRUPTED
    if isinstance(error, OSError):
        try:
            sys.stdout.flush()
        except OSError:  # drop what stdout cannot take: Python would try once more at exit, and complain again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader of a pipe, `head`, has seen enough: no error of ours
            return 128 + signal.SIGPIPE
        known = REASONS if error.filename is None else OS_REASONS  # what is not there has a name, or words of its own
        reason = known.get(error.errno or 0) or error.strerror or str(error)
        if error.filename is None and error.errno == errno.ENOENT:  # of all calls that of `getcwd` has no name
            reason = "the present folder was removed; change to another"
        console.fail(f"{shown(error.filename)}: {reason}" if error.filename is not None else reason)
    else:
        console.fail(str(error))
    return console.FAILED


def at_home(verb: str, options: list[str]) -> tuple[str, list[str]]:
    """`encode speech.wav` is `sound encode speech.wav`, and `decode` of its field `sound decode`."""
    read_plugins()
    for path in map(Path, options):
        if verb == "encode" and (command := FILES.get(path.suffix.lower())):
            return command, [verb, *options]
        if verb == "decode" and path.suffix.lower() == ".field" and path.is_file():
            from tokenfield.fields.field_file import read_field

            with suppress(UserError):  # a damaged file, of which decode says more
                system = MODELS[read_field(path, tokens=False).model.name]
                if (command := str(getattr(system, "command", verb))) in FILES.values():
                    return command, [verb, *options]
    return verb, options


def parse(argv: list[str]) -> Callable[[], object]:
    """The command, ready to run with its options. Raises `Usage`, or SystemExit after printing help."""
    if not argv:
        raise Usage(f"no command given; there are: {', '.join(COMMANDS)}; tokenfield --help explains")
    name, options = argv[0], argv[1:]
    if any(not word or (word[:2] == "--" and word[-1] == "=") for word in options):  # as a path: this very folder
        raise Usage(f"tokenfield {name} was given an empty word, perhaps of a variable that is not set; leave it out")
    if name in ("encode", "decode"):
        name, options = at_home(name, options)
    if name == "--version":
        return functools.partial(console.say, f"tokenfield {__version__}")
    if name in ("-h", "--help"):
        return print_commands
    if name.startswith("-"):
        raise Usage(f"unrecognized options: {' '.join(argv)}; tokenfield --help lists the commands")
    if name in MOVED:
        raise Usage(MOVED[name].format(options=" ".join(options[1:]) or "MESHES -o FOLDER"))
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
        raise Usage(f"no command is called {name!r}; {hint}")
    for option, form in RENAMED.get(name, {}).items():
        if any(word.partition("=")[0] == option for word in options):
            raise Usage(f"tokenfield {name} {option} became {form}; tokenfield {name} --help explains")
    command = COMMANDS[name]
    parser = getattr(import_module(command.__module__), "parser", None)
    if parser is not None:
        return one_line(lambda: parser(options))
    return one_line(lambda: tyro.cli(deferred(command), prog=f"tokenfield {name}", args=options))


def print_commands() -> None:
    """The help of the program: every command with the first line of its docstring."""
    gc.freeze()  # else the trees of the sources that are read make it look through all modules again and again
    console.show(f"usage: tokenfield COMMAND [--OPTION VALUE ...]\n\n{DESCRIPTION}")
    width = max(map(len, COMMANDS))
    for name in COMMANDS:
        console.say(f"  {name:<{width}}  {COMMANDS.places[name].summary()}")


def deferred(command: Callable[..., object]) -> Callable[..., Callable[[], object]]:
    """The same signature and docstring, but calling it only notes the arguments: parsing and running stay apart."""

    @functools.wraps(command)
    def note(*args: object, **kwargs: object) -> Callable[[], object]:
        return functools.partial(command, *args, **kwargs)

    return note


def one_line(parser: Callable[[], Callable[[], object]]) -> Callable[[], object]:
    """Runs a parser of `tyro` and turns the box that it draws around a complaint into a `Usage` of one line."""
    box, page = io.StringIO(), Page()
    try:
        with redirect_stderr(box), redirect_stdout(page):
            return parser()
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.write(without_nothing(page.getvalue()))
            raise
        raise Usage(condensed(box.getvalue())) from None


class Page(io.StringIO):
    """Takes what is printed, and looks to `tyro` as standard output does: it draws colours and boxes as that shows."""

    @property
    def encoding(self) -> str | None:  # type: ignore[override]  # which of text in memory is an attribute
        """Of standard output."""
        return sys.__stdout__.encoding if sys.__stdout__ else None

    def isatty(self) -> bool:
        """Of standard output."""
        return bool(sys.__stdout__ and sys.__stdout__.isatty())


def without_nothing(page: str) -> str:
    """A page of help without the defaults that are none, which say nothing or contradict the text before them."""
    page = re.sub(r"\{None\}\|(\w+)", lambda kind: kind[1].ljust(len(kind[0])), page)
    between = r"(?:\x1b\[[0-9;]*m|[ │\n])"  # colours, and where a line of the box ends
    page = re.sub(rf"\(default:{between}*(?:None|''|)\)", lambda hint: re.sub(
        rf"({between}+)|.", lambda part: part[1] or "\0", hint[0]), page)
    lines = (line for line in page.split("\n") if "\0" not in line or re.sub(rf"{between}|\0", "", line))
    return "\n".join(lines).replace("\0", " ")


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
    sentences = ["--coordinates. became --objective."] if "--coordinates." in plain else []
    for text in (" ".join(section) for section in sections if section):
        if text.startswith("Got errors:"):  # how every type in a union was tried in vain
            continue
        text = re.sub(r"Error parsing (\S+): no type matching .* could be instantiated from \[(.*)\]\.",
                      r"\1 cannot be \2", text)
        # `--size PIXELS` of `--size PIXELS Pixels on the longer side.`: an option and the capitals after it
        text = re.sub(r"Argument helptext: (\S+(?: [A-Z_|]+\b)*).*", r"give \1", text)
        text = re.sub(r"For full helptext, (run|see):? ", "see ", text)
        sentences.append(text[:1].lower() + text[1:] if text[:5] in ("Error", "Missi", "Unrec", "Perha") else text)
    return "; ".join(sentences)
