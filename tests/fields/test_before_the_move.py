"""Fields that were written by version 0.1.0, before its files moved, open and say what they said."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tokenfield

FOLDER = Path(__file__).parent / "before_the_move"


@pytest.mark.parametrize("name", ["photos-s", "photos-ladder"])
def test_fields_from_before_the_move_open(name):
    field = tokenfield.Field.load(FOLDER / f"{name}.field")
    assert field.native_size == (31, 43) and field.model.origin == name
    expected = torch.from_numpy(np.load(FOLDER / f"{name}.npy"))
    torch.testing.assert_close(field.render(7, 11), expected, rtol=0, atol=1e-5)
