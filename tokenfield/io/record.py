"""What reports, metrics and descriptions are before they are JSON."""

import json
import math
from typing import Any

Record = dict[str, Any]
"""One JSON object: text, numbers, lists and objects by name."""


def json_text(data: object, *, indent: int | None = 1) -> str:
    """JSON of a record and a line's end; NaN and infinity, which JSON has no word for, are null.

    Arrays and tensors are lists, and numbers of their types numbers.
    """
    return json.dumps(_finite(data), indent=indent, allow_nan=False) + "\n"


def _finite(data: object) -> object:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if (plain := getattr(data, "tolist", None)) is not None:
        return _finite(plain())
    return None if isinstance(data, float) and not math.isfinite(data) else data
