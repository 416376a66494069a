"""Small picture files cut from real photographs, and a crop cache of each test's own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tokenfield.data.demo_pictures import HELD_OUT, data_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pyramids"


@pytest.fixture(scope="session")
def photographs():
    """A few held-out photographs as uint8 (H, W, 3) arrays of a quarter of their size."""
    names = ("astronaut", "chelsea", "coffee", "rocket", "ihc")
    images = (Image.open(data_folder() / HELD_OUT[name]).convert("RGB").reduce(4) for name in names)
    return [np.asarray(image) for image in images]


@pytest.fixture
def write(photographs):
    """`write(path, number, height, width)`: a JPEG or PNG crop of a photograph, another one for every number."""

    def write(path: Path, number: int = 0, height: int = 47, width: int = 61) -> Path:
        photograph = photographs[number % len(photographs)]
        top, left = number % (photograph.shape[0] - height + 1), number % (photograph.shape[1] - width + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph[top : top + height, left : left + width]).save(path)
        return path

    return write
