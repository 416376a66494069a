"""The frame around the commands: help, one line per error, exit codes."""

import errno
import io
import re
import subprocess
import sys
import warnings

import pytest
from rich.console import Console

from tokenfield._version import __version__
from tokenfield.cli import app, console
from tokenfield.errors import UserError
from tokenfield.evaluation import tables


@pytest.fixture
def command(monkeypatch):
    """Replaces `doctor` by any function without options."""

    def replace(function):
        monkeypatch.setattr("tokenfield.cli.doctor.doctor", function)

    return replace


def raising(error):
    def doctor() -> int:
        """Fail."""
        raise error

    return doctor


def test_help_lists_every_command_with_a_line(run):
    outcome = run("--help")
    assert outcome.code == 0
    for name, place in app.COMMANDS.places.items():
        assert f"  {name} " in outcome.out
        assert place.summary() and place.summary() in outcome.out


WITH_PARSERS = ("train", "generate", "views")
"""Their first word decides which options there are."""
SUB_COMMANDS = ("generate samples", "generate interpolate", "generate infill", "views measure", "views orbit",
                "views render")


@pytest.mark.parametrize("name", [name for name in (*app.COMMANDS, *SUB_COMMANDS) if name not in WITH_PARSERS])
def test_every_option_of_every_command_is_explained(run, name, monkeypatch):
    shown = run(*name.split(), "--help").out
    assert not re.search(r"\(default:\W*(None)?\W*\)|\{None\}", shown), "a default that is none says nothing"
    monkeypatch.setattr(app, "without_nothing", str)  # defaults tell options from mentions of them
    outcome = run(*name.split(), "--help")
    assert outcome.code == 0
    assert "--json" in outcome.out or name == "completion"  # which prints a script
    text = " ".join(outcome.out.replace("│", " ").split())
    options = re.split(r" (?=-o PATH|--[a-z])", text.split("options", 1)[1])[1:]
    unexplained = [option for option in options if "(default" in option and "." not in option.split("(default")[0]]
    assert not unexplained, unexplained


def test_a_line_that_only_had_a_default_of_none_goes_and_the_box_stays_straight():
    page = ("│ --out PATH  there. \x1b[36m(default:\x1b[0m │\n│ \x1b[36mNone)\x1b[0m                     │\n"
            "│ --n {None}|INT (default: 3) │\n")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", app.without_nothing(page)).split("\n")
    assert lines == ["│ --out PATH  there.           │", "│ --n INT        (default: 3) │", ""]


@pytest.mark.parametrize("argv", [["--help"], ["train", "--help"], ["encode", "--help"], ["train", "no-recipe"]])
def test_help_is_quick_because_it_imports_no_torch(argv):
    code = f"import sys; from tokenfield.cli import main; main({argv}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


def test_version(run):
    assert run("--version").out.startswith("tokenfield 0.")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "no command given; there are: demo, train"),
        (("enocde",), "did you mean 'encode'?"),
        (("frobnicate",), "there are: demo, train"),
        (("superres", "a"), "became python -m experiments.fields.superres"),
        (("encode",), "missing from tokenfield encode: PATH"),
        (("encode", "a", "--outptu", "b"), "unrecognized options: --outptu, b; perhaps you meant: -o, --output PATH"),
        (("decode", "a", "--size", "big"), "--size cannot be 'big'; give --size PIXELS"),
        (("decode", "a", "--size"), "missing value for argument '--size'"),
        (("decode", "a", "--crop", "1", "2", "3"), "give --crop TOP LEFT HEIGHT WIDTH"),
        (("encode", "a", "--precision", "fp8"), "invalid choice 'fp8'"),
        (("evaluate", "a", "--seed", "x"), "give --seed INT"),
        (("train", "lainr-photos", "--data", ".", "--coordinates.jitter", "x"), "--coordinates. became --objective."),
        (("--frobnicate",), "unrecognized options: --frobnicate"),
    ],
)
def test_a_mistyped_command_line_is_one_line_and_exit_code_2(run, argv, message):
    outcome = run(*argv)
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert outcome.err.startswith("tokenfield: error: ")
    assert message in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("this is wrong;\n do that"), 1, "this is wrong;\\n do that"),
        (OSError(errno.ENOSPC, "No space left on device", "x.png"), 1, "x.png: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "y"), 1, "y: permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file", "z"), 1, "z: no such file or folder"),
        (OSError("something odd"), 1, "something odd"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_one_line(run, command, error, code, message):
    command(raising(error))
    outcome = run("doctor")
    assert (outcome.code, len(outcome.lines)) == (code, 1)
    assert outcome.err.startswith(f"tokenfield: error: {message}")
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("how", ["option", "variable"])
def test_debug_shows_the_traceback_too(run, command, monkeypatch, how):
    command(raising(UserError("wrong")))
    if how == "variable":
        monkeypatch.setenv("TOKENFIELD_DEBUG", "1")
    outcome = run("doctor", *(["--debug"] if how == "option" else []))
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert outcome.lines[-1] == "tokenfield: error: wrong"


def test_mistakes_of_the_program_are_not_dressed_up(run, command):
    command(raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        run("doctor")


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (130, 130), ("text", 1)])
def test_a_training_run_that_saved_and_stopped_chooses_its_code(run, command, code, expected):
    command(raising(SystemExit(code)))
    assert run("doctor").code == expected


def test_warnings_are_one_line_without_source(run, command):
    def doctor() -> int:
        """Warn."""
        warnings.warn("a.gif holds several frames", stacklevel=1)
        return 0

    command(doctor)
    outcome = run("doctor")
    assert outcome.lines == ["tokenfield: warning: a.gif holds several frames"]
    assert outcome.code == 0


def test_a_command_that_returns_something_else_worked(run, command):
    def doctor() -> dict:
        """Return facts."""
        return {"psnr": 41.0}

    command(doctor)
    assert run("doctor").code == 0


def test_table_aligns_and_numbers_know_nothing():
    text = tables.aligned([["name", "dB"], ["a", "1.00"], ["longer", "10.00"]])
    assert text.splitlines() == ["name       dB", "a        1.00", "longer  10.00"]
    assert console.number(None) == console.number(float("nan")) == "-"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (74360, "74.4 kB"), (5e9, "5.0 GB")])
def test_sizes(count, text):
    assert console.size_of(count) == text


def test_json_is_strict_and_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "out.json"
    head = f'{{\n  "command": "info",\n  "tokenfield": "{__version__}",\n'
    console.write_json(path, "info", {"a": 1})
    with pytest.raises(TypeError, match="JSON"):
        console.write_json(path, "info", {"a": object()})
    assert path.read_text() == head + '  "a": 1\n}\n'
    console.write_json(path, "info", {"a": float("nan")})
    assert path.read_text() == head + '  "a": null\n}\n'
    console.write_json(None, "info", {"a": object()})


def test_a_bar_on_a_terminal_comes_after_two_seconds_and_goes(monkeypatch):
    screen, now = io.StringIO(), [0.0]
    monkeypatch.setattr("tokenfield.io.progress.time.monotonic", lambda: now[0])
    with console.progress("decoding", 2) as bar:
        bar.console = Console(file=screen, force_terminal=True, width=80)
        bar.file(0, "a.field")
        assert screen.getvalue() == ""
        now[0] = 3.0
        bar.file(1, "b.field")
        bar.piece(1, 2)
    assert "decoding b.field" in screen.getvalue()


def test_a_bar_says_nothing_about_quick_work_and_a_line_about_slow_work(capsys, monkeypatch):
    with console.progress("encoding", 3) as bar:
        bar.file(0, "a.png")
    assert capsys.readouterr().err == ""
    now = [0.0]
    monkeypatch.setattr("tokenfield.io.progress.time.monotonic", lambda: now[0])
    with console.progress("encoding", 4) as bar:
        for i, seconds in enumerate((1, 11, 12, 25)):
            now[0] = seconds
            bar.file(i, f"{i}.png")
            bar.piece(1, 2)
    assert capsys.readouterr().err.splitlines() == ["encoding 1.png: 25 %", "encoding 3.png: 75 %"]
