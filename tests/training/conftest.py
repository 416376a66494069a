"""Toy pictures for every test of training."""

import pytest
from toys import write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of seven small PNGs."""
    return write_pictures(tmp_path_factory.mktemp("pictures"))
