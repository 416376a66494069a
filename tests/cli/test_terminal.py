"""What a terminal is sent: colours unless NO_COLOR, TERM=dumb or a pipe says no; tables also as files."""

import csv
import os
import pty
import re
import subprocess
import sys

import pytest

from tokenfield.errors import UserError
from tokenfield.evaluation import tables

ROWS = [["system", "PSNR, dB"], ["LAINR, R = 5_0 %", "21.00 ± 1.41"], ["a~b^c", "-"]]


def on_terminal(code, **environment):
    """What a process writes to a terminal of its own."""
    master, terminal = pty.openpty()
    settings = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM", "FORCE_COLOR")}
    with subprocess.Popen([sys.executable, "-c", code], stdout=terminal, stderr=terminal,
                          env={**settings, "TERM": "xterm", **environment}):
        os.close(terminal)
        text = b""
        try:
            while part := os.read(master, 1 << 16):
                text += part
        except OSError:  # how Linux says that the other side is closed
            pass
    os.close(master)
    return text.decode()


HELP = "from tokenfield.cli import main; main(['encode', '--help'])"
BAR = """
from contextlib import closing
from tokenfield.io import progress
progress.PATIENCE = 0
with closing(progress.Bar("counting", 3)) as bar:
    [bar.file(i, "[/b]\\x1b]0;title\\x07") for i in range(3)]  # a name is neither markup nor a command
"""
COLOUR, CURSOR = re.compile(r"\x1b\[[0-9;]*3[0-7]"), re.compile(r"\x1b\[[0-9?]*[A-Zhl]")


@pytest.mark.parametrize("code", [HELP, BAR])
def test_colours_are_off_where_they_are_not_wanted(code):
    assert COLOUR.search(on_terminal(code)) and "\x07" not in on_terminal(code)
    assert not COLOUR.search(on_terminal(code, NO_COLOR="1"))
    assert "\x1b" not in on_terminal(code, TERM="dumb")
    assert b"\x1b" not in subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).stdout


def test_a_dumb_terminal_is_told_in_lines_how_far_work_is():
    assert r"counting [/b]\x1b]0;title\x07: 33 %" in on_terminal(BAR, TERM="dumb")
    assert CURSOR.search(on_terminal(BAR)) and not CURSOR.search(on_terminal(BAR, TERM="dumb"))


def test_a_table_is_the_same_in_every_format(tmp_path):
    for ending in tables.FORMATS:
        tables.write(tmp_path / f"table{ending}", ROWS)
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == ROWS
    latex = (tmp_path / "table.tex").read_text(encoding="utf-8")
    assert r"LAINR, R = 5\_0 \% & 21.00 $\pm$ 1.41 \\" in latex and r"a\textasciitilde{}b\textasciicircum{}c" in latex
    assert (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()[2] == "| LAINR, R = 5_0 % | 21.00 ± 1.41 |"


@pytest.mark.parametrize(("name", "said"), [("table.txt", "ending in .csv, .tex, .md"), ("folder.csv", "a folder")])
def test_other_endings_and_folders_are_refused(tmp_path, name, said):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=said):
        tables.write(tmp_path / name, ROWS)
    assert not (tmp_path / "table.txt").exists()
