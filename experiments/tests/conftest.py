"""The fixtures that the library's tests have, and small tables."""

import pytest
from fixtures import *  # noqa: F403

from experiments import miniature


@pytest.fixture
def sixteen_pixels(monkeypatch):
    """The tables' miniatures as small as those of the tests."""
    monkeypatch.setattr(miniature, "SMALL", miniature.TINY)
