"""The fixtures of `stage.py`, for every test of this room; what this machine lacks a program for is skipped at once."""

import shutil
from pathlib import Path

import pytest
from stage import *  # noqa: F403

from benchmarks.chromium import PROGRAM

MISSING = {"page": None if PROGRAM else "no Chromium on this machine: apt-get install chromium",
           "node": None if shutil.which("node") else "no Node on this machine: apt-get install nodejs"}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            engine = item.callspec.params.get("engine") if hasattr(item, "callspec") else None
            for name in {*item.fixturenames, engine} & {name for name, reason in MISSING.items() if reason}:
                item.add_marker(pytest.mark.skip(reason=MISSING[name]))
