"""The README's Python runs as it stands, and every command it shows is one that parses."""

import re
import shlex
from pathlib import Path

import pytest
from skimage import data

from tokenfield.cli.app import COMMANDS
from tokenfield.data import write_picture

README = (Path(__file__).parents[1] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
COMMAND_LINES = re.findall(r"^(tokenfield [^#\n]*)", SHELL, re.MULTILINE)


def test_python_blocks_run(tmp_path, monkeypatch):
    """In one namespace, top to bottom, with a photograph of an odd size."""
    import torch

    monkeypatch.chdir(tmp_path)
    photo = torch.from_numpy(data.chelsea()[:157, :211].copy()).permute(2, 0, 1) / 255
    write_picture(tmp_path / "photo.jpg", photo)
    assert PYTHON
    namespace: dict = {}
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "photo.field").exists()


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_exist(line):
    assert shlex.split(line)[1] in COMMANDS
