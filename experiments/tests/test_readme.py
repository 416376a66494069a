"""Commands that are printed somewhere exist, and the README knows every one."""

import re
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

import pytest

from experiments.tables.tables import TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "experiments" / "README.md").read_text()
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "results").rglob("*.md"),
         *(ROOT / "experiments").rglob("*.py"), ROOT / "experiments" / "README.md"]  # fmt: skip
SCRIPTS = [path for path in (ROOT / "experiments").rglob("*.py")
           if '__name__ == "__main__"' in path.read_text() and path.parent.name != "tests"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_printed_command_exists(page):
    """A module that `python -m` runs, and a table that there is."""
    text = page.read_text()
    for module in set(re.findall(r"python -m ((?:experiments|benchmarks)[\w.]*\w)", text)):
        assert find_spec(module), module
    for names in re.findall(r"python -m experiments\.tables ((?:[\w-]+ )*?[\w-]+)(?= --|`)", text):
        assert {name for name in names.split() if name not in ("NAME", "TABLE")} <= set(TABLES), names


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_readme_names_every_script(path):
    folder = path.parent.name
    assert f"experiments.{folder}.{path.stem}" in README or path.stem in README


def test_every_table_and_every_result_has_a_command():
    assert all(f"`{name}`" in README or f"tables {name}`" in README for name in TABLES if not name.startswith("race-"))
    rows = [line.split(" | ")[0] for line in README.splitlines() if line.startswith("| ")]
    patterns = [pattern for row in rows for pattern in re.findall(r"`([\w*-]+/[^`]+)`", row)]
    for path in (path for path in (ROOT / "results").rglob("*.*") if path.is_file() and path.name != "README.md"):
        name = path.relative_to(ROOT / "results").as_posix()
        assert any(fnmatch(name, pattern) for pattern in patterns), name
