"""What --json writes is what docs/json.md says, and --table writes what the terminal shows."""

import csv
import json
import re
from pathlib import Path

import pytest

from tokenfield.registry import COMMANDS

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| `([a-z ]+)` \| (.*) \|$", (ROOT / "docs" / "json.md").read_text(encoding="utf-8"), re.MULTILINE)
KEYS = {command: set(re.findall(r"`([a-z_0-9]+)`", text.partition("; ")[0])) for command, text in ROWS}
"""Of every command, the keys that its file always has."""


def test_every_command_has_a_row():
    parts = {"climate", "generate", "views", "sound", "film", "completion"}
    assert set(COMMANDS) - parts <= set(KEYS)
    assert {name.split()[0] for name in KEYS} <= set(COMMANDS)


@pytest.mark.parametrize("line", [
    "encode PHOTO -o OUT/a.field", "info PHOTO", "fit PHOTO --steps 1 -o OUT/fit",
    "explain PHOTO --model MODEL --out OUT",
    "optimize PHOTO --steps 1 --beside ffnet --model MODEL -o OUT/b.field",
    "evaluate MODEL --data FOLDER --protocol folder --size 16", "view PHOTO --out OUT/page",
])  # fmt: skip
def test_files_hold_what_is_written(run, photo, model, tmp_path, line):
    places = {"PHOTO": photo, "MODEL": model, "OUT": str(tmp_path), "FOLDER": str(Path(photo).parent)}
    words = [re.sub("PHOTO|MODEL|OUT|FOLDER", lambda name: places[name[0]], word) for word in line.split()]
    outcome = run(*words, "--json", tmp_path / "facts.json")
    assert outcome.code == 0, outcome.err
    facts = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
    command = words[0]
    assert list(facts)[:2] == ["command", "tokenfield"] and facts["command"] == command
    assert KEYS[command] <= set(facts) if command == "info" else KEYS[command] == set(facts) - {"command", "tokenfield"}


def test_a_table_is_written_as_it_is_shown_with_every_picture(run, photo, model, tmp_path):
    data = Path(photo).parent
    table = tmp_path / "scores.csv"
    outcome = run("evaluate", model, "--data", data, "--protocol", "folder", "--size", 16, "--table", table)
    assert outcome.code == 0, outcome.err
    with open(table, newline="", encoding="utf-8") as file:
        heading, *rows = csv.reader(file)
    assert heading[:3] == ["picture", "size", "PSNR dB"] and rows[-1][0] == f"mean of {len(rows) - 1}"
    assert all("  ".join(row[:2]) in outcome.out for row in rows[:-1])


def test_a_table_of_another_ending_is_refused_before_any_work(run, photo, model, tmp_path):
    outcome = run("evaluate", model, "--data", tmp_path, "--table", tmp_path / "scores.txt")
    assert outcome.code == 1 and ".csv, .tex, .md" in outcome.err and "evaluating" not in outcome.err
    outcome = run("fit", photo, "--steps", 1, "-o", tmp_path / "fit", "--table", tmp_path / "curve.doc")
    assert outcome.code == 1 and not (tmp_path / "fit").exists()


def test_places_are_not_replaced_by_their_own_table(run, tmp_path):
    places = tmp_path / "places.csv"
    places.write_text("48.1, 11.6\n")
    outcome = run("climate", "query", tmp_path / "a.field", "--places", places, "--table", places)
    assert outcome.code == 1 and "is an input" in outcome.err and places.read_text() == "48.1, 11.6\n"
