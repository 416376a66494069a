"""`tokenfield data`, which became a sub-command of `tokenfield views`."""

from typing import NoReturn

from tokenfield.cli.console import Usage


def data() -> NoReturn:
    """Now tokenfield views render MESHES -o FOLDER."""
    parser([])


def parser(words: list[str]) -> NoReturn:
    """Raises Usage whatever the words are."""
    options = " ".join(words[1:]) or "MESHES -o FOLDER"
    raise Usage(f"tokenfield data views is a sub-command of views: tokenfield views render {options}")
