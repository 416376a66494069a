"""Folders that are whole or absent."""

import pytest

from tokenfield.errors import UserError
from tokenfield.io.atomic import ASIDE, folder_aside


def test_a_folder_appears_whole(tmp_path):
    with folder_aside(tmp_path / "new" / "run") as aside:
        (aside / "a").write_text("one")
        assert aside.name.startswith(f"{ASIDE}run") and not (tmp_path / "new" / "run").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run"]
    assert (tmp_path / "new" / "run" / "a").read_text() == "one"


def test_an_interrupted_folder_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder_aside(tmp_path / "run") as aside:
        (aside / "a").write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_replaced(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_text("old")
    with pytest.raises(UserError, match="cannot write"), folder_aside(tmp_path / "run") as aside:
        (aside / "a").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["run"] and (tmp_path / "run" / "a").read_text() == "old"
