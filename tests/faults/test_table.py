"""The table of faults in docs/ is whole: every row names tests, and every test it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "faults.md").read_text().splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| kind |"))]


def test_every_row_has_a_kind_what_happens_and_tests_that_exist():
    assert len(ROWS) > 40
    for kind, happens, tests in ROWS:
        files = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert kind and happens and files, kind
        for file in files:
            assert "def test_" in (ROOT / file).read_text(), f"{kind}: {file} is no file of tests"


def test_every_file_of_faults_is_in_the_table():
    named = {name for *_, tests in ROWS for name in re.findall(r"`(tests/[\w/]+\.py)`", tests)}
    own = {f"tests/faults/{path.name}" for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)}
    assert own <= named
