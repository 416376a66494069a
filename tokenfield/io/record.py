"""What reports, metrics and descriptions are before they are JSON."""

import json
import math
from typing import Any

Record = dict[str, Any]
"""One JSON object: text, numbers, lists and objects by name."""


def json_text(data: object, *, indent: int | None = 1) -> str:
    """JSON of a record and a line's end; numbers that JSON has no word for, NaN and infinity, are null."""
    return json.dumps(_finite(data), indent=indent, allow_nan=False) + "\n"


def _finite(data: object) -> object:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
